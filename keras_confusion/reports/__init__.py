"""What people see of a study: text, tables, figures, TensorBoard.

Imports `comparisons`, `explanations` and what is below them.
"""
