"""Data sets by name, their readers, generated sets, corrupted labels, class pairs.

Imports `storage`, `execution` and what is below them.
"""
