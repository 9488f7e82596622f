"""The anatomy of a model: what each layer makes of its input, what it costs, and by which arithmetic."""
