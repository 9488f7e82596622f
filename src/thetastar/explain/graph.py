"""Computational graphs as drawings: boxes in columns from left to right, an arrow for every argument.

Long arrows are led past the boxes of the columns between; the order in a column comes from the mean place of its
neighbours, the heights from least squares without overlaps.

Source: Sugiyama, Tagawa and Toda 1981, Methods for visual understanding of hierarchical system structures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from sklearn.isotonic import isotonic_regression

from thetastar.explain.drawing import bold, breadth, sheet, text

LINE, CELL, PAD, GAP = 14.0, 50.0, 8.0, 26.0  # pixels: a row, a number, inside a box, between boxes
BEND, TOP, SMALL = 14.0, 44.0, 10.0  # height of an arrow that passes a column; room for the legend; letters on arrows


@dataclass(frozen=True)
class Box:
    """A value: its name and formula, its numbers and its gradient in rows, when it was visited."""

    name: str
    formula: str
    rows: Sequence[Sequence[str]]
    gradient: Sequence[Sequence[str]]
    visit: int

    @property
    def heading(self) -> str:
        """What follows the name: its formula, or its shape alone."""
        return self.formula if not self.formula or self.formula.startswith("(") else f"= {self.formula}"

    @property
    def width(self) -> float:
        numbers = CELL * max(len(row) for row in [*self.rows, *self.gradient])
        return max(numbers, strong(self.name) + breadth(self.heading) + 26) + 2 * PAD

    @property
    def height(self) -> float:
        return LINE * (1 + len(self.rows) + len(self.gradient)) + 2 * PAD + 6


@dataclass(frozen=True)
class Arrow:
    """From an argument to what it was used for; `words` are the local derivative, a line each."""

    source: str
    target: str
    words: Sequence[str]

    @property
    def width(self) -> float:
        return max(breadth(line, SMALL) for line in self.words) + 6

    @property
    def height(self) -> float:
        return 12.0 * len(self.words) + 4


@dataclass
class Place:
    """A rectangle by its centre."""

    x: float
    y: float
    width: float
    height: float

    def touches(self, other: Place) -> bool:
        apart_x = abs(self.x - other.x) >= (self.width + other.width) / 2
        return not (apart_x or abs(self.y - other.y) >= (self.height + other.height) / 2)


@dataclass
class Layout:
    """Where everything stands; `routes` are the points that an arrow passes, `labels` where its words are."""

    boxes: dict[str, Place]
    routes: list[list[tuple[float, float]]] = field(default_factory=list)
    labels: list[Place] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def strong(name: str) -> float:
    """Room for a name in bold letters."""
    return 1.15 * breadth(name) + 5


def columns_of(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> dict[str, int]:
    """Column of each box: as near to the end as what uses it allows, so that few arrows are long."""
    before: dict[str, int] = {}
    for box in reversed(boxes):
        uses = [before[arrow.target] for arrow in arrows if arrow.source == box.name]
        before[box.name] = 1 + max(uses) if uses else 0
    return {box.name: max(before.values()) - before[box.name] for box in boxes}


def chains_of(arrows: Sequence[Arrow], column: Mapping[str, int]) -> list[list[str]]:
    """Each arrow as stations, one a column: its ends and, between, names of its own."""
    return [
        [arrow.source, *(f"{number}:{c}" for c in range(column[arrow.source] + 1, column[arrow.target])), arrow.target]
        for number, arrow in enumerate(arrows)
    ]


def ordered(column: Mapping[str, int], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """Stations of each column from top to bottom, by the mean place of their neighbours, with the fewest crossings."""
    station = dict(column)
    for chain in chains:
        station |= {name: column[chain[0]] + i for i, name in enumerate(chain)}
    layers = [[name for name in station if station[name] == c] for c in range(max(station.values()) + 1)]
    pairs = [pair for chain in chains for pair in itertools.pairwise(chain)]
    best, fewest = [list(layer) for layer in layers], crossings(layers, pairs)
    for sweep in range(24):
        place = {name: i / max(len(layer) - 1, 1) for layer in layers for i, name in enumerate(layer)}
        side = sweep % 2
        for layer in layers if side == 0 else layers[::-1]:
            wanted = {}
            for name in layer:
                near = [place[pair[side]] for pair in pairs if pair[1 - side] == name]
                wanted[name] = fmean(near) if near else place[name]
            layer.sort(key=lambda name: wanted[name])
            place |= {name: i / max(len(layer) - 1, 1) for i, name in enumerate(layer)}
        found = crossings(layers, pairs)
        if found < fewest:
            best, fewest = [list(layer) for layer in layers], found
    return best


def crossings(layers: Sequence[Sequence[str]], pairs: Sequence[tuple[str, str]]) -> int:
    place = {name: (c, i) for c, layer in enumerate(layers) for i, name in enumerate(layer)}
    ends = [(place[a], place[b]) for a, b in pairs]
    return sum(
        a[0] == c[0] and (a[1] - c[1]) * (b[1] - d[1]) < 0 for n, (a, b) in enumerate(ends) for c, d in ends[n + 1 :]
    )


def heights(
    layers: Sequence[Sequence[str]], size: Mapping[str, float], chains: Sequence[Sequence[str]]
) -> dict[str, float]:
    """The middle of every station: as near to its neighbours' as the order and the sizes allow."""
    near: dict[str, list[str]] = {name: [] for layer in layers for name in layer}
    for chain in chains:
        for a, b in itertools.pairwise(chain):
            near[a].append(b)
            near[b].append(a)
    middle = dict.fromkeys(near, 0.0)
    for sweep in range(40):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            depth, offset = 0.0, []
            for name in layer:
                offset.append(depth + size[name] / 2)
                depth += size[name] + GAP
            wanted = [fmean([middle[other] for other in near[name]]) if near[name] else 0.0 for name in layer]
            start = isotonic_regression([w - o for w, o in zip(wanted, offset, strict=True)])
            middle |= {name: float(s + o) for name, s, o in zip(layer, start, offset, strict=True)}
    return middle


def arranged(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Layout:
    """Boxes come in an order in which arguments stand before what uses them."""
    known = {box.name: box for box in boxes}
    column = columns_of(boxes, arrows)
    chains = chains_of(arrows, column)
    layers = ordered(column, chains)
    size = {name: known[name].height if name in known else BEND for layer in layers for name in layer}
    middle = heights(layers, size, chains)
    top = min(middle[name] - size[name] / 2 for name in middle)
    layout, x, sides = Layout({}), PAD * 2, []
    for c, layer in enumerate(layers):
        width = max(known[name].width for name in layer if name in known)
        sides.append((x, x + width))
        for name in layer:
            place = Place(
                x + width / 2, middle[name] - top + TOP, known[name].width if name in known else width, size[name]
            )
            layout.boxes[name] = place
        ending = [arrow.width for arrow, chain in zip(arrows, chains, strict=True) if column[chain[-1]] == c + 1]
        x += width + max(ending, default=0) + 28
    for chain in chains:
        layout.routes.append(route(chain, chains, layout, column[chain[0]], sides))
    layout.width = sides[-1][1] + PAD * 2
    layout.labels = labels_of(arrows, layout)
    bottoms = [place.y + place.height / 2 for place in [*layout.boxes.values(), *layout.labels]]
    layout.height = max(bottoms) + PAD * 2
    layout.boxes = {name: layout.boxes[name] for name in known}
    return layout


def route(
    chain: Sequence[str],
    chains: Sequence[Sequence[str]],
    layout: Layout,
    first: int,
    sides: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """From the right of the source, level through every column between, to the target's side at a place of its own."""
    source, target = layout.boxes[chain[0]], layout.boxes[chain[-1]]
    points = [(source.x + source.width / 2, source.y)]
    for i, name in enumerate(chain[1:-1], first + 1):
        points += [(sides[i][0] - 6, layout.boxes[name].y), (sides[i][1] + 6, layout.boxes[name].y)]
    rivals = sorted((layout.boxes[other[-2]].y, other[0]) for other in chains if other[-1] == chain[-1])
    share = rivals.index((layout.boxes[chain[-2]].y, chain[0])) - (len(rivals) - 1) / 2
    return [*points, (target.x - target.width / 2, target.y + 16 * share)]


def labels_of(arrows: Sequence[Arrow], layout: Layout) -> list[Place]:
    """On the last stretch of every arrow, where no box and no other words are."""
    placed: list[Place] = []
    for arrow, points in zip(arrows, layout.routes, strict=True):
        start, end = points[-2:]
        middle, options = (start[0] + end[0]) / 2, []
        for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
            y = start[1] + (end[1] - start[1]) * (3 - 2 * t) * t * t
            options.append(Place(middle, y, arrow.width, arrow.height))
        options += [
            Place(middle, options[0].y + s * 8.0 * k, arrow.width, arrow.height) for k in range(1, 40) for s in (1, -1)
        ]
        taken = [*placed, *layout.boxes.values()]
        placed.append(next(option for option in options if not any(map(option.touches, taken))))
    return placed


def drawn(boxes: Sequence[Box], arrows: Sequence[Arrow], legend: str, label: str) -> str:
    """The graph as SVG."""
    layout = arranged(boxes, arrows)
    parts = [text(PAD * 2, 24, legend, "soft")]
    for points in layout.routes:
        parts.append(f'<path class="line" d="{path(points)}"/>')
        x, y = points[-1]
        parts.append(f'<path class="head" d="M{x:.1f},{y:.1f}l-7,-3.5v7z"/>')
    for arrow, place in zip(arrows, layout.labels, strict=True):
        left, up = place.x - place.width / 2, place.y - place.height / 2
        parts.append(
            f'<rect class="paper" x="{left:.1f}" y="{up:.1f}" width="{place.width:.1f}" height="{place.height:.1f}"/>'
        )
        parts += [text(place.x, up + 11 + 12 * i, line, "soft", SMALL, "middle") for i, line in enumerate(arrow.words)]
    for box in boxes:
        parts += box_parts(box, layout.boxes[box.name])
    return sheet("".join(parts), max(layout.width, breadth(legend) + 32), layout.height, label)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Level lines through columns, an S between them."""
    said = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for i, ((a, b), (c, d)) in enumerate(itertools.pairwise(points)):
        middle = (a + c) / 2
        said += f"L{c:.1f},{d:.1f}" if i % 2 else f"C{middle:.1f},{b:.1f} {middle:.1f},{d:.1f} {c:.1f},{d:.1f}"
    return said


def box_parts(box: Box, place: Place) -> list[str]:
    left, up = place.x - place.width / 2, place.y - place.height / 2
    right, y = left + place.width - PAD, up + PAD + 10
    extent = f'width="{place.width:.1f}" height="{place.height:.1f}"'
    parts = [
        f'<rect class="card" x="{left:.1f}" y="{up:.1f}" {extent} rx="5"/>',
        bold(left + PAD, y, box.name),
        text(left + PAD + strong(box.name), y, box.heading, "soft"),
        text(right, y, str(box.visit), "accent", 9, "end"),
    ]
    y += 3
    for rows, kind in ((box.rows, "ink"), (box.gradient, "accent")):
        for row in rows:
            y += LINE
            parts += [text(right - CELL * (len(row) - 1 - i), y, cell, kind, 11, "end") for i, cell in enumerate(row)]
        if kind == "ink":
            y += 5
            parts.append(f'<path class="rule" d="M{left + PAD:.1f},{y:.1f}H{right:.1f}"/>')
    return parts
