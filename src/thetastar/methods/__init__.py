"""L: how the risk is formed; one file a method."""
