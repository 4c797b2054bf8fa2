"""Runs prototype studies: settings, plan, networks, images, C and R, their store.

Imports `training` and what is below it.
"""
