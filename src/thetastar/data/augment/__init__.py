"""Random changes of inputs, batched on their device."""
