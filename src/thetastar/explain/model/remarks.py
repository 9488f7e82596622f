"""What is likely a mistake in how a model is built for its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from thetastar.explain.model.fitting import BATCH_NORMS, CONVOLUTIONS, POOLS, TRANSPOSED, axes_of
from thetastar.explain.model.formulas import along
from thetastar.explain.model.walk import Row
from thetastar.functional.convolution import output_size, span, unread

SMALL = 64  # entries along an axis of an input whose details are few


def remarks_on(rows: Sequence[Row]) -> list[str]:
    """A sentence each: a stem too coarse, kernels larger than their map, pixels lost, biases without effect."""
    called = [row for row in rows if row.outputs and row.inputs]
    return [*_stem(called), *_starved(called), *_lost(called), *_idle_biases(called)]


def _stem(rows: Sequence[Row]) -> list[str]:
    """The layers before the second convolution; a single cut into patches is meant to be coarse."""
    sweeping = [row for row in rows if isinstance(row.layer, CONVOLUTIONS + POOLS) and row.leaf]
    convolutions = [row for row in sweeping if isinstance(row.layer, CONVOLUTIONS)]
    if not convolutions:
        return []
    first = convolutions[0]
    end = sweeping.index(convolutions[1]) if len(convolutions) > 1 else len(sweeping)
    stem = [row for row in sweeping[sweeping.index(first) : end] if _stride(row) > 1]
    if not stem:
        return []
    count = axes_of(first.layer)
    size, left = first.inputs[0][-count:], stem[-1].outputs[0][-count:]
    times = size[0] / max(left[0], 1)
    patches = len(stem) == 1 and along(stem[0].layer, 0)[0] <= along(stem[0].layer, 0)[1]
    if times < 4 or not (min(left) <= 4 or (min(left) <= 16 and max(size) <= SMALL and not patches)):
        return []
    names = " and ".join(f"{row.path} {_written(row.layer)}" for row in stem)
    what = "patches" if patches else "the stem"
    return [
        f"{what} ({names}) may be too coarse: of {_by(size)}, {_by(left)} remain before the next layer; "
        "a smaller kernel of stride 1 without pooling keeps them all"
    ]


def _starved(rows: Sequence[Row]) -> list[str]:
    """Convolutions whose kernel is wider than the map: the outer weights meet nothing but padding."""
    found: list[Row] = []
    for row in rows:
        if isinstance(row.layer, CONVOLUTIONS) and row.source:
            sizes = row.inputs[0][-axes_of(row.layer) :]
            if all(along(row.layer, i)[0] // 2 >= size and along(row.layer, i)[2] for i, size in enumerate(sizes)):
                found.append(row)
    if not found:
        return []
    first, more = found[0], f" and {len(found) - 1} more" if len(found) > 1 else ""
    sizes = first.inputs[0][-axes_of(first.layer) :]
    return [
        f"{first.path} {_written(first.layer)}{more}: the map is {_by(sizes)}, so the outer weights of the kernel meet "
        "padding alone; reduce less before it"
    ]


def _lost(rows: Sequence[Row]) -> list[str]:
    """Rounding down the size leaves entries at the end that no kernel reaches."""
    found: list[str] = []
    for row in rows:
        layer: Any = row.layer
        if not isinstance(layer, CONVOLUTIONS + POOLS) or getattr(layer, "padding", None) == "same":
            continue
        count = axes_of(layer)
        lost: list[int] = []
        places: list[str] = []
        for i, size in enumerate(row.inputs[0][-count:]):
            kernel, stride, padding, dilation = along(layer, i)
            ceil = bool(getattr(layer, "ceil_mode", False))
            skips = stride > span(kernel, dilation)  # it leaves out as much between its places, and is meant to
            lost.append(0 if ceil or skips else unread(size, kernel, stride, padding, dilation))
            exact = (size - span(kernel, dilation) + 2 * padding) / stride + 1
            places.append(f"{exact:g} → {output_size(size, kernel, stride, padding, dilation, ceil=ceil)}")
        if any(lost):
            i = next(i for i, n in enumerate(lost) if n)
            axes = {1: ["entry"], 2: ["row", "column"], 3: ["layer", "row", "column"]}[count]
            what = " and ".join(_last(n, name) for n, name in zip(lost, axes, strict=True) if n)
            found.append(f"{row.path} {_written(layer)} never reads the {what} of its input ({places[i]})")
    return found


def _last(count: int, name: str) -> str:
    plural = {"entry": "entries"}.get(name, f"{name}s")
    return f"last {name}" if count == 1 else f"last {count} {plural}"


def _idle_biases(rows: Sequence[Row]) -> list[str]:
    """Batch norm subtracts the mean, and with it whatever constant was added before."""
    found = [
        row.source
        for row in rows
        if isinstance(row.layer, BATCH_NORMS)
        and row.source
        and isinstance(row.source.layer, (*CONVOLUTIONS, *TRANSPOSED, nn.Linear))
        and row.source.layer.bias is not None
    ]
    if not found:
        return []
    spared = sum(bias.numel() for row in found if (bias := row.layer.bias) is not None)  # type: ignore[union-attr]
    names = ", ".join(row.path for row in found[:4]) + (", …" if len(found) > 4 else "")
    return [
        f"batch norm takes away the bias of the layer before it: bias=False in {names} spares {spared:,} parameters"
    ]


def _stride(row: Row) -> int:
    return max(along(row.layer, i)[1] for i in range(axes_of(row.layer)))


def _by(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes)) if len(sizes) > 1 else f"{sizes[0]} entries"


def _written(layer: Any) -> str:
    """'Conv2d 7×7/2'"""
    count = axes_of(layer)
    kernel = "×".join(str(along(layer, i)[0]) for i in range(count))
    stride = along(layer, 0)[1]
    return f"{type(layer).__name__} {kernel}" + (f"/{stride}" if stride > 1 else "")
