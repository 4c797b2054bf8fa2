"""Figures, drawn with Matplotlib.

Imports `comparisons`, `explanations` and what is below them.
"""
