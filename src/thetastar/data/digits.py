"""Handwritten digits that ship with scikit-learn."""

from __future__ import annotations

import numpy as np

from thetastar.data.arrays import arrays
from thetastar.protocols import Source

__all__ = ["digits"]


def digits() -> Source:
    """1,797 grey 8×8 images of handwritten digits in ten classes.

    Source: Alpaydin and Kaynak 1998, Optical recognition of handwritten digits (UCI repository).
    """
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 1, 8, 8) / 16.0).astype(np.float32)
    return arrays(inputs=images, targets=classes, title="digits")
