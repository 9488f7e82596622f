"""How the step size changes over a run: pure functions of progress."""
