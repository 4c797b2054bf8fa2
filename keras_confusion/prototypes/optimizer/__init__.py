"""Moves images toward objectives: update rules, drafts, frames.

Imports `models` and what is below it.
"""
