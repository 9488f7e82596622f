"""What quality costs: seconds of training and milliseconds of predicting against the measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thetastar.outer import wording
from thetastar.report.charts import ACCENT, SOFT, Spec, apart, axis_of, svg, unit_of
from thetastar.report.page import Section, section

WIDTH, HEIGHT = 340, 270
WORD, NEAR = 0.33, 0.07  # shares of the frame: how wide a name is, and how high


@dataclass(frozen=True)
class Point:
    """A learner: its quality with an interval where one is known, and what it costs."""

    name: str
    leads: bool
    quality: float
    low: float | None
    high: float | None
    train_seconds: float | None
    predict_ms: float | None
    parameters: int | None


def cost(points: Sequence[Point], measure: str, split: str = "test") -> Section | None:
    """Best first; None where no costs are known of two learners or more."""
    kinds: list[tuple[str, Callable[[Point], float | None], str]] = [
        ("Seconds of training", lambda p: p.train_seconds, "s"),
        ("Milliseconds for 1,000 rows", lambda p: p.predict_ms, "ms"),
        ("Parameters", lambda p: p.parameters, ""),
    ]
    drawn = []
    for title, of, unit in kinds:
        known = [(point, value) for point in points if (value := of(point)) and value > 0]
        if len(known) > 1:
            drawn.append((title, svg(chart(known, measure, title), label(title, known, measure, unit))))
    if not drawn:
        return None
    return section("cost", "Cost against quality", drawn=drawn, measure=wording.head(measure), split=split)


def label(title: str, known: Sequence[tuple[Point, float]], measure: str, unit: str) -> str:
    each = [
        f"{wording.spoken(point.name)} {wording.amount(measure, point.quality)} at {wording.figure(value, 2)} {unit}"
        for point, value in known
    ]
    return f"{title} against {wording.head(measure)}: {'; '.join(each)}"


def chart(known: Sequence[tuple[Point, float]], measure: str, title: str) -> Spec:
    """A dot a learner on a logarithmic axis of cost, its interval upright, its name beside it."""
    unit = unit_of(measure)
    low, high = min(value for _, value in known) / 1.7, max(value for _, value in known) * 1.7
    heights = [unit * point.quality for point, _ in known]
    ends = [
        unit * end for point, _ in known for end in (point.low, point.high) if end is not None and math.isfinite(end)
    ]
    bottom, top = min(heights + ends), max(heights + ends)
    span = (top - bottom) or abs(top) or 1.0
    bottom, top = bottom - 0.06 * span, top + 0.06 * span
    across = [math.log(value / low) / math.log(high / low) for _, value in known]
    upward = [(height - bottom) / (top - bottom) for height in heights]
    left = [turns_left(n, across, upward) for n in range(len(known))]
    places = [bottom + place * (top - bottom) for place in beside(across, upward, left)]
    values = [
        {
            "name": wording.spoken(point.name), "first": point.leads, "cost": value, "quality": height, "place": place,
            "left": turned, "low": None if point.low is None else unit * point.low,
            "high": None if point.high is None else unit * point.high,
        }
        for (point, value), height, place, turned in zip(known, heights, places, left, strict=True)
    ]  # fmt: skip
    x = {"field": "cost", "type": "quantitative", "title": title.lower(),
         "scale": {"type": "log", "domain": [low, high], "nice": False},
         "axis": {"values": ticks(low, high), "format": "~s" if high >= 10_000 else "~g", "grid": False}}  # fmt: skip
    y = {"type": "quantitative", "scale": {"domain": [bottom, top], "nice": False, "zero": False},
         "title": axis_of(measure), "axis": {"tickCount": 5}}  # fmt: skip
    text = {"y": {**y, "field": "place"}, "text": {"field": "name"}}
    return {
        "width": WIDTH, "height": HEIGHT, "padding": 2, "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": values},
        "encoding": {"x": x, "color": {"condition": {"test": "datum.first", "value": ACCENT}, "value": SOFT}},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.25},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
             "encoding": {"y": {**y, "field": "quality"}}},
            {"transform": [{"filter": "!datum.left"}], "encoding": text,
             "mark": {"type": "text", "align": "left", "dx": 9, "baseline": "middle"}},
            {"transform": [{"filter": "datum.left"}], "encoding": text,
             "mark": {"type": "text", "align": "right", "dx": -9, "baseline": "middle"}},
        ],
    }  # fmt: skip


def turns_left(one: int, across: Sequence[float], upward: Sequence[float]) -> bool:
    """Whether a name stands at the left of its dot: at the right edge, or where another dot is in its way."""

    def level(other: int) -> bool:
        return other != one and abs(upward[other] - upward[one]) < NEAR

    if across[one] > 0.68:
        return True
    taken = any(level(other) and 0 <= across[other] - across[one] < WORD for other in range(len(across)))
    free = across[one] > WORD and not any(
        level(other) and 0 <= across[one] - across[other] < WORD for other in range(len(across))
    )
    return taken and free


def beside(across: Sequence[float], upward: Sequence[float], left: Sequence[bool]) -> list[float]:
    """Heights of the names: those that would touch are moved apart."""
    found = list(upward)
    for side in (True, False):
        members = sorted((n for n in range(len(across)) if left[n] is side), key=lambda n: across[n])
        groups: list[list[int]] = []
        for n in members:
            if groups and across[n] - across[groups[-1][-1]] < WORD:
                groups[-1].append(n)
            else:
                groups.append([n])
        for group in groups:
            for n, place in zip(group, apart([upward[n] for n in group], NEAR), strict=True):
                found[n] = place
    return found


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten within the range; where these are fewer than three, also twice and five times them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(found) > 2:
            break
    return found
