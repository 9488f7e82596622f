"""Losses over lines and planes as one figure: runs below one another, all on the same scales."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thetastar.functional.drawing import INK, LINE, PAPER, SECOND, SERIES, SOFT, STEPS, vega

SIDE, GAP, LEFT, TOP = 300, 78, 56, 26  # pixels: a plane, between two, room for the axis, for the title
WIDE, LOW = 2 * SIDE + GAP, 190  # the one-dimensional slices

Spec = dict[str, Any]


@dataclass(frozen=True)
class Slice:
    """Losses over a grid: `axes` hold its places, the first varying fastest."""

    axes: list[list[float]]
    losses: list[Any]


@dataclass(frozen=True)
class Track:
    """A plane with a path in it, and what its two axes are."""

    plane: Slice
    places: list[list[float]]
    axes: tuple[str, str]


@dataclass(frozen=True)
class Panels:
    """What is drawn of one run."""

    name: str
    line: Slice
    plane: Slice
    track: Track


def figure(runs: Sequence[Panels], label: str) -> str:
    """All runs along one random direction above; below, for each, two of them and the plane of its path."""
    levels = thresholds([run.plane for run in runs] + [run.track.plane for run in runs])
    data: list[Spec] = []
    marks = [lines(runs)]
    top = TOP + LOW + 72
    for number, run in enumerate(runs):
        title = f"{run.name}: two random directions" if len(runs) > 1 else "two random directions"
        where = f"{run.name}: where it went" if len(runs) > 1 else "where training went"
        axes = ("first direction", "second")
        for place, plane, named, name in ((0, run.plane, axes, title), (1, run.track.plane, run.track.axes, where)):
            data.append(grid(f"grid{number}{place}", plane, levels))
            left = LEFT + place * (SIDE + GAP)
            track = run.track.places if place else []
            marks.append(panel(f"grid{number}{place}", levels, plane, (left, top), (name, named[0], named[1]), track))
        top += SIDE + 86
    marks.append(legend(levels, top - 16))
    return vega({"width": LEFT + WIDE + 8, "height": top + 34, "data": data, "marks": marks}, label)


def thresholds(planes: Sequence[Slice]) -> list[float]:
    """Eight losses between the lowest and a high one, evenly on a logarithmic scale where all are positive."""
    values = sorted(v for plane in planes for row in plane.losses for v in row if math.isfinite(v))
    low, high = values[0], values[int(0.98 * (len(values) - 1))]
    high = max(high, low + 1e-3 * max(abs(low), 1.0))  # losses that are all the same get shades too
    inner = len(STEPS)
    if low <= 0:
        return [low + (high - low) * k / inner for k in range(1, inner)]
    low = max(low, high * 1e-4)  # the depth of a pit must not take all shades
    return [low * (high / low) ** (k / inner) for k in range(1, inner)]


def grid(name: str, plane: Slice, levels: Sequence[float]) -> Spec:
    """Contours of one plane, from above to below as they are drawn; what is not finite counts as very high."""
    rows = [[v if math.isfinite(v) else 2 * levels[-1] for v in row] for row in reversed(plane.losses)]
    count = len(rows)
    # a value lies in the middle of its cell: moved by half a one, the outermost values lie on the border
    cell = SIDE / (count - 1)
    moved = {"scale": cell, "translate": [-cell / 2, -cell / 2]}
    transform = {"type": "isocontour", "thresholds": list(levels), "smooth": True, **moved}
    entry = {"width": count, "height": count, "values": list(itertools.chain.from_iterable(rows))}
    return {"name": name, "values": [entry], "transform": [transform]}


def axis(orient: str, title: str, drawn: bool = False) -> Spec:
    scale = "x" if orient == "bottom" else "y"
    return {"orient": orient, "scale": scale, "title": title, "tickCount": 5, "grid": drawn, "format": "~g"}


def group(corner: tuple[int, int], size: tuple[int, int], title: str, inside: Spec) -> Spec:
    place = {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1]}
    encode = {"enter": {name: {"value": value} for name, value in place.items()}}
    own = [{"name": "width", "value": size[0]}, {"name": "height", "value": size[1]}]  # as far as lines of its grid go
    head = fixed("text", y=-10, text=title, fill=INK, fontSize=13, fontWeight=600)
    return {"type": "group", "encode": encode, "signals": own, **inside, "marks": [head, *inside["marks"]]}


def scales(across: Sequence[float], up: Sequence[float], size: tuple[int, int], kind: str = "linear") -> list[Spec]:
    exact = {"zero": False, "nice": False}
    x = {"name": "x", "type": "linear", "domain": list(across), "range": [0, size[0]], **exact}
    return [x, {"name": "y", "type": kind, "domain": list(up), "range": [size[1], 0], **exact}]


def panel(
    name: str,
    levels: Sequence[float],
    plane: Slice,
    corner: tuple[int, int],
    words: tuple[str, str, str],
    track: Sequence[Sequence[float]],
) -> Spec:
    """Filled contours, the path where there is one, a ring at θ*."""
    across, up = ((axis[0], axis[-1]) for axis in plane.axes)
    floor = fixed("rect", width=SIDE, height=SIDE, fill=STEPS[-1])
    shade = {"scale": "shade", "field": "contour.value"}
    colours = {"name": "shade", "type": "ordinal", "domain": list(levels), "range": list(reversed(STEPS[:-1]))}
    hills = {"type": "path", "clip": True, "from": {"data": name}, "encode": {"enter": {
        "stroke": {"value": PAPER}, "strokeWidth": {"value": 0.5}, "fill": shade}},
        "transform": [{"type": "geopath", "field": "datum.contour"}]}  # fmt: skip
    points = [{"x": x, "y": y} for x, y in track]
    place = {"x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"}}
    ring = {"stroke": {"value": INK}, "strokeWidth": {"value": 1.5}, "fill": {"value": PAPER}, "size": {"value": 70}}
    way = [
        {"type": "line", "clip": True, "from": {"data": "track"},
         "encode": {"enter": {**place, "stroke": {"value": SECOND}, "strokeWidth": {"value": 2}}}},
        {"type": "symbol", "clip": True, "from": {"data": "track"},
         "encode": {"enter": {**place, "fill": {"value": SECOND}, "size": {"value": 10}}}},
    ]  # fmt: skip
    end = {"type": "symbol", "encode": {"enter": {
        **ring, "x": {"scale": "x", "value": 0}, "y": {"scale": "y", "value": 0}}}}  # fmt: skip
    inside = {
        "data": [{"name": "track", "values": points}],
        "scales": [*scales(across, up, (SIDE, SIDE)), colours],
        "axes": [axis("bottom", words[1]), axis("left", words[2])],
        "marks": [floor, hills, *(way if points else []), end],
    }
    return group(corner, (SIDE, SIDE), words[0], inside)


def lines(runs: Sequence[Panels]) -> Spec:
    """The loss of every run along one random direction."""
    values = [v for run in runs for v in run.line.losses if math.isfinite(v)]
    low, high = min(values), max(values)
    rows = [
        {"name": run.name, "x": x, "y": y, "colour": SERIES[number % len(SERIES)], "last": x == run.line.axes[0][-1]}
        for number, run in enumerate(runs)
        for x, y in zip(run.line.axes[0], run.line.losses, strict=True)
        if math.isfinite(y)
    ]
    place = {"x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"}}
    each = {"facet": {"name": "each", "data": "rows", "groupby": ["name"]}}
    stroke = {"type": "line", "from": {"data": "each"}, "encode": {"enter": {
        **place, "stroke": {"field": "colour"}, "strokeWidth": {"value": 2}}}}  # fmt: skip
    marks: list[Spec] = [{"type": "group", "from": each, "marks": [stroke]}]
    right = float(WIDE)
    for number, run in reversed(
        [*enumerate(runs)] if len(runs) > 1 else []
    ):  # beside the title, so that none is hidden
        colour = SERIES[number % len(SERIES)]
        marks.append(fixed("text", x=right, y=-10, text=run.name, align="right", fill=colour, fontWeight=600))
        right -= 7.2 * len(run.name) + 16
    inside = {
        "data": [{"name": "rows", "values": rows}],
        "scales": scales((-1, 1), (low, high), (WIDE, LOW), "log" if low > 0 and high > 30 * low else "linear"),
        "axes": [axis("bottom", "α: from θ* along one random direction"), axis("left", "loss", drawn=True)],
        "marks": marks,
    }
    return group((LEFT, TOP), (WIDE, LOW), "one random direction", inside)


def legend(levels: Sequence[float], top: int) -> Spec:
    """The shades, with the losses between them."""
    step = WIDE / len(STEPS)
    marks = [fixed("text", x=LEFT, y=top - 8, text="loss, the same shades everywhere; the ring is θ*", fill=SOFT)]
    for number, shade in enumerate(reversed(STEPS)):
        marks.append(fixed("rect", x=LEFT + number * step, y=top, width=step, height=12, fill=shade, stroke=LINE))
    for number, level in enumerate(levels, 1):
        words = f"{level:.3g}"
        marks.append(fixed("text", x=LEFT + number * step, y=top + 28, text=words, align="center", fill=SOFT))
    return {"type": "group", "marks": marks}


def fixed(kind: str, **values: Any) -> Spec:
    """A mark that no data move."""
    return {"type": kind, "encode": {"enter": {name: {"value": value} for name, value in values.items()}}}
