"""How raw files become tensors: reading, decoding, caching, encoding. Nothing here is a component."""
