"""The page of a comparison: the verdict in words, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thetastar.outer import wording
from thetastar.outer.evidence import Evidence
from thetastar.outer.verdict import Row, Verdict
from thetastar.recipe import Recipe
from thetastar.report import facts, page
from thetastar.report.calibration import calibration
from thetastar.report.confusion import confusions
from thetastar.report.cost import Point, cost
from thetastar.report.curves import curves
from thetastar.report.errors import errors
from thetastar.report.learners import learners
from thetastar.report.losses import losses
from thetastar.report.page import Page, Section
from thetastar.report.pairs import pairs
from thetastar.report.predictions import predictions
from thetastar.report.thresholds import thresholds
from thetastar.snapshot import write_atomic


def render(verdict: Verdict) -> str:
    """HTML with its styles, charts and pictures inside: no scripts, nothing fetched."""
    q = verdict.question
    said = wording.sentences(verdict)
    count = f"{len(verdict.rows)} × {q.seeds}"
    times = f"{len(verdict.openings)} times before" if verdict.openings else "once"
    shown = Page(
        title=f"{q.title}: {said[0]}",
        about=f"{q.title} · {q.task}",
        headline=said[0],
        lead=said[1:],
        facts=[
            (f"{q.rows:,}", "rows"),
            (count, "learners × seeds"),
            (f"{q.n_test:,}", "test rows" + (" a seed" if q.resplit else "")),
            (times, "test split opened"),
        ],
        sections=sections(verdict),
        foot=f"Made by thetastar {verdict.provenance.get('thetastar', '')} from the files of the comparison.",
    )
    return page.render(shown)


def write(verdict: Verdict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, render(verdict).encode())
    return path


def sections(verdict: Verdict) -> list[Section]:
    """In the order in which a reader asks."""
    q, ranked = verdict.question, verdict.ranked
    found: list[Section | None] = [learners(verdict)]
    if len(ranked) > 1:
        found.append(pairs(verdict))
    drawn = {row.name: row.curves for row in ranked if any(row.curves)}
    if drawn:
        found.append(curves(drawn, q.measure, [row.name for row in ranked if row.name not in drawn]))
    if same_method(ranked):
        found.append(losses({row.name: row.losses for row in ranked if any(row.losses)}))
    found += answers(verdict.evidence, [row.name for row in ranked])
    found.append(cost([point(row, row is ranked[0]) for row in ranked], q.measure))
    found += [facts.terms(verdict), facts.limits(verdict)]
    found += [facts.recipes([(row.name, row.recipe) for row in verdict.rows]), facts.provenance(verdict.provenance)]
    return [each for each in found if each is not None]


def same_method(rows: Sequence[Row]) -> bool:
    """Whether training losses are the same quantity: several learners with steps, one method."""
    stepped = [row for row in rows if any(row.losses)]
    return len(stepped) > 1 and len({str(Recipe.from_yaml(row.recipe).method) for row in stepped}) == 1


def answers(evidence: Evidence | None, names: list[str]) -> list[Section | None]:
    """What can be said of single answers; where none were kept, that."""
    if evidence is None:
        return [page.section("unseen", "Calibration and errors")] if names else []
    if evidence.kind == "number":
        return [predictions(evidence), errors(evidence)]
    return [calibration(evidence), thresholds(evidence), confusions(evidence), errors(evidence)]


def point(row: Row, leads: bool) -> Point:
    costs = (row.train_seconds, row.predict_ms, row.parameters)
    return Point(row.name, leads, row.quality or 0.0, row.low, row.high, *costs)
