"""A convolution in four steps: patches, a product of matrices, the bias, and back to an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.explain.drawing import bold, sheet, text
from thetastar.explain.settings import chosen, offers
from thetastar.explain.showing import Shown
from thetastar.functional.convolution import convolve, convolve_transposed, output_size, patches, unread

NUMBERS = {  # default, least, largest
    "size": (5, 1, 7),
    "channels": (1, 1, 4),
    "filters": (1, 1, 4),
    "kernel": (3, 1, 4),
    "stride": (1, 1, 4),
    "padding": (0, 0, 3),
    "dilation": (1, 1, 3),
    "groups": (1, 1, 4),
}
MOST_ROWS, MOST_COLUMNS = 36, 18  # of the matrix of patches: it must fit on a screen
CELL, EDGE, GAP = 18, 12, 14  # of the drawing, in pixels
PHONE, LABEL = 374, 70  # of the whole on a phone, and of what stands above the output
PLACE = 1  # the one that is followed: the second, or the only one


@dataclass(frozen=True)
class Steps:
    """x → patches → product → product + bias → image, all of whole numbers.

    Attributes:
        x: (channels, H, W); `padded` the same with its border.
        taken: (places, channels · k²), the matrix P.
        matrix: (filters, channels · k²), W as one matrix: 0 where a filter is of another group.
        product: (places, filters), P Wᵀ.
        y: (filters, H', W').
        touched: (places, k²), the entries of the padded image that a place sees.
    """

    x: Tensor
    padded: Tensor
    taken: Tensor
    matrix: Tensor
    bias: Tensor
    product: Tensor
    y: Tensor
    touched: Tensor


def show(arguments: list[str]) -> Shown:
    """`size=5 channels=1 filters=1 kernel=3 stride=1 padding=0 dilation=1 groups=1`, in any order."""
    _, given = chosen("convolution", arguments, {}, NUMBERS)
    asked = {name: int(value) for name, value in given.items()}
    if fraction := [name for name, value in given.items() if value != int(value)]:
        raise UserError(f"{fraction[0]}={given[fraction[0]]:g}", "a whole number", "choose another")
    steps = walked(asked)
    label = "A convolution in four steps: patches, a product of matrices, the bias, and back to an image"
    data = {
        **asked,
        "input": steps.x.tolist(),
        "patches": steps.taken.tolist(),
        "weights": steps.matrix.tolist(),
        "bias": steps.bias.tolist(),
        "product": steps.product.tolist(),
        "output": steps.y.tolist(),
        "adjoint": adjoint(asked, steps),
        "deviations": deviations(asked, steps),
    }
    return Shown(told(asked, steps, data), data, figure(asked, steps, label), label)


def walked(asked: dict[str, int]) -> Steps:
    """The four steps on small whole numbers, which can be recomputed by hand."""
    size, channels, filters, kernel = (asked[name] for name in ("size", "channels", "filters", "kernel"))
    stride, padding, dilation, groups = (asked[name] for name in ("stride", "padding", "dilation", "groups"))
    side = output_size(size, kernel, stride, padding, dilation)
    if side < 1:
        got = f"a kernel of {kernel} with dilation {dilation} on {size}×{size} and padding {padding}: it fits nowhere"
        raise UserError(got, "an image at least as large as the kernel's reach", "enlarge size or padding")
    if channels % groups or filters % groups:
        raise UserError(
            f"{channels} channels and {filters} filters in {groups} groups", "as many in each", "change one"
        )
    if side * side > MOST_ROWS or channels * kernel * kernel > MOST_COLUMNS:
        got = f"a matrix of {side * side} × {channels * kernel * kernel} patches"
        raise UserError(got, f"at most {MOST_ROWS} × {MOST_COLUMNS}", "choose fewer places or smaller kernels")
    count = torch.arange(1, channels * size * size + 1)
    x = (count * (count + 5) * 3 // 7 % 10).view(channels, size, size)  # digits without a pattern
    edge = torch.arange(kernel) - (kernel - 1) // 2  # −1 0 1 for a kernel of 3
    down, across = edge.expand(kernel, kernel).T, edge.expand(kernel, kernel)
    kinds = torch.stack([across, down, across + down, torch.ones_like(across)])
    weight = kinds[torch.arange(filters) % 4][:, None].repeat(1, channels // groups, 1, 1)
    bias = torch.arange(1, filters + 1)
    taken = patches(x[None].float(), *((n, n) for n in (kernel, stride, padding, dilation)))[0].to(x.dtype)
    taken = taken.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)  # (places, channels · kernel²)
    blocks = weight.flatten(1).unflatten(0, (groups, -1))
    matrix = torch.block_diag(*blocks) if groups > 1 else blocks[0]
    product = taken @ matrix.T
    y = (product + bias).T.unflatten(1, (side, side))
    padded = F.pad(x, (padding,) * 4)
    spots = torch.arange(padded[0].numel(), dtype=torch.float32).view(1, 1, *padded.shape[1:])
    touched = patches(spots, (kernel, kernel), (stride, stride), dilation=(dilation, dilation))[0, 0]
    return Steps(x, padded, taken, matrix, bias, product, y, touched.flatten(2).flatten(0, 1).long())


def kernels(asked: dict[str, int], steps: Steps) -> Tensor:
    """The weights as torch keeps them: (filters, channels / groups, k, k)."""
    filters, each = asked["filters"], asked["channels"] // asked["groups"]
    own = asked["filters"] // asked["groups"]
    width = each * asked["kernel"] ** 2
    rows = [steps.matrix[o, o // own * width : (o // own + 1) * width] for o in range(filters)]
    return torch.stack(rows).view(filters, each, asked["kernel"], asked["kernel"]).double()


def geometry(asked: dict[str, int]) -> dict[str, Any]:
    """Stride, padding and dilation along both axes, as convolutions take them."""
    return {name: (asked[name], asked[name]) for name in ("stride", "padding", "dilation")}


def deviations(asked: dict[str, int], steps: Steps) -> dict[str, float]:
    """Of the four steps, and of the function that takes them for any numbers, from torch's convolution."""
    weight, groups = kernels(asked, steps), asked["groups"]
    known = F.conv2d(steps.x[None].double(), weight, steps.bias.double(), **geometry(asked), groups=groups)[0]
    ours = convolve(steps.x[None].double(), weight, steps.bias.double(), **geometry(asked), groups=groups)[0]
    return {"steps": (steps.y - known).abs().max().item(), "function": (ours - known).abs().max().item()}


def adjoint(asked: dict[str, int], steps: Steps) -> dict[str, float]:
    """⟨Kx, y⟩ and ⟨x, Kᵀy⟩ for a y of 1, 2, 3, …"""
    weight, groups = kernels(asked, steps), asked["groups"]
    forward = steps.y.double() - steps.bias[:, None, None]
    y = torch.arange(1, forward.numel() + 1).view_as(forward).double()
    padded = asked["size"] + 2 * asked["padding"]
    rest = unread(padded, asked["kernel"], asked["stride"], 0, asked["dilation"])
    back = convolve_transposed(y[None], weight, extra=(rest, rest), groups=groups, **geometry(asked))[0]
    return {"forward": (forward * y).sum().item(), "backward": (steps.x * back).sum().item()}


def told(asked: dict[str, int], steps: Steps, data: dict[str, Any]) -> list[RenderableType]:
    size, kernel, stride, padding, dilation = (
        asked[name] for name in ("size", "kernel", "stride", "padding", "dilation")
    )
    places, columns = steps.taken.shape
    side = steps.y.shape[1]
    reach = f"{dilation}·({kernel} − 1)" if dilation > 1 else f"({kernel} − 1)"
    sides = f"⌊({size} + 2·{padding} − {reach} − 1)/{stride}⌋ + 1 = {side}"
    around = f", with {padding} rows and columns of 0 on every side" if padding else ""
    apart = f" Filters see the channels of their own group alone: W has {asked['groups']} blocks, and 0 elsewhere."
    return [
        Text(f"x: {shaped(steps.x)}{around}\n{images(steps.padded)}\n"),
        Text(
            f"1. Patches: the kernel has {side}×{side} places, {sides}; at each it sees {columns} numbers, a row of P"
            f"\n{grid(steps.taken)}\n"
        ),
        Text(
            f"2. Weights: a row of W for every filter, P Wᵀ is ({places}×{columns})·({columns}×{len(steps.matrix)})."
            f"{apart if asked['groups'] > 1 else ''}\n{grid(steps.matrix)}\n"
        ),
        Text(f"3. Bias: b = {', '.join(map(str, steps.bias.tolist()))} is added to its column\n{sums(steps)}\n"),
        Text(f"4. Reshape: every column becomes an image of {side}×{side}\n{images(steps.y)}\n"),
        Text(f"torch's conv2d differs by {data['deviations']['steps']:g}.\n"),
        Text(
            "The way back, Kᵀ, multiplies by W and lays every patch where it was taken: a transposed convolution, and\n"
            "what backpropagation does. It is the adjoint: with y = 1, 2, 3, … both sides of ⟨Kx, y⟩ = ⟨x, Kᵀy⟩ are "
            f"{data['adjoint']['forward']:g}".replace("-", "−")
            + ".\n"
        ),
        Text(offers({}, NUMBERS)),
    ]


def shaped(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))


def number(value: int) -> str:
    return str(value).replace("-", "−")


def grid(matrix: Tensor) -> str:
    rows = [[number(value) for value in row] for row in matrix.tolist()]
    width = max(len(cell) for row in rows for cell in row)
    return "\n".join("  " + " ".join(cell.rjust(width) for cell in row) for row in rows)


def images(channels: Tensor) -> str:
    return "\n\n".join(grid(channel) for channel in channels)


def sums(steps: Steps) -> str:
    """P Wᵀ + b, a line for every place."""
    lines = []
    for row in steps.product.tolist():
        cells = [
            f"{number(value):>4} + {offset} = {number(value + offset):>4}"
            for value, offset in zip(row, steps.bias.tolist(), strict=True)
        ]
        lines.append("  " + "    ".join(cells))
    return "\n".join(lines)


# --- the drawing -------------------------------------------------------------------------------------------------


def figure(asked: dict[str, int], steps: Steps, label: str) -> str:
    """The steps one below the other, narrow enough for a phone; one place is followed through all of them."""
    followed = min(PLACE, len(steps.taken) - 1)
    side = steps.y.shape[1]
    parts, y = list[str](), 20.0

    def headed(words: str, under: str = "") -> None:
        nonlocal y
        parts.append(bold(EDGE, y, words))
        parts.extend([text(EDGE, y + 15, under, "soft")] if under else [])
        y += 28 if under else 12

    headed("x with its padding", "the kernel at one of its places")
    parts.append(row_of(steps.padded, EDGE, y, set(steps.touched[followed].tolist()), border=asked["padding"]))
    y += steps.padded.shape[1] * CELL + 32
    columns, filters = steps.taken.shape[1], len(steps.matrix)
    narrow, wide = width_in_p(steps), width_in_y(steps)
    beside = EDGE + columns * narrow + GAP
    headed("1. patches: P, a row for every place", " ")
    parts.append(text(beside, y - 6, "3. P Wᵀ + b"))
    for i, (seen, summed) in enumerate(zip(steps.taken, steps.product + steps.bias, strict=True)):
        here = i == followed
        parts.append(cells(seen[None], EDGE, y + i * CELL, {*range(columns)} if here else set(), narrow))
        parts.append(cells(summed[None], beside, y + i * CELL, {*range(filters)} if here else set(), wide))
    y += len(steps.taken) * CELL + 32
    headed("2. weights: W, a row for every filter")
    parts.append(cells(steps.matrix, EDGE, y, set(), narrow))
    parts.append(text(beside, y + 13, f"b = {', '.join(map(str, steps.bias.tolist()))}"))
    y += filters * CELL + 32
    headed("4. reshape: every column becomes an image")
    parts.append(row_of(steps.y, EDGE, y, {followed}, wide))
    y += side * CELL + EDGE
    pictures = [len(one) * (one.shape[2] * cell + GAP) for one, cell in ((steps.padded, CELL), (steps.y, wide))]
    width = max(columns * narrow + GAP + max(filters * wide, LABEL), *pictures, 300) + 2 * EDGE
    return sheet("".join(parts), width, y, label)


def width_in_p(steps: Steps) -> float:
    """Of a cell of P and W: all columns are to fit on a phone, beside what comes out."""
    room = PHONE - 2 * EDGE - GAP - max(len(steps.matrix) * width_in_y(steps), LABEL)
    return min(CELL, room / steps.taken.shape[1])


def width_in_y(steps: Steps) -> float:
    """Of a cell that holds any number of the output."""
    return max(CELL, 7.5 * max(len(str(value)) for value in steps.y.flatten().tolist()) + 6)


def row_of(channels: Tensor, x: float, y: float, marked: set[int], wide: float = CELL, border: int = 0) -> str:
    """Images side by side."""
    step = channels.shape[2] * wide + GAP
    return "".join(cells(one, x + i * step, y, marked, wide, border) for i, one in enumerate(channels))


def cells(matrix: Tensor, x: float, y: float, marked: set[int], wide: float = CELL, border: int = 0) -> str:
    """A table of numbers; `marked` ones are counted row by row, and a border is grey."""
    rows, columns = matrix.shape
    found: list[str] = []
    for place, value in enumerate(matrix.flatten().tolist()):
        i, j = divmod(place, columns)
        outside = min(i, j, rows - 1 - i, columns - 1 - j) < border
        here = f'x="{x + j * wide:.1f}" y="{y + i * CELL:.1f}" width="{wide:.1f}" height="{CELL}"'
        kind = "marked" if place in marked else "paper" if outside else "card"
        found.append(f'<rect class="{kind} cell" {here}/>')
        words = "soft" if outside or value == 0 else "ink"
        size = 11 if wide >= CELL else 10 if wide >= 14 else 9
        found.append(text(x + (j + 0.5) * wide, y + i * CELL + 13, number(value), words, size, "middle"))
    return "".join(found)
