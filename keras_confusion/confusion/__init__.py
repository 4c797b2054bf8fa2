"""Runs confusion studies: settings, plan, workers, networks, the store of their rows.

Imports `training` and what is below it.
"""
