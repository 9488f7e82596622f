"""Every learner against every other."""

from __future__ import annotations

from thetastar.outer import wording
from thetastar.outer.verdict import Verdict
from thetastar.report.page import Section, section


def pairs(verdict: Verdict, counted: int | None = None) -> Section:
    """The matrix; `counted` pairs share the 5%, where those of other comparisons do too."""
    q, names = verdict.question, [row.name for row in verdict.ranked]
    return section(
        "pairs",
        "Row against column",
        names=[wording.spoken(name) for name in names],
        matrix=[(wording.spoken(a), [cell(verdict, a, b) for b in names]) for a in names],
        unit="points" if verdict.binary else wording.head(q.measure),
        count=len(verdict.pairs) if counted is None else counted,
        root=q.root,
    )


def cell(verdict: Verdict, first: str, second: str) -> tuple[str, str]:
    """(class, text) of a cell of the matrix."""
    if first == second:
        return "same", ""
    pair = verdict.pair(first, second)
    return (pair.outcome if pair else "open"), wording.mark(pair, verdict)
