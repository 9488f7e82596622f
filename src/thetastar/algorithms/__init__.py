"""A: one file an optimiser."""
