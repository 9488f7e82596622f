"""The arithmetic behind each number of a layer, with its numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from thetastar.explain.model.fitting import (
    ADAPTIVE,
    BATCH_NORMS,
    CONVOLUTIONS,
    POOLS,
    TRANSPOSED,
    Shape,
    axes_of,
    each,
    padding_of,
)
from thetastar.explain.model.walk import Row
from thetastar.functional.convolution import output_size, span, transposed_output_size

NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
LETTERS = {1: "L", 2: "HW", 3: "DHW"}
POWERS = {1: "F", 2: "F²", 3: "F³"}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class Formula:
    """One number of a layer.

    Attributes:
        of: "height", "parameters", "multiply-adds", "memory", "receptive field", …
        text: the formula, with the numbers put in, up to the result.
        value: the result.
    """

    of: str
    text: str
    value: int


def formulas_of(row: Row, element: int = 4) -> list[Formula]:
    """What can be computed by hand, and comes out as it was found in the forward pass.

    Args:
        element: bytes of a number.
    """
    if not row.outputs or not row.inputs or 0 in (*row.inputs[0], *row.outputs[0]):
        return []
    found = [*_sizes(row), *_parameters(row), *_work(row), *_field(row)]
    if found and row.memory and row.memory == element * math.prod(row.outputs[0]):
        found.append(Formula("memory", f"{element}·{product(row.outputs[0])} = {row.memory:,} bytes", row.memory))
    return found


def product(numbers: Sequence[int]) -> str:
    """'64·9·32'; ones are left out."""
    return "·".join(f"{n:,}" for n in numbers if n != 1) or "1"


def along(layer: Any, i: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation along the i-th axis that a convolution or pooling sweeps."""
    count = axes_of(layer)
    padding = padding_of(layer) if isinstance(layer, CONVOLUTIONS + TRANSPOSED) else each(layer.padding, count)
    stride, dilation = each(layer.stride, count), each(getattr(layer, "dilation", 1), count)
    return each(layer.kernel_size, count)[i], stride[i], padding[i], dilation[i]


def _sizes(row: Row) -> list[Formula]:
    layer: Any = row.layer
    before, after = row.inputs[0], row.outputs[0]
    if isinstance(layer, nn.Flatten):
        merged = before[layer.start_dim : (layer.end_dim % len(before)) + 1]
        return [Formula("entries", f"{product(merged)} = {math.prod(merged):,}", math.prod(merged))]
    swept: Callable[[Any, int, int], tuple[str, int]]
    if isinstance(layer, CONVOLUTIONS + POOLS):
        swept = _swept
    elif isinstance(layer, TRANSPOSED):
        swept = _spread
    elif isinstance(layer, ADAPTIVE):
        swept = _asked
    else:
        return []
    count = axes_of(layer)
    sizes = list(zip(before[-count:], after[-count:], strict=True))
    lines = [
        (name, *swept(layer, i, size), out)
        for i, (name, (size, out)) in enumerate(zip(NAMES[count], sizes, strict=True))
    ]
    if len({(text, out) for _, text, _, out in lines}) == 1:
        lines = [(" = ".join(name for name, *_ in lines), *lines[0][1:])]
    return [Formula(name, text, value) for name, text, value, out in lines if value == out]


def _swept(layer: Any, i: int, size: int) -> tuple[str, int]:
    kernel, stride, padding, dilation = along(layer, i)
    if getattr(layer, "padding", None) == "same":
        return f"{size}, kept by padding of {span(kernel, dilation) - 1} in all", size
    ceil = getattr(layer, "ceil_mode", False)
    value = output_size(size, kernel, stride, padding, dilation, ceil=ceil)
    reach = span(kernel, dilation)
    exact = (size - reach + 2 * padding) / stride + 1
    text = f"({size} − {reach} + 2·{padding})/{stride} + 1 = {exact:.10g}" + (f" → {value}" if exact != value else "")
    return text + (f", the kernel spans {dilation}({kernel} − 1) + 1 = {reach}" if dilation > 1 else ""), value


def _spread(layer: Any, i: int, size: int) -> tuple[str, int]:
    kernel, stride, padding, dilation = along(layer, i)
    extra = layer.output_padding[i]
    value = transposed_output_size(size, kernel, stride, padding, dilation, extra)
    end = f" + {extra}" if extra else ""
    return f"({size} − 1)·{stride} − 2·{padding} + {dilation}({kernel} − 1) + 1{end} = {value}", value


def _asked(layer: Any, i: int, size: int) -> tuple[str, int]:
    asked = each(layer.output_size, axes_of(layer))[i]
    value = size if asked is None else asked
    return f"{value} asked for, each over about {size}/{value} = {size / value:.3g}", value


def _parameters(row: Row) -> list[Formula]:
    """By the formula of the layer's family, where the layer has as many."""
    layer: Any = row.layer
    text, value = _counted(layer)
    return [Formula("parameters", f"{text} = {value:,}", value)] if text and value == row.trainable + row.frozen else []


def _counted(layer: Any) -> tuple[str, int]:
    bias = getattr(layer, "bias", None) is not None
    if isinstance(layer, CONVOLUTIONS + TRANSPOSED):
        kernel, groups = layer.kernel_size, layer.groups
        inputs, outputs = layer.in_channels, layer.out_channels
        share, per = ("/g", f"/{groups}") if groups > 1 else ("", "")
        letters = f"{POWERS[len(kernel)]}C{share}"
        numbers = f"{_volume(kernel)}·{inputs:,}{per}"
        value = outputs * (math.prod(kernel) * inputs // groups + bias)
        return (
            (f"K({letters} + 1) = {outputs:,}({numbers} + 1)", value)
            if bias
            else (
                f"K·{letters} = {outputs:,}·{numbers}",
                value,
            )
        )
    if isinstance(layer, nn.Linear):
        inputs, outputs = layer.in_features, layer.out_features
        text = f"K(C + 1) = {outputs:,}({inputs:,} + 1)" if bias else f"K·C = {outputs:,}·{inputs:,}"
        return text, outputs * (inputs + bias)
    if isinstance(layer, BATCH_NORMS):
        return f"2C = 2·{layer.num_features:,}", 2 * layer.num_features
    if isinstance(layer, nn.GroupNorm):
        return f"2C = 2·{layer.num_channels:,}", 2 * layer.num_channels
    if isinstance(layer, nn.LayerNorm):
        return f"2C = 2·{product(layer.normalized_shape)}", 2 * math.prod(layer.normalized_shape)
    if isinstance(layer, nn.Embedding):
        rows, width = layer.num_embeddings, layer.embedding_dim
        return f"V·D = {rows:,}·{width:,}", rows * width
    if type(layer).__name__ in GATES and layer.num_layers == 1 and not layer.bidirectional and layer.bias:
        gates, width, inputs = GATES[type(layer).__name__], layer.hidden_size, layer.input_size
        text = f"{gates}H(C + H + 2) = {gates}·{width}({inputs} + {width} + 2)"
        return text, gates * width * (inputs + width + 2)
    return "", 0


def _volume(kernel: Sequence[int]) -> str:
    return f"{math.prod(kernel):,}" if len(set(kernel)) == 1 else product(kernel)


def _work(row: Row) -> list[Formula]:
    layer: Any = row.layer
    before, after = row.inputs[0], row.outputs[0]
    if isinstance(layer, CONVOLUTIONS + TRANSPOSED):
        count = axes_of(layer)
        forward = isinstance(layer, CONVOLUTIONS)
        places = list((after if forward else before)[-count:])
        batch = list(after[: len(after) - count - 1])
        groups, kernel = layer.groups, layer.kernel_size
        value = math.prod([*batch, *places, *kernel]) * layer.in_channels * layer.out_channels // groups
        share, per = ("/g", f"/{groups}") if groups > 1 else ("", "")
        where = "·".join(LETTERS[count]) + ("" if forward else " of the input")
        numbers = f"{layer.out_channels:,}·{_volume(kernel)}·{layer.in_channels:,}{per}"
        text = f"K·{POWERS[count]}C{share}·{where} = {numbers}·{product([*places, *batch])}"
    elif isinstance(layer, nn.Linear):
        rows = after[:-1]
        value = math.prod(rows) * layer.in_features * layer.out_features
        letters, times = ("rows·K·C", f"{product(rows)}·") if math.prod(rows) > 1 else ("K·C", "")
        text = f"{letters} = {times}{layer.out_features:,}·{layer.in_features:,}"
    else:
        return []
    return [Formula("multiply-adds", f"{text} = {value:,}", value)] if value == row.macs else []


def _field(row: Row) -> list[Formula]:
    """r + d(k − 1)·j of a convolution or pooling, along the first axis and the others where they differ."""
    layer: Any = row.layer
    if not isinstance(layer, CONVOLUTIONS + POOLS) or not row.before or not row.seen or row.seen.everything:
        return []
    if len(row.before.windows) != axes_of(layer) or any(w.stride.denominator > 1 for w in row.before.windows):
        return []
    found: dict[str, Formula] = {}
    for i, (old, new) in enumerate(zip(row.before.windows, row.seen.windows, strict=True)):
        kernel, stride, _, dilation = along(layer, i)
        wide = f"{dilation}({kernel} − 1)" if dilation > 1 else f"({kernel} − 1)"
        text = f"r + d(k − 1)j = {old.size} + {wide}·{old.stride} = {new.size}"
        text += f", stride {old.stride}·{stride} = {new.stride}"
        found[text] = Formula(f"{NAMES[axes_of(layer)][i]} field", text, new.size)
    one = len(found) == 1
    return [replace(formula, of="receptive field") if one else formula for formula in found.values()]


def shape_text(shape: Shape) -> str:
    """[1, 32, 112, 112]"""
    return str(list(shape))
