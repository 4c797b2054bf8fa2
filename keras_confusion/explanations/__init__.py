"""Which units stand behind a finding: networks trained again, their units, images.

Imports `confusion`, `prototypes` and what is below them.
"""
