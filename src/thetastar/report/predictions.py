"""Predictions of a number: against the truth, and how far off they are."""

from __future__ import annotations

import math

from thetastar.outer import wording
from thetastar.outer.evidence import SHOWN, Answers, Evidence
from thetastar.report.charts import ACCENT, SOFT, Spec, svg
from thetastar.report.page import Section, section

SIDE = 240


def predictions(evidence: Evidence) -> Section:
    shown = list(evidence.answers.items())[:SHOWN]
    panels = [
        (
            wording.spoken(name),
            svg(scatter(answers), f"{wording.spoken(name)}: prediction against truth, {spread(answers)}"),
            svg(histogram(answers), f"{wording.spoken(name)}: histogram of errors, {spread(answers)}"),
            spread(answers),
        )
        for name, answers in shown
    ]
    first = shown[0][1]
    assert first.points is not None
    return section(
        "predictions",
        "Predicted and true",
        panels=panels,
        points=len(first.points),
        count=first.count,
        seeds=max(answers.seeds for _, answers in shown),
        split=evidence.split,
        redrawn=evidence.redrawn,
        left=[wording.spoken(name) for name in evidence.answers][len(shown) :],
    )


def spread(answers: Answers) -> str:
    """'half of the errors lie between −12,100 and 9,140'."""
    assert answers.quartiles is not None
    low, high = (rounded(value) for value in answers.quartiles)
    return f"half of the errors lie between {low} and {high}"


def rounded(value: float) -> str:
    """Three significant digits, with a true minus sign."""
    return wording.figure(float(f"{value:.3g}")).replace("-", "−")


def round_below(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= value * (1 + 1e-9))


def scatter(answers: Answers) -> Spec:
    """Each dot a row; on the dashed line predictions are true."""
    assert answers.points is not None
    points = answers.points
    low, high = float(points.min()), float(points.max())
    scale = {"domain": [low, high], "zero": False}
    axis = {"tickCount": 4, "format": "~s"}
    x = {"field": "truth", "type": "quantitative", "title": "true", "scale": scale, "axis": axis}
    y = {"field": "said", "type": "quantitative", "title": "predicted", "scale": scale, "axis": axis}
    return {
        "width": SIDE, "height": SIDE, "padding": 4,
        "encoding": {"x": x, "y": y},
        "layer": [
            {"data": {"values": [{"truth": float(t), "said": float(s)} for t, s in points]},
             "mark": {"type": "circle", "size": 14, "opacity": 0.45, "color": ACCENT}},
            {"data": {"values": [{"truth": v, "said": v} for v in (low, high)]},
             "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1.2, "color": "var(--ink)"}},
        ],
    }  # fmt: skip


def histogram(answers: Answers) -> Spec:
    """How many predictions are off by how much."""
    assert answers.residuals is not None
    edges, counts = answers.residuals
    values = [
        {"from": float(a), "to": float(b), "count": int(n)}
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    tick = round_below(float(edges[-1]))
    axis = {"values": [-tick, 0, tick], "format": "~s", "grid": False}
    x = {"field": "from", "type": "quantitative", "bin": "binned", "title": "predicted − true", "axis": axis}
    y = {"field": "count", "type": "quantitative", "title": "answers", "axis": {"tickCount": 3, "format": "~s"}}
    return {
        "width": SIDE, "height": 90, "padding": 4,
        "layer": [
            {"data": {"values": values}, "mark": {"type": "bar", "color": SOFT, "opacity": 0.75, "binSpacing": 1},
             "encoding": {"x": x, "x2": {"field": "to"}, "y": y}},
            {"mark": {"type": "rule", "strokeWidth": 1.2, "color": "var(--ink)"}, "data": {"values": [{"zero": 0}]},
             "encoding": {"x": {"field": "zero", "type": "quantitative"}}},
        ],
    }  # fmt: skip
