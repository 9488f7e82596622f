"""Follows through a forward pass which entries of the input each number can see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from thetastar.functional.convolution import Window


@dataclass(frozen=True)
class Seen:
    """What a tensor's numbers see of the input.

    Attributes:
        axes: those of the tensor along which the place in the input changes.
        windows: one an axis of the input, in its order; () is everything.
    """

    axes: tuple[int, ...]
    windows: tuple[Window, ...]

    @property
    def everything(self) -> bool:
        return not self.windows

    def at(self, axes: Iterable[int]) -> Seen:
        """The same along other axes; windows keep their order unless each has an axis of its own."""
        found = tuple(axes)
        order = sorted(range(len(found)), key=found.__getitem__)
        matched = len(found) == len(self.windows) == len(self.axes)
        windows = tuple(self.windows[i] for i in order) if matched else self.windows
        return Seen(tuple(sorted(found)), windows)


EVERYTHING = Seen((), ())
SAME = {
    *("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "_prelu_kernel"),
    *("_to_copy", "alias", "detach", "lift_fresh", "native_dropout", "glu"),
}
POOLS = {f"{kind}_pool{n}d{end}" for kind in ("max", "avg") for n in (1, 2, 3) for end in ("", "_with_indices")}
ADAPTIVE = {f"{kind}adaptive_{of}_pool{n}d" for kind in ("", "_") for of in ("avg", "max") for n in (1, 2, 3)}
MATRIX = {"mm", "bmm", "addmm", "baddbmm"}


class Sight(TorchDispatchMode):
    """Watches every operation while it is entered; what it does not understand, it says nothing of.

    Args:
        x: the input: (batch, channels, places, …).
        places: whether there are any; (batch, steps, entries) has none.
    """

    def __init__(self, x: Tensor, *, places: bool) -> None:
        super().__init__()
        self.known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        if places:
            self.known[x] = Seen(tuple(range(2, x.ndim)), (Window(),) * (x.ndim - 2))

    def of(self, tensor: Any) -> Seen | None:
        return self.known.get(tensor) if isinstance(tensor, Tensor) else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = [(leaf, seen) for leaf in tree_leaves((args, kwargs)) if (seen := self.of(leaf)) is not None]
        if inputs:
            for result in tree_leaves(out):
                if isinstance(result, Tensor):
                    self._learn(result, _after(func, args, inputs, result))
        return out

    def _learn(self, result: Tensor, seen: Seen | None) -> None:
        if seen is not None:
            self.known[result] = seen
        else:
            self.known.pop(result, None)


def _after(func: Any, args: Sequence[Any], inputs: list[tuple[Tensor, Seen]], out: Tensor) -> Seen | None:
    name = func.overloadpacket.__name__
    if 0 in out.shape:
        return None
    if any(seen.everything for _, seen in inputs):
        return EVERYTHING
    x, seen = inputs[0]
    if name == "convolution" or name in POOLS or name in ADAPTIVE or name.startswith("upsample_nearest"):
        return _swept(name, args, seen, x, out)
    if name == "native_batch_norm" and args[5]:  # by the moments of the very map: instance norm
        return EVERYTHING
    if torch.Tag.pointwise in func.tags or name in SAME or name == "cat":
        return _together(inputs, out.ndim) if out.shape else None
    if name in MATRIX:
        return _product(args[1:3] if name in ("addmm", "baddbmm") else args[:2], inputs, out)
    return RULES[name](args, seen, x, out) if name in RULES else None


def _swept(name: str, args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    """Convolutions and poolings: windows grow along the trailing axes."""
    count = len(args[3]) if name == "convolution" else int(name.split("d_")[0].rstrip("d")[-1])
    swept = range(x.ndim - count, x.ndim)
    if len(seen.axes) != len(seen.windows):  # places and batch were one axis for a while
        if count != len(seen.windows) or not set(swept) <= set(seen.axes):
            return None
        seen = Seen(tuple(swept), seen.windows)
    if name == "convolution" and 1 in seen.axes:
        return None
    windows = list(seen.windows)
    for i, axis in enumerate(seen.axes):
        if axis in swept:
            windows[i] = _grown(name, args, axis - swept[0], windows[i], x.shape[axis], out.shape[axis])
    pooled = name in POOLS or name in ADAPTIVE
    whole = pooled and all(out.shape[axis] == 1 and axis in swept for axis in seen.axes)
    axes = zip(windows, seen.windows, seen.axes, strict=True)
    covered = all(new.size >= old.size + old.stride * (x.shape[axis] - 1) for new, old, axis in axes)
    return EVERYTHING if whole and covered else Seen(seen.axes, tuple(windows))


def _grown(name: str, args: Sequence[Any], i: int, window: Window, size: int, places: int) -> Window:
    def pick(position: int, default: int = 1) -> int:
        values = args[position] if len(args) > position else ()
        return (values[i] if len(values) > 1 else values[0]) if values else default

    if name == "convolution":
        kernel = args[1].shape[2 + i]
        grow = window.transposed if args[6] else window.through
        return grow(kernel, pick(3), pick(4, 0), pick(5))
    if name in ADAPTIVE:
        return window.adaptive(size, places)
    if name.startswith("upsample"):
        factor = Fraction(places, size)
        if factor.denominator == 1:
            return window.transposed(int(factor), int(factor))
        return replace(window, stride=window.stride / factor)
    kernel = pick(1)
    return window.through(kernel, pick(2, kernel), pick(3, 0), pick(4) if name.startswith("max") else 1)


def _together(inputs: list[tuple[Tensor, Seen]], ndim: int) -> Seen | None:
    """What a sum or a concatenation sees; operands of fewer axes are aligned at the end."""
    moved = [Seen(tuple(a + ndim - x.ndim for a in seen.axes), seen.windows) for x, seen in inputs]
    windows = moved[0].windows
    axes = set(moved[0].axes)
    for seen in moved[1:]:
        if len(seen.windows) != len(windows):
            return None
        windows = tuple(a.joined(b) for a, b in zip(windows, seen.windows, strict=True))
        axes |= set(seen.axes)
    return Seen(tuple(sorted(axes)), windows)


def _product(operands: Sequence[Tensor], inputs: list[tuple[Tensor, Seen]], out: Tensor) -> Seen | None:
    """A matrix product sums over the last axis of the left operand and the last but one of the right."""
    axes: set[int] = set()
    parts = [(x, seen) for x, seen in inputs if any(x is operand for operand in operands)]
    for x, seen in parts:
        summed, kept = (x.ndim - 1, x.ndim - 2) if x is operands[0] else (x.ndim - 2, x.ndim - 1)
        if summed in seen.axes:
            return EVERYTHING
        axes |= {out.ndim - (2 if x is operands[0] else 1) if axis == kept else axis for axis in seen.axes}
    joined = _together(parts, out.ndim) if parts else None
    return Seen(tuple(sorted(axes)), joined.windows) if joined else None


def _reshaped(_: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen:
    """Axes that are split or merged hand their places on to all axes that they become."""
    axes: set[int] = set()
    for old, new in _groups(list(x.shape), list(out.shape)):
        carried = [axis for axis in old if axis in seen.axes]
        if carried:
            same = [x.shape[i] for i in old] == [out.shape[i] for i in new]
            axes |= {new[old.index(axis)] for axis in carried} if same else {i for i in new if out.shape[i] > 1}
    return Seen(tuple(sorted(axes)), seen.windows)


def _groups(old: list[int], new: list[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of axes of both shapes with as many entries."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = list(range(i, min(i + 1, len(old)))), list(range(j, min(j + 1, len(new))))
        a, b = (old[i] if left else 1), (new[j] if right else 1)
        i, j = i + len(left), j + len(right)
        while a != b:
            if a < b:
                a, i, left = a * old[i], i + 1, [*left, i]
            else:
                b, j, right = b * new[j], j + 1, [*right, j]
        found.append((left, right))
    return found


def _permuted(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen:
    order = [int(axis) % x.ndim for axis in args[1]]
    return seen.at(order.index(axis) for axis in seen.axes)


def _transposed(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen:
    first, second = (int(args[1]) % x.ndim, int(args[2]) % x.ndim) if len(args) > 2 else (0, x.ndim - 1)
    swap = {first: second, second: first}
    return seen.at(swap.get(axis, axis) for axis in seen.axes)


def _over_axes(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    """Sums, means, maxima: over places, what is left sees everything."""
    given = args[1] if len(args) > 1 else None
    listed = [given] if isinstance(given, int) else list(given or range(x.ndim))
    gone = sorted(int(axis) % x.ndim for axis in listed)
    if set(gone) & set(seen.axes):
        return EVERYTHING if set(seen.axes) <= set(gone) or len(seen.axes) != len(seen.windows) else None
    if out.ndim == x.ndim:
        return seen
    return Seen(tuple(axis - sum(one < axis for one in gone) for axis in seen.axes), seen.windows)


def _normalised(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    """Layer norm mixes the trailing axes; its moments have fewer of them and concern nobody else."""
    mixed = range(x.ndim - len(args[1]), x.ndim)
    return EVERYTHING if set(mixed) & set(seen.axes) else seen


def _softmax(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen:
    return EVERYTHING if int(args[1]) % x.ndim in seen.axes else seen


def _unsqueezed(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen:
    at = int(args[1]) % out.ndim
    return Seen(tuple(axis + (axis >= at) for axis in seen.axes), seen.windows)


def _without(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    """`select` and `squeeze`: an axis goes."""
    if out.ndim == x.ndim or len(args) < 2:
        return seen if out.shape == x.shape else None
    gone = [int(axis) % x.ndim for axis in (args[1] if isinstance(args[1], list | tuple) else [args[1]])]
    if set(gone) & set(seen.axes) or out.ndim + len(gone) != x.ndim:
        return None
    return Seen(tuple(axis - sum(one < axis for one in gone) for axis in seen.axes), seen.windows)


def _unbound(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    return _without((x, args[1] if len(args) > 1 else 0), seen, x, out)


def _padded(args: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    """Padding by a constant moves where the first place lies."""
    if len(seen.axes) != len(seen.windows):
        return None
    before = {x.ndim - 1 - i: int(args[1][2 * i]) for i in range(len(args[1]) // 2)}
    moved = (w.through(1, 1, before.get(axis, 0)) for axis, w in zip(seen.axes, seen.windows, strict=True))
    return Seen(seen.axes, tuple(moved))


def _kept(_: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    return Seen(tuple(axis + out.ndim - x.ndim for axis in seen.axes), seen.windows)


def _all(_: Sequence[Any], seen: Seen, x: Tensor, out: Tensor) -> Seen | None:
    return EVERYTHING


Rule = Callable[[Sequence[Any], Seen, Tensor, Tensor], Seen | None]
RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _reshaped),
    **dict.fromkeys(("transpose", "t", "numpy_T"), _transposed),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "logsumexp"), _over_axes),
    **dict.fromkeys(("_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("select", "squeeze"), _without),
    **dict.fromkeys(("expand", "slice", "split", "split_with_sizes", "unsafe_split"), _kept),
    **dict.fromkeys(("native_group_norm", "_scaled_dot_product_flash_attention_for_cpu"), _all),
    **dict.fromkeys(("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention"), _all),
    "permute": _permuted,
    "native_layer_norm": _normalised,
    "unbind": _unbound,
    "unsqueeze": _unsqueezed,
    "constant_pad_nd": _padded,
}
