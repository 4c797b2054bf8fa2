"""Files that are written whole or not at all, and the folder of a study.

Sealed JSON, locks, checks of what a file says. Imports `errors`; never TensorFlow.
"""
