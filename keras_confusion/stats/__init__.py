"""Statistics: arrays in, arrays out.

Bits, t-tests, block designs, discriminability, moments. Imports NumPy and SciPy only.
"""
