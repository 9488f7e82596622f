"""What the training rows say of an input or target: shape, moments, bins, counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import columns as columns_
from thetastar.functional.quantiles import edges
from thetastar.protocols import Field

Moments = tuple[tuple[float, ...], tuple[float, ...]]


def moments(x: Tensor, kind: str, rows: Tensor | None = None) -> Moments:
    """Mean and standard deviation per channel or entry over `rows`, in chunks that stay in the processor's cache."""
    axes = (0, 2, 3) if kind == "image" else (0,)
    if kind != "image" and x.ndim > 2:
        return (), ()
    total = square = torch.zeros((), dtype=torch.float64)
    count = 0
    rows = torch.arange(len(x)) if rows is None else rows
    for part in rows.split(max(1, 2**17 * len(x) // x.numel())):
        values = x[part].to(torch.float64)
        total = total + values.sum(axes)
        square = square + values.square().sum(axes)
        count += values.numel() // (total.numel() or 1)
    mean = total / count
    std = (square / count - mean.square()).clamp_min(0).sqrt()
    unit = 255.0 if x.dtype == torch.uint8 else 1.0
    return tuple((mean / unit).tolist()), tuple((std / unit).tolist())


def of_columns(x: NDArray[np.float32], columns: Sequence[columns_.Column], scaled: bool, bins: bool) -> Field:
    """The vector of prepared columns, of the training rows.

    Args:
        x: (rows, entries).
        columns: that it was prepared from.
        scaled: whether models are to bring its entries to mean 0 and deviation 1.
        bins: whether they are to see where in its column a number lies; no use for weights of words.
    """
    names = tuple(entry for column in columns for entry in column.entries)
    mean, std = of_numbers(x) if scaled else ((), ())
    cuts = edges(x) if bins else ()
    blocks = columns_.blocks(columns)
    return Field("vector", (len(names),), names=names, mean=mean, std=std, quantiles=cuts, blocks=blocks)


def of_numbers(x: NDArray[Any]) -> Moments:
    x = x.astype(np.float64)
    return tuple(x.mean(0).tolist()), tuple(x.std(0).tolist())
