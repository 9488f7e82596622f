"""The page of a comparison: plain, self-contained HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from thetastar.outer import wording
from thetastar.outer.verdict import Verdict
from thetastar.report import curves
from thetastar.snapshot import write_atomic


def render(verdict: Verdict) -> str:
    """HTML with its styles inside: no scripts, nothing fetched."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("comparison.html.j2").render(**contents(verdict))


def write(verdict: Verdict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, render(verdict).encode())
    return path


def contents(verdict: Verdict) -> dict[str, Any]:
    """What the template shows."""
    q = verdict.question
    names = [row.name for row in verdict.ranked]
    drawn = {row.name: row.curves for row in verdict.ranked if any(row.curves)}
    drawing = curves.svg(drawn, wording.head(q.measure), q.measure in wording.SHARES)
    said = wording.sentences(verdict)
    return {
        "q": q,
        "verdict": verdict,
        "headline": said[0],
        "sentences": said[1:],
        "heads": wording.columns(verdict),
        "rows": [wording.cells(row, verdict) for row in verdict.ranked],
        "absent": [(wording.spoken(row.name), row) for row in verdict.rows if row.quality is None],
        "names": [wording.spoken(name) for name in names],
        "matrix": [(wording.spoken(a), [cell(verdict, a, b) for b in names]) for a in names],
        "measure": wording.head(q.measure),
        "unit": "points" if verdict.binary else wording.head(q.measure),
        "curves": Markup(drawing),  # made here from numbers and registered names
        "legend": [wording.spoken(name) for name in drawn],
        "terms": terms(verdict),
        "recipes": [(wording.spoken(row.name), row.recipe) for row in verdict.rows],
        "provenance": {name: value for name, value in verdict.provenance.items() if value is not None},
    }


def cell(verdict: Verdict, first: str, second: str) -> tuple[str, str]:
    """(class, text) of a cell of the matrix."""
    if first == second:
        return "same", ""
    pair = verdict.pair(first, second)
    return (pair.outcome if pair else "open"), wording.mark(pair, verdict)


def terms(verdict: Verdict) -> list[tuple[str, str]]:
    """What was the same for all, what varied, what was tuned, and how often the test split was opened."""
    q = verdict.question
    budget = (
        ", ".join(f"{value} {name}" for name, value in q.budget.items()) or "the default of the data, see the recipes"
    )
    tuned = f"{q.trials} trials for every learner, on the valid split" if q.trials else "nothing"
    return [
        ("Data", f"{q.title}, {q.rows:,} rows, hash {q.fingerprint or 'unknown'}"),
        ("Task", q.task),
        ("Splits", f"{q.n_train:,} train / {q.n_valid:,} valid / {q.n_test:,} test"),
        ("Same for all", f"the splits, the budget ({budget}), {q.seeds} seeds, the measures"),
        ("Varied by seed", "the split, initialisation and order" if q.resplit else "initialisation and order"),
        ("Tuned", tuned),
        ("Test split", wording.opened(verdict)),
        *([("Noise", q.noise)] if q.noise else []),
    ]
