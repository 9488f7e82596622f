"""What an examination says: findings, and the section of the page that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from thetastar.functional.jsonable import strict

Severity = Literal["high", "medium", "low"]
ORDER: Mapping[str, int] = {"high": 0, "medium": 1, "low": 2}
LISTED = 1000  # rows that a finding carries at most


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing worth knowing before learning from the data.

    Args:
        what: in a few words.
        evidence: the numbers that it rests on.
        severity: "high" makes results wrong, "medium" may, "low" is worth a look.
        rows: numbers of the rows concerned, counted from 0; at most `LISTED`.
        columns: names of the columns concerned.
        suggestion: what to do.
    """

    what: str
    evidence: str
    severity: Severity
    rows: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    suggestion: str = ""


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width, drawn as a row of bars."""

    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one examination saw.

    Args:
        name: its title.
        looked_at: rows and labels that it used.
        findings: most severe first.
        said: sentences.
        heads, rows: a table; cells are words, numbers, None or a `Histogram`.
        picture: a PNG as a data URI.
        alt: the picture in words.
        values: further numbers for machines.
    """

    name: str
    looked_at: str
    findings: tuple[Finding, ...] = ()
    said: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    picture: str | None = None
    alt: str = ""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        rows = [[list(cell.counts) if isinstance(cell, Histogram) else cell for cell in row] for row in self.rows]
        entry = {
            "name": self.name,
            "looked_at": self.looked_at,
            "findings": [asdict(finding) for finding in self.findings],
            "said": list(self.said),
            "table": {"columns": list(self.heads), "rows": rows},
            **self.values,
        }
        return strict(entry)


def listed(rows: Any) -> tuple[int, ...]:
    """Row numbers for a finding, as plain integers."""
    return tuple(int(row) for row in rows[:LISTED])


def few(items: Any, count: int = 5) -> str:
    """The first of many, in words."""
    shown = ", ".join(str(item) for item in items[:count])
    return shown + (f" and {len(items) - count:,} more" if len(items) > count else "")
