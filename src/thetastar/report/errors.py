"""The worst errors as pictures or as rows: those of every learner, then those of the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thetastar.outer import wording
from thetastar.outer.evidence import SHOWN, Evidence, Mistake
from thetastar.report.page import Section, section


def errors(evidence: Evidence) -> Section | None:
    """None where nothing went wrong."""
    names = list(evidence.answers)
    numbers = evidence.kind == "number"
    groups: list[dict[str, Any]] = []
    if evidence.hard:
        many = "Both learners" if len(names) == 2 else f"All {len(names)} learners"
        title = f"{many} are far off here" if numbers else f"{many} get these wrong"
        groups.append(group(title, evidence.hard, evidence))
    for name in names[:SHOWN]:
        if evidence.answers[name].worst:
            how = "The largest errors of" if numbers else "The surest mistakes of"
            groups.append(group(f"{how} {wording.spoken(name)}", evidence.answers[name].worst, evidence))
    if not groups:
        return None
    kept = evidence.examples
    return section(
        "errors",
        "The worst errors",
        groups=groups,
        opened=2 if evidence.hard else 1,
        numbers=numbers,
        heads=kept.heads,
        width=kept.width,
        bare=not (kept.pictures or kept.cells),
        seeds=max(answers.seeds for answers in evidence.answers.values()),
        split=evidence.split,
        single=len(names) == 1,
    )


def group(title: str, mistakes: Sequence[Mistake], evidence: Evidence) -> dict[str, Any]:
    kept = evidence.examples
    shown = [row_of(mistake, evidence) for mistake in mistakes]
    pictured = all(mistake.row in kept.pictures for mistake in mistakes)
    return {"title": title, "rows": shown, "pictured": pictured, "listed": any(row["cells"] for row in shown)}


def row_of(mistake: Mistake, evidence: Evidence) -> dict[str, Any]:
    kept = evidence.examples
    if evidence.kind == "number":
        truth, said = wording.figure(mistake.truth, 4), wording.figure(mistake.said, 4)
        odds, off = "", wording.figure(mistake.said - mistake.truth, 3).replace("-", "−")
    else:
        truth, said = evidence.names[int(mistake.truth)], evidence.names[int(mistake.said)]
        odds, off = f"{mistake.probability or 0.0:.1%}", f"{mistake.of_truth or 0.0:.1%}"
    return {
        "row": mistake.row, "truth": truth, "said": said, "odds": odds, "off": off, "wrong": mistake.wrong,
        "seeds": mistake.seeds, "picture": kept.pictures.get(mistake.row), "cells": kept.cells.get(mistake.row, []),
    }  # fmt: skip
