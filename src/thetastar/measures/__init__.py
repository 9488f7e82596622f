"""P: one file a performance measure."""
