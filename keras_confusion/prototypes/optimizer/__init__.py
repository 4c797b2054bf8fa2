"""Moves images toward objectives: update rules, drafts, frames, DeepFool.

Imports `models` and what is below it.
"""
