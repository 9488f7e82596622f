"""Masks: one class a pixel, and pixels that count for nothing."""

from __future__ import annotations

from torch import Tensor

VOID = 255  # the class of pixels that no loss and no measure counts, as in the masks of PASCAL VOC


def known(mask: Tensor) -> Tensor:
    """Which pixels count: the shape of `mask`, True where it names a class."""
    return mask != VOID
