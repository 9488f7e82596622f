"""φ: what calls the kernel many times: comparison, tuning, sequences of tasks."""
