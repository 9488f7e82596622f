"""Whether probabilities mean what they say: a reliability diagram for each of the best learners, with its counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thetastar.outer import wording
from thetastar.outer.evidence import SHOWN, Answers, Evidence
from thetastar.report.charts import ACCENT, SOFT, Spec, svg
from thetastar.report.page import Section, section

SIDE = 236
Z = 1.959964  # of a 95% interval


def calibration(evidence: Evidence) -> Section:
    shown = list(evidence.answers.items())[:SHOWN]
    yes = evidence.names[1] if len(evidence.names) == 2 else None
    panels = []
    for name, answers in shown:
        said, rows = message(answers, yes), bins(answers)
        panels.append((wording.spoken(name), said, svg(chart(rows, yes), f"{wording.spoken(name)}: {said}"), rows))
    left = [wording.spoken(name) for name in evidence.answers][len(shown) :]
    many = max(answers.seeds for _, answers in shown)
    return section(
        "calibration",
        "Calibration",
        panels=panels,
        yes=yes,
        left=left,
        seeds=many,
        split=evidence.split,
        redrawn=evidence.redrawn,
    )


def bins(answers: Answers) -> list[dict[str, float]]:
    """A row a bin that holds answers: its edges, count, mean probability, frequency and Wilson's 95% interval."""
    assert answers.reliability is not None
    count, mean, frequency = answers.reliability
    edges = np.linspace(0, 1, len(count) + 1)
    rows = []
    for place in np.flatnonzero(count):
        n, p = float(count[place]), float(frequency[place])
        centre, half = (p + Z * Z / (2 * n)), Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        scale = 1 + Z * Z / n
        rows.append(
            {
                "from": float(edges[place]), "to": float(edges[place + 1]), "count": int(n), "mean": float(mean[place]),
                "frequency": p, "low": float((centre - half) / scale), "high": float((centre + half) / scale),
            }
        )  # fmt: skip
    return rows


def message(answers: Answers, yes: str | None) -> str:
    """'on average 98.1% sure and 97.2% right: 0.9 points too sure'."""
    assert answers.reliability is not None
    count, mean, frequency = answers.reliability
    said, came_true = (float((count * part).sum() / count.sum()) for part in (mean, frequency))
    if yes is not None:
        return f"expects {said:.1%} to be {yes}; {came_true:.1%} are"
    points = 100 * (said - came_true)
    off = f"{abs(points):.1f} points too {'sure' if points > 0 else 'modest'}"
    return f"on average {said:.1%} sure and {came_true:.1%} right: {off if abs(points) >= 0.5 else 'as it should be'}"


def chart(rows: Sequence[dict[str, float]], yes: str | None) -> Spec:
    """Frequency against probability, the diagonal as what should be, and how many answers each bin holds."""
    scale = {"domain": [0, 1], "nice": False}
    axis = {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1]}
    point = {"filled": True, "size": 36, "color": ACCENT}
    share = f"share that is {yes}" if yes else "share that is right"
    high = {"field": "count", "type": "quantitative", "title": "answers", "axis": {"tickCount": 2, "format": "~s"}}
    x = {"field": "mean", "type": "quantitative", "scale": scale, "axis": {**axis, "labels": False, "title": None}}
    y = {"type": "quantitative", "scale": scale, "axis": axis, "title": share}
    bar = {"field": "from", "type": "quantitative", "scale": scale, "axis": {**axis, "grid": False, "labelFlush": True},
           "title": f"probability of {yes}" if yes else "probability of the answer"}  # fmt: skip
    upper: Spec = {
        "width": SIDE, "height": SIDE * 0.8,
        "layer": [
            {"data": {"values": [{"mean": 0, "frequency": 0}, {"mean": 1, "frequency": 1}]},
             "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": SOFT},
             "encoding": {"x": x, "y": {**y, "field": "frequency"}}},
            {"mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.25, "color": ACCENT},
             "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "line", "strokeWidth": 1.5, "color": ACCENT, "point": point},
             "encoding": {"x": x, "y": {**y, "field": "frequency"}}},
        ],
    }  # fmt: skip
    lower: Spec = {
        "width": SIDE, "height": 48, "mark": {"type": "bar", "color": SOFT, "opacity": 0.75, "binSpacing": 2},
        "encoding": {
            "x": {**bar, "bin": "binned"}, "x2": {"field": "to"}, "y": high,
        },
    }  # fmt: skip
    return {"data": {"values": list(rows)}, "vconcat": [upper, lower], "spacing": 8, "padding": 2}
