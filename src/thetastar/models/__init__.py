"""f: one file an architecture family."""
