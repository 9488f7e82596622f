"""Learning curves: the mean over seeds as a line, their range as a band, the name where the line ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thetastar.outer import wording
from thetastar.report.charts import Spec, apart, axis_of, fitted, responsive, told_apart, unit_of
from thetastar.report.page import Section, section

Curve = Sequence[Sequence[float]]  # [[step, value], …]
GRID = 60  # places at which curves of different steps are read
HEIGHT = 320


def curves(drawn: Mapping[str, Sequence[Curve]], measure: str, without: Sequence[str], split: str = "valid") -> Section:
    """Curves by learner, best first; `without` names those that learn without steps."""
    bands = {wording.spoken(name): band(seeds) for name, seeds in drawn.items() if any(seeds)}
    ends = ", ".join(f"{name} ends at {wording.amount(measure, rows[-1]['mean'])}" for name, rows in bands.items())
    return section(
        "curves",
        "Learning curves",
        drawing=responsive(lambda width: chart(bands, measure, width), f"{wording.head(measure)} on {split}: {ends}"),
        measure=wording.head(measure),
        seeds=max(len(seeds) for seeds in drawn.values()),
        without=wording.listed([wording.spoken(name) for name in without]) if without else "",
        split=split,
        many=len(bands) > 1,
    )


def band(seeds: Sequence[Curve]) -> list[dict[str, float]]:
    """Mean, lowest and highest value of all seeds by step; a seed that stopped early keeps its last value."""
    found = [np.asarray(curve, dtype=float) for curve in seeds if curve]
    steps = np.unique(np.concatenate([curve[:, 0] for curve in found]))
    steps = steps[steps >= max(curve[0, 0] for curve in found)]
    if len(steps) > GRID:
        steps = np.unique(np.linspace(steps[0], steps[-1], GRID).round())
    values = np.stack([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in found])
    rows = zip(steps, values.mean(0), values.min(0), values.max(0), strict=True)
    return [dict(zip(("step", "mean", "low", "high"), map(float, row), strict=True)) for row in rows]


def chart(bands: Mapping[str, Sequence[Mapping[str, float]]], measure: str, width: int) -> Spec:
    unit = unit_of(measure)
    values: list[dict[str, Any]] = [
        {"name": name, "first": place == 0, "step": row["step"], **{k: unit * row[k] for k in ("mean", "low", "high")}}
        for place, (name, rows) in enumerate(bands.items())
        for row in rows
    ]
    bottom, top = frame(values)
    if unit == 100 and max(row["high"] for row in values) <= 100:
        top = min(top, 100.8)  # shares end at 100; the line itself needs a little room
    last = max(row["step"] for row in values)
    places = apart([unit * rows[-1]["mean"] for rows in bands.values()], 16 * (top - bottom) / (HEIGHT - 55))
    over = max(max(places, default=top) - top, 0)
    labels = [
        {"name": name, "first": n == 0, "step": last, "mean": place - over}
        for n, (name, place) in enumerate(zip(bands, places, strict=True))
    ]
    names = list(bands)
    colour, dash = told_apart(names)
    x = {"field": "step", "type": "quantitative", "title": "training step",
         "scale": {"domain": [0, last], "nice": False},
         "axis": {"grid": False, "tickCount": 5, "format": "~s" if last >= 10_000 else ",d"}}  # fmt: skip
    y = {"type": "quantitative", "title": axis_of(measure), "scale": {"domain": [bottom, top], "nice": False},
         "axis": {"tickCount": 6}}  # fmt: skip
    many = {"field": "name", "type": "nominal"}
    right = 14 + round(6.7 * max(map(len, names)))
    return {
        **fitted(width, HEIGHT, right=right),
        "data": {"values": values},
        "encoding": {"x": x, "color": colour, "detail": many},
        "layer": [
            {"mark": {"type": "area", "opacity": 0.16, "clip": True},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "line", "clip": True, "strokeWidth": 2, "strokeJoin": "round"},
             "encoding": {"y": {**y, "field": "mean"}, "strokeDash": dash}},
            *([] if len(values) > len(names) else [
                {"mark": {"type": "point", "filled": True, "size": 60}, "encoding": {"y": {**y, "field": "mean"}}}]),
            {"data": {"values": labels}, "mark": {"type": "text", "align": "left", "dx": 7, "baseline": "middle"},
             "encoding": {"y": {**y, "field": "mean"}, "text": {"field": "name"}}},
        ],
    }  # fmt: skip


def frame(values: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Lowest and highest value that the chart holds: where lines start from far away, their first part is left out."""
    low, high = min(row["low"] for row in values), max(row["high"] for row in values)
    middle = sorted(row["mean"] for row in values)
    half = middle[len(middle) // 2]
    best, worst = max(low, half - 3 * (high - half)), min(high, half + 3 * (half - low))
    span = (worst - best) or abs(high) or 1.0
    return best - 0.03 * span, worst + 0.05 * span
