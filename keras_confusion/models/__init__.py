"""Architectures; models that are saved, checked, loaded and tried out.

Imports `storage`, `execution` and what is below them.
"""
