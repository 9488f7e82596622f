"""Who took part and how well each did: a chart of qualities with their intervals, then the table."""

from __future__ import annotations

from thetastar.outer import wording
from thetastar.outer.verdict import Verdict
from thetastar.report.charts import ACCENT, SOFT, WIDE, Spec, axis_of, fitted, responsive, unit_of
from thetastar.report.page import Section, section


def learners(verdict: Verdict) -> Section:
    ranked = verdict.ranked
    absent = [(wording.spoken(row.name), row) for row in verdict.rows if row.quality is None]
    return section(
        "learners",
        "The learners",
        drawing=responsive(lambda width: chart(verdict, width), label(verdict)) if len(ranked) > 1 else "",
        measure=wording.head(verdict.question.measure),
        heads=wording.columns(verdict),
        rows=[wording.cells(row, verdict) for row in ranked],
        absent=absent,
        noise=verdict.question.noise,
        together=[(wording.spoken(row.name), row.together) for row in ranked if row.together],
        tuned=verdict.question.trials > 0,
        several=any(len(row.per_seed) > 1 for row in ranked),
    )


def label(verdict: Verdict) -> str:
    of = [f"{wording.spoken(row.name)} {wording.quality(row, verdict)}" for row in verdict.ranked]
    return f"{wording.head(verdict.question.measure)} on test with 95% intervals: {'; '.join(of)}"


def chart(verdict: Verdict, width: int) -> Spec:
    """A line a learner, best first: a bar for the interval, a mark for each seed, a dot for the mean."""
    q, ranked = verdict.question, verdict.ranked
    unit = unit_of(q.measure)
    values = [
        {
            "name": wording.spoken(row.name), "first": place == 0, "text": wording.amount(q.measure, row.quality),
            "quality": unit * (row.quality or 0.0), "seeds": [unit * value for value in row.per_seed],
            "low": None if row.low is None else unit * row.low, "high": None if row.high is None else unit * row.high,
        }
        for place, row in enumerate(ranked)
    ]  # fmt: skip
    colour = {"condition": {"test": "datum.first", "value": ACCENT}, "value": SOFT}
    names = {"field": "name", "type": "nominal", "sort": None, "title": None}
    across = {
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"tickCount": 6 if width == WIDE else 3, "format": ",~r"},
        "title": axis_of(q.measure),
    }
    y = {**names, "axis": {"grid": False, "labelLimit": 130, "labelColor": "var(--ink)"}}
    return {
        **fitted(width, 30 * len(values) + 48, right=16),
        "data": {"values": values},
        "encoding": {"y": y, "color": colour},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 9, "opacity": 0.25},
                "encoding": {"x": {"field": "low", **across}, "x2": {"field": "high"}},
            },
            {
                "transform": [{"flatten": ["seeds"]}],
                "mark": {"type": "tick", "thickness": 1.5, "size": 9, "opacity": 0.8},
                "encoding": {"x": {"field": "seeds", **across}},
            },
            {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
             "encoding": {"x": {"field": "quality", **across}}},
            {"mark": {"type": "text", "dy": -11},
             "encoding": {"x": {"field": "quality", **across}, "text": {"field": "text"}}},
        ],
    }  # fmt: skip
