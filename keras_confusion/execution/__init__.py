"""Where things run: TensorFlow's start, worker processes, progress, provenance.

Imports `errors`.
"""
