"""Callbacks for `fit`: what a model thinks its classes look like, while it trains.

Imports `reports` and what is below it.
"""
