"""Batch norms as training leaves them, so that a test of what they compute can fail."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def unsettled(net: M) -> M:
    """In eval mode, with moments, gains and shifts drawn at random."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight.data, layer.running_var):
                values.uniform_(0.5, 1.5)
            for values in (layer.bias.data, layer.running_mean):
                values.normal_(0, 0.2)
    return net.eval()
