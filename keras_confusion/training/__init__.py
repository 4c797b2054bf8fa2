"""Recipes, the compiled training loop, one classifier by `fit`, last layers.

Imports `models`, `datasets` and what is below them.
"""
