"""What a threshold trades between two classes: ROC and precision–recall curves of the best learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thetastar.outer import wording
from thetastar.outer.evidence import SHOWN, Array, Evidence, Ranked
from thetastar.report.charts import ACCENT, SOFT, Spec, svg
from thetastar.report.page import Section, section

SIDE = 236
FINE = 400  # steps of a rate that a drawing can show
RECALLS = (0.5, 0.8, 0.9, 0.95, 0.99)


def thresholds(evidence: Evidence) -> Section | None:
    """None where there are not two classes, or rows of one alone."""
    shown = [(name, answers.ranked) for name, answers in list(evidence.answers.items())[:SHOWN] if answers.ranked]
    if not shown:
        return None
    yes = evidence.names[1]
    panels: list[dict[str, Any]] = []
    for name, seeds in shown:
        spoken, said = wording.spoken(name), message(seeds)
        panels.append(
            {
                "name": spoken, "said": said, "rows": rows(seeds),
                "roc": svg(roc(seeds, yes), f"{spoken}: ROC curve, {said}"),
                "precision": svg(precision_recall(seeds, yes), f"{spoken}: precision against recall, {said}"),
            }
        )  # fmt: skip
    share = float(np.mean([seed.share for seed in shown[0][1]]))
    return section(
        "thresholds",
        "What a threshold trades",
        panels=panels,
        yes=yes,
        share=f"{share:.1%}",
        seeds=max(len(seeds) for _, seeds in shown),
        left=[wording.spoken(name) for name in evidence.answers if name not in dict(shown)],
        split=evidence.split,
    )


def message(seeds: Sequence[Ranked]) -> str:
    """'ROC-AUC 0.987, average precision 0.981'."""
    area, precision = ([getattr(seed, name) for seed in seeds] for name in ("area", "precision"))
    return f"ROC-AUC {short(area)}, average precision {short(precision)}"


def short(values: Sequence[float]) -> str:
    """The mean; 1 is said of perfection alone."""
    mean = float(np.mean(values))
    return "1" if mean == 1 else "above 0.999" if mean >= 0.9995 else f"{mean:.3f}"


def rows(seeds: Sequence[Ranked]) -> list[tuple[str, str, str]]:
    """To find so many: precision and false-positive rate at the highest threshold that does, means over seeds."""
    found = []
    for recall in RECALLS:
        places = [int(np.argmax(seed.recall_precision[:, 0] >= recall - 1e-9)) for seed in seeds]
        right = np.mean([seed.recall_precision[at, 1] for seed, at in zip(seeds, places, strict=True)])
        wrong = np.mean([seed.roc[at, 0] for seed, at in zip(seeds, places, strict=True)])
        found.append((f"{recall:.0%}", f"{right:.1%}", f"{wrong:.1%}"))
    return found


def thinned(points: Array) -> Array:
    """The points that a drawing tells apart, the ends among them."""
    coarse = np.round(points * FINE)
    kept = np.r_[True, (np.diff(coarse, axis=0) != 0).any(1)]
    kept[:-1] |= kept[1:]  # where a long step begins
    kept[-1] = True
    return points[kept]


def roc(seeds: Sequence[Ranked], yes: str) -> Spec:
    """The share of the true ones that is found against the share of the others that is called so too."""
    guess = [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}]
    across, upward = f"share of the others called “{yes}”", f"share of “{yes}” found"
    return chart([seed.roc for seed in seeds], guess, across, upward, "linear")


def precision_recall(seeds: Sequence[Ranked], yes: str) -> Spec:
    """The share of calls that is right against the share of the true ones that is found, in steps, as it is summed."""
    share = float(np.mean([seed.share for seed in seeds]))
    guess = [{"x": 0.0, "y": share}, {"x": 1.0, "y": share}]
    curves = [seed.recall_precision for seed in seeds]
    return chart(curves, guess, f"share of “{yes}” found (recall)", "share of calls right (precision)", "step-before")


def chart(curves: Sequence[Array], guess: list[dict[str, float]], across: str, upward: str, steps: str) -> Spec:
    """A line a seed; dashed, what a guess would give."""
    values = [
        {"x": round(float(x), 4), "y": round(float(y), 4), "seed": seed, "at": at}
        for seed, curve in enumerate(curves)
        for at, (x, y) in enumerate(thinned(curve))
    ]
    scale = {"domain": [0, 1], "nice": False}
    axis = {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1], "titleLimit": SIDE * 0.9}
    x = {"field": "x", "type": "quantitative", "scale": scale, "title": across, "axis": {**axis, "labelFlush": True}}
    y = {"field": "y", "type": "quantitative", "scale": scale, "title": upward, "axis": axis}
    mark = {"type": "line", "strokeWidth": 1.6, "opacity": max(0.4, len(curves) ** -0.5), "color": ACCENT,
            "interpolate": steps}  # fmt: skip
    return {
        "width": SIDE, "height": SIDE * 0.8, "padding": {"left": 2, "top": 10, "right": 2, "bottom": 2},
        "layer": [
            {"data": {"values": guess}, "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": SOFT},
             "encoding": {"x": x, "y": y}},
            {"data": {"values": values}, "mark": mark,
             "encoding": {"x": x, "y": y, "detail": {"field": "seed", "type": "nominal"},
                          "order": {"field": "at", "type": "quantitative"}}},
        ],
    }  # fmt: skip
