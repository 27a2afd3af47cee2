"""Graphs, passes, plans and the executor."""
