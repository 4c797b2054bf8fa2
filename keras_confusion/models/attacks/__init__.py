"""Small changes of images that make a classifier change its mind.

Imports `models` and what is below it.
"""
