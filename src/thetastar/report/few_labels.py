"""The page of a comparison over the number of labels: the curve, a table, then every number of labels by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from thetastar.outer import wording
from thetastar.outer.labelled import Found
from thetastar.recipe import Recipe
from thetastar.report import facts, page
from thetastar.report.charts import Spec, apart, axis_of, fitted, responsive, told_apart, unit_of
from thetastar.report.page import Page, Section, section
from thetastar.report.pairs import pairs
from thetastar.report.runs import Group, differing
from thetastar.snapshot import write_atomic

HEIGHT = 330


def write(found: Found, path: Path) -> Path:
    write_atomic(path, render(found).encode())
    return path


def render(found: Found) -> str:
    """HTML with its styles and charts inside: no scripts, nothing fetched."""
    q, said = found.verdicts[0].question, found.sentences()
    version = found.verdicts[0].provenance.get("thetastar", "")
    return page.render(
        Page(
            title=f"{q.title} from few labels",
            about=f"{q.title} · {q.task} from few labels",
            headline=said[0],
            lead=said[1:],
            facts=[
                (f"{q.n_train:,}", "training rows"),
                (" ".join(f"{count:,}" for count in found.counts), "of them with labels"),
                (f"{len(found.verdicts[0].rows)} × {q.seeds}", "learners × seeds"),
                (f"{q.n_test:,}", "test rows"),
            ],
            sections=sections(found),
            foot=f"Made by thetastar {version} from the files of the comparison.",
        )
    )


def sections(found: Found) -> list[Section]:
    rows = found.verdicts[0].rows
    drawn = any(verdict.ranked for verdict in found.verdicts)
    made = [curve(found)] if drawn else []
    for count, verdict in zip(found.counts, found.verdicts, strict=True):
        if len(verdict.ranked) > 1:
            own = pairs(verdict, total(found))
            made.append(Section(f"pairs-{count}", f"Row against column with {count:,} labels", own.body))
    groups = [Group(row.name, [], Recipe.from_yaml(row.recipe)) for row in rows]
    told = [(name, values) for name, values in differing(groups) if not name.startswith("data.label")]
    made.append(section("terms", "The terms", rows=terms(found), said=found.verdicts[0].question.said))
    made.append(facts.recipes([(row.name, row.recipe) for row in rows], told))
    return [*made, facts.provenance(found.verdicts[0].provenance)]


def total(found: Found) -> int:
    """Pairs at all numbers of labels."""
    return sum(len(verdict.pairs) for verdict in found.verdicts)


def terms(found: Found) -> list[tuple[str, str]]:
    q = found.verdicts[0].question
    before = ", ".join(f"{wording.spoken(name)} {steps:,}" for name, steps in found.before.items())
    rows = [row for verdict in found.verdicts for row in verdict.rows]
    openings = sorted(opening for verdict in found.verdicts for opening in verdict.openings)
    together = replace(found.verdicts[0], rows=rows, openings=openings)
    return [
        ("Data", f"{q.title}, {q.rows:,} rows, hash {q.fingerprint or 'unknown'}"),
        ("Split", f"{q.n_train:,} train / {q.n_valid:,} valid / {q.n_test:,} test, one for all seeds"),
        ("Steps with labels", f"{found.steps:,}, of every learner"),
        ("Steps without labels, before", before or "none"),
        ("Terms", " ".join(found.terms)),
        ("Tuned", "nothing"),
        ("Test split", wording.opened(together)),
    ]


def curve(found: Found) -> Section:
    """Quality by the number of labels, with the table of the same values."""
    names = found.names
    ends = "; ".join(f"{wording.spoken(name)} {', '.join(found.cells(name))}" for name in names)
    measure = found.verdicts[0].question.measure
    return section(
        "labels",
        "Quality by the number of labels",
        drawing=responsive(lambda width: chart(found, width), f"{wording.head(measure)} on test: {ends}"),
        measure=wording.head(measure),
        counts=[f"{count:,} labels" for count in found.counts],
        before=bool(found.before),
        rows=[(wording.spoken(name), found.work(name), found.cells(name)) for name in names],
        total=total(found),
    )


def points(found: Found) -> list[dict[str, Any]]:
    measure = found.verdicts[-1].question.measure
    best = found.verdicts[-1].ranked[0].name if found.verdicts[-1].ranked else ""
    values: list[dict[str, Any]] = []
    for count, verdict in zip(found.counts, found.verdicts, strict=True):
        for row in verdict.ranked:
            told = {"mean": row.quality, "low": row.low, "high": row.high}
            scaled = {key: unit_of(measure) * value for key, value in told.items() if value is not None}
            values.append({"name": wording.spoken(row.name), "first": row.name == best, "at": count, **scaled})
    return values


def chart(found: Found, width: int) -> Spec:
    """A line a learner over a log axis, a bar for each interval, slightly apart so that none hides another."""
    values = points(found)
    known = {value["name"] for value in values}
    names = [name for name in map(wording.spoken, found.names) if name in known]
    counts, measure = found.counts, found.verdicts[-1].question.measure
    for value in values:  # 1.5% apart each
        value["x"] = value["at"] * 1.015 ** (names.index(value["name"]) - (len(names) - 1) / 2)
    low, high = min(v.get("low", v["mean"]) for v in values), max(v.get("high", v["mean"]) for v in values)
    room = 0.05 * (high - low) or 1.0
    low, high = low - room, high + room
    ends = {value["name"]: value for value in values}  # the last count of each
    places = apart([value["mean"] for value in ends.values()], 16 * (high - low) / (HEIGHT - 55))
    last = max(value["x"] for value in values)
    labels = [{**value, "x": last, "mean": place} for value, place in zip(ends.values(), places, strict=True)]
    colour, dash = told_apart(names)
    x = {"field": "x", "type": "quantitative", "title": "labels",
         "scale": {"type": "log", "domain": [counts[0] / 1.15, counts[-1] * 1.15], "nice": False},
         "axis": {"grid": False, "values": counts, "format": ",d"}}  # fmt: skip
    y = {"type": "quantitative", "title": axis_of(measure), "scale": {"domain": [low, high], "nice": False},
         "axis": {"tickCount": 6}}  # fmt: skip
    return {
        **fitted(width, HEIGHT, right=14 + round(6.7 * max(map(len, names)))),
        "data": {"values": values},
        "encoding": {"x": x, "color": colour, "detail": {"field": "name", "type": "nominal"}},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.3},
             "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": {**y, "field": "mean"}, "strokeDash": dash}},
            {"mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
             "encoding": {"y": {**y, "field": "mean"}}},
            {"data": {"values": labels}, "mark": {"type": "text", "align": "left", "dx": 9, "baseline": "middle"},
             "encoding": {"y": {**y, "field": "mean"}, "text": {"field": "name"}}},
        ],
    }  # fmt: skip
