"""Whether what reaches a layer is what it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from thetastar.errors import UserError
from thetastar.functional.convolution import span

Shape = tuple[int, ...]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def axes_of(layer: nn.Module) -> int:
    """1, 2 or 3: the axes that a convolution or pooling sweeps."""
    names = (kind.__name__ for kind in type(layer).__mro__)  # torch's own says it, as in Conv2d
    return next(int(name[-2]) for name in names if name[-2:] in ("1d", "2d", "3d"))


def each(value: Any, count: int) -> Shape:
    """2 → (2, 2), and (2,) too."""
    values = tuple(value) if isinstance(value, Sequence) else (int(value),)
    return values * count if len(values) == 1 else values


def padding_of(layer: Any) -> Shape:
    """Of a convolution, on both sides; that of "same" may be half an entry more on the right."""
    count = axes_of(layer)
    if layer.padding == "same":
        spans = zip(each(layer.kernel_size, count), each(layer.dilation, count), strict=True)
        return tuple((span(k, d) - 1) // 2 for k, d in spans)
    return (0,) * count if layer.padding == "valid" else each(layer.padding, count)


def place(path: str, layer: nn.Module) -> str:
    """'layer 3, Linear(in_features=400, out_features=10, bias=True)'."""
    written = repr(layer) if next(layer.children(), None) is None else type(layer).__name__
    return f"layer {path}, {written}" if path else written


def check_fit(path: str, layer: Any, shape: Shape) -> None:
    """Raise a UserError that names the layer, the shape it got and what it takes, where they do not fit."""
    expected = _expected(layer, shape)
    if expected:
        raise UserError(f"{place(path, layer)} got {list(shape)}", expected[0], expected[1])


def _expected(layer: Any, shape: Shape) -> tuple[str, str] | None:
    if isinstance(layer, nn.Linear) and shape[-1:] != (layer.in_features,):
        flat = len(shape) == 4
        found = math.prod(shape[1:] if flat else shape[-1:])
        do = f"write {'a Flatten before it, and ' if flat else ''}in_features={found}"
        return f"{layer.in_features} entries on the last axis", do
    if isinstance(layer, CONVOLUTIONS + TRANSPOSED):
        return _convolution(layer, shape)
    if isinstance(layer, POOLS):
        return _pool(layer, shape)
    if isinstance(layer, BATCH_NORMS):
        axes = axes_of(layer)
        ranks = (2, 3) if axes == 1 else (axes + 2,)
        if len(shape) not in ranks:
            return f"{' or '.join(map(str, ranks))} axes, the batch included", "choose the one for these axes"
        if shape[1] != layer.num_features:
            return f"{layer.num_features} channels on the second axis", f"write num_features={shape[1]}"
    if isinstance(layer, nn.GroupNorm) and (len(shape) < 2 or shape[1] != layer.num_channels):
        got = shape[1] if len(shape) > 1 else 0
        return f"{layer.num_channels} channels on the second axis", f"write num_channels={got}"
    if isinstance(layer, nn.LayerNorm) and shape[-len(layer.normalized_shape) :] != tuple(layer.normalized_shape):
        return (
            f"{list(layer.normalized_shape)} on the last axes",
            f"write normalized_shape={list(shape[-len(layer.normalized_shape) :])}",
        )
    return None


def _convolution(layer: Any, shape: Shape) -> tuple[str, str] | None:
    axes = axes_of(layer)
    if len(shape) not in (axes + 1, axes + 2):
        names = {1: "length", 2: "height, width", 3: "depth, height, width"}[axes]
        return f"(batch, channels, {names})", "mend what comes before it, or --shape"
    channels = shape[len(shape) - axes - 1]
    if channels != layer.in_channels:
        return f"{layer.in_channels} channels", f"write in_channels={channels}"
    if isinstance(layer, TRANSPOSED):
        return None
    sizes = zip(shape[-axes:], layer.kernel_size, layer.dilation, padding_of(layer), strict=True)
    for size, kernel, dilation, padding in sizes:
        if size + 2 * padding < span(kernel, dilation) and layer.padding != "same":
            return _too_small(size, padding, span(kernel, dilation))
    return None


def _pool(layer: Any, shape: Shape) -> tuple[str, str] | None:
    axes = axes_of(layer)
    if len(shape) not in (axes + 1, axes + 2):
        return f"{axes + 2} axes: batch, channels and {axes} to pool", "choose the pooling for these axes"
    dilations = each(getattr(layer, "dilation", 1), axes)
    kernels, paddings = each(layer.kernel_size, axes), each(layer.padding, axes)
    strides = each(layer.stride or layer.kernel_size, axes)
    for size, kernel, dilation, padding, stride in zip(
        shape[-axes:], kernels, dilations, paddings, strides, strict=True
    ):
        # rounded up, the last place may reach over the edge by less than a stride
        reach = span(kernel, dilation) - (stride - 1 if getattr(layer, "ceil_mode", False) else 0)
        if size + 2 * padding < reach:
            return _too_small(size, padding, reach)
    return None


def _too_small(size: int, padding: int, reach: int) -> tuple[str, str]:
    padded = f", with {padding} of padding on both sides {size + 2 * padding}" if padding else ""
    return f"at least {reach} entries an axis, not {size}{padded}", "enlarge the input or reduce less before it"


def misfit(path: str, layer: nn.Module, inputs: Sequence[Shape], error: Exception) -> UserError:
    """What torch says of a layer that fails, in one line."""
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    got = ", ".join(str(list(shape)) for shape in inputs) or "nothing"
    return UserError(f"{place(path, layer)} got {got}: {said}", "an input that it takes", "mend one of the two")
