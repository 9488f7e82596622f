"""Figures of error against the number of training rows, with the power law, and against the width of the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from thetastar.functional.drawing import FIRST, INK, SECOND, SOFT, THIRD, lite
from thetastar.outer import wording
from thetastar.outer.curve import BEYOND, Curve

WIDTH, HEIGHT, GRID = 520, 300, 40
STEEP = 10  # largest test error over the smallest, from which on squared errors are drawn on a log axis
TITLES = {"0-1": "errors, % of the rows", "squared": "mean squared error"}


def drawing(found: Curve) -> str:
    """SVG, light or dark as its reader has it."""
    ends = ", ".join(f"{point.test:.3g} at {point.at:,}" for point in found.points)
    label = f"{found.data}, {wording.spoken(found.model)}: error on test by {found.over}: {ends}"
    return lite(of_sizes(found) if found.over == "size" else of_widths(found), label)


def unit(found: Curve) -> float:
    return 100.0 if found.loss == "0-1" else 1.0


def rows(found: Curve) -> list[dict[str, float]]:
    names = ("test", "low", "high", "train")
    return [{"at": point.at, **{n: unit(found) * getattr(point, n) for n in names}} for point in found.points]


def of_sizes(found: Curve) -> dict[str, Any]:
    """Log axes, on which a power law without a floor is a line; what the law says beyond the largest size in a band."""
    law = found.law
    assert law is not None
    measured = rows(found)
    positive = [value for row in measured for value in (row["test"], row["low"]) if value > 0]
    bottom = 0.7 * min(positive, default=0.01)
    first, last = measured[0]["at"], measured[-1]["at"]
    line: list[dict[str, float]] = []
    for at in np.geomspace(first, last * BEYOND[-1], GRID):
        low, high = law.interval(float(at))
        told = {"law": law(float(at)), "low": low, "high": high}
        line.append({"at": float(at), **{key: max(unit(found) * value, bottom) for key, value in told.items()}})
    shown = [{**row, "low": max(row["low"], bottom)} for row in measured if row["test"] > 0]
    x = {"field": "at", "type": "quantitative", "title": "training rows",
         "scale": {"type": "log", "domain": [first / 1.15, last * BEYOND[-1] * 1.15], "nice": False},
         "axis": {"grid": False, "values": ticks(first, last * BEYOND[-1]), "format": "~s"}}  # fmt: skip
    y = {"type": "quantitative", "title": TITLES[found.loss], "scale": {"type": "log", "nice": False, "zero": False}}
    return {
        "width": WIDTH, "height": HEIGHT,
        "title": {"text": "Error on test and its power law", "subtitle":
                  "points: measured, with 95% intervals; line and band: the law, dashed line: the largest size"},
        "encoding": {"x": x},
        "layer": [
            {"data": {"values": line}, "mark": {"type": "area", "color": FIRST, "opacity": 0.18},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"data": {"values": line}, "mark": {"type": "line", "color": FIRST, "strokeWidth": 2},
             "encoding": {"y": {**y, "field": "law"}}},
            {"data": {"values": [{"at": last}]}, "mark": {"type": "rule", "color": SOFT, "strokeDash": [4, 3]}},
            {"data": {"values": shown}, "mark": {"type": "rule", "color": INK, "strokeWidth": 1.4},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"data": {"values": shown}, "mark": {"type": "point", "filled": True, "color": INK, "size": 44,
             "opacity": 1},
             "encoding": {"y": {**y, "field": "test"}}},
        ],
    }  # fmt: skip


def ticks(first: float, last: float) -> list[float]:
    """1, 2 and 5 times the powers of ten, between the two; only the powers where those are many."""
    powers = range(int(np.floor(np.log10(first))), int(np.ceil(np.log10(last))) + 1)
    every = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    every = [value for value in every if first / 1.15 <= value <= last * 1.15]
    return every if len(every) <= 12 else [value for value in every if np.log10(value) % 1 == 0]


def of_widths(found: Curve) -> dict[str, Any]:
    """Test and train error; the width from which on the training rows are fitted is marked."""
    measured = rows(found)
    low, high = min(row["test"] for row in measured), max(row["test"] for row in measured)
    steep = found.loss == "squared" and high > STEEP * low
    bottom = low / 2 if steep else 0.0  # below it lines are cut: a log axis has no 0
    measured = [{**row, **{n: max(row[n], bottom) for n in ("low", "train")}} for row in measured]
    lines = [{"at": row["at"], "value": row[split], "split": split} for row in measured for split in ("test", "train")]
    scale = {"domain": ["test", "train"], "range": [FIRST, SECOND]}
    first, last = measured[0]["at"], measured[-1]["at"]
    x = {"field": "at", "type": "quantitative", "title": "width",
         "scale": {"type": "log", "domain": [first / 1.1, last * 1.1], "nice": False},
         "axis": {"grid": False, "values": ticks(first, last), "format": "~s"}}  # fmt: skip
    y = {"type": "quantitative", "title": TITLES[found.loss],
         "scale": {"type": "log", "nice": False} if steep else {"zero": True}}  # fmt: skip
    mark: list[dict[str, Any]] = []
    if found.threshold is not None:
        here = {"values": [{"at": found.threshold, "text": "training rows fitted"}]}
        mark = [
            {"data": here, "mark": {"type": "rule", "color": THIRD, "strokeDash": [4, 3], "strokeWidth": 1.6}},
            {"data": here, "mark": {"type": "text", "align": "left", "dx": 5, "dy": 8, "baseline": "top", "y": 0,
                                    "color": THIRD}, "encoding": {"text": {"field": "text"}}},
        ]  # fmt: skip
    return {
        "width": WIDTH, "height": HEIGHT,
        "title": {"text": "Error by width", "subtitle": f"mean of {found.seeds} seeds; band: 95% interval on test"},
        "encoding": {"x": x},
        "layer": [
            {"data": {"values": measured}, "mark": {"type": "area", "color": FIRST, "opacity": 0.18},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"data": {"values": lines}, "mark": {"type": "line", "strokeWidth": 2, "point": True},
             "encoding": {"y": {**y, "field": "value"},
                          "color": {"field": "split", "type": "nominal", "title": None, "scale": scale}}},
            *mark,
        ],
    }  # fmt: skip
