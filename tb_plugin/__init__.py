"""Confusion for TensorBoard: the contract between writers and the plugin."""
