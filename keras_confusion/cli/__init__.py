"""Command lines: arguments, commands, exit codes.

Imports everything; nothing imports it.
"""
