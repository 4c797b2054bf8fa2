"""Several networks in one program, which trains them side by side.

Imports nothing else of the package.
"""
