"""What the networks of a confusion study say: responses, tables, findings.

Imports `confusion` and what is below it.
"""
