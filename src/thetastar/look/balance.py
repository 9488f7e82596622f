"""How often each class occurs."""

from __future__ import annotations

import numpy as np

from thetastar.look.findings import Finding, Section, few
from thetastar.look.subject import Subject

SELDOM = 10  # times rarer than the commonest class
TOO_FEW = 10  # examples of a class in train and valid together


def balance(subject: Subject) -> Section | None:
    """Class shares among the labels that may be seen; the spread of the target where it is a number."""
    if subject.labels is None or not subject.names:
        return None
    counts = np.bincount(subject.labels[subject.labelled], minlength=len(subject.names))
    order = np.argsort(-counts, kind="stable")
    total = int(counts.sum())
    rows = tuple((subject.names[i], int(counts[i]), counts[i] / total) for i in order)
    findings: list[Finding] = []
    few_of = [subject.names[i] for i in order if counts[i] < TOO_FEW]
    if few_of:
        findings.append(
            Finding(
                what="classes with hardly any examples",
                evidence=f"fewer than {TOO_FEW} in train and valid: {few([repr(name) for name in few_of])}",
                severity="medium",
                suggestion="collect more, merge or drop them; results on them are guesses",
            )
        )
    if counts.max() >= SELDOM * max(int(counts.min()), 1):
        common, rare = subject.names[order[0]], subject.names[order[-1]]
        findings.append(
            Finding(
                what="classes out of balance",
                evidence=f"'{common}' has {counts.max():,} examples, '{rare}' {counts.min():,}",
                severity="low",
                suggestion=f"accuracy {counts.max() / total:.1%} means nothing here; judge by balanced accuracy",
            )
        )
    return Section(
        name="Class balance",
        looked_at=f"labels of train and valid ({total:,} rows); test labels stay sealed",
        findings=tuple(findings),
        said=(f"always answering '{subject.names[order[0]]}' is right in {counts.max() / total:.1%}",),
        heads=("class", "examples", "share"),
        rows=rows,
    )
