"""Examinations of a data set before anything is learnt from it: one file each, all of the same shape."""
