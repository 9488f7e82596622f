"""All examinations of one data set, in the order in which one reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from thetastar.look.augmentation import augmentation
from thetastar.look.balance import balance
from thetastar.look.correlations import correlations
from thetastar.look.drift import drift
from thetastar.look.duplicates import duplicates
from thetastar.look.examples import examples
from thetastar.look.findings import ORDER, Finding, Section
from thetastar.look.label_noise import label_noise
from thetastar.look.leakage import leakage
from thetastar.look.profiling import profile
from thetastar.look.subject import SAMPLE, SPLITS, Subject, subject_of

EXAMINATIONS: Sequence[tuple[str, Callable[[Subject], Section | None]]] = (
    ("columns", profile),
    ("class balance", balance),
    ("examples", examples),
    ("augmentation", augmentation),
    ("correlations", correlations),
    ("duplicates", duplicates),
    ("drift", drift),
    ("leakage", leakage),
    ("labels", label_noise),
)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What looking at a data set showed."""

    subject: Subject
    sections: tuple[Section, ...]

    @property
    def findings(self) -> list[Finding]:
        """Of all examinations, the most severe first."""
        found = [*self.subject.findings, *(finding for section in self.sections for finding in section.findings)]
        return sorted(found, key=lambda finding: ORDER[finding.severity])

    @property
    def headline(self) -> str:
        counts = [
            f"{count} of {severity} severity"
            for severity in ORDER
            if (count := sum(f.severity == severity for f in self.findings))
        ]
        return f"{self.subject.title}: " + (
            f"findings: {', '.join(counts)}" if counts else "nothing found to worry about"
        )

    @property
    def said(self) -> list[str]:
        """What was looked at, beside what reading decided."""
        bound = "the test split was looked at by its inputs only, never by its labels"
        large = (
            f"; examinations beyond counting use {SAMPLE:,} rows drawn at random" if self.subject.count > SAMPLE else ""
        )
        return [*self.subject.said, bound + large]

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.subject.title,
            "rows": self.subject.count,
            "task": self.subject.task,
            "target": self.subject.target or None,
            "splits": {name: len(self.subject.splits[name]) for name in SPLITS},
            "headline": self.headline,
            "said": self.said,
            "findings": [vars(finding) for finding in self.findings],
            "examinations": [section.to_json() for section in self.sections],
        }


def look(data: Any, watch: Callable[[str], None] = lambda name: None) -> Look:
    """Examine a data set.

    Args:
        data: a name, a path, a spec with `target`, (inputs, targets) or a frame.
        watch: is told which examination begins.
    """
    subject = subject_of(data)
    sections: list[Section] = []
    for name, examine in EXAMINATIONS:
        watch(name)
        section = examine(subject)
        if section is not None:
            sections.append(section)
    return Look(subject=subject, sections=tuple(sections))
