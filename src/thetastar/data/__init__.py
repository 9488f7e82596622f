"""D: one file a source or built-in data set; streams, splits, preparation."""
