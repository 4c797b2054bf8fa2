"""The only writer of event files for TensorBoard.

Imports `comparisons`, `explanations` and what is below them, and `tb_plugin.metadata`.
"""
