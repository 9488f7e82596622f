"""How often each class occurs."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from thetastar.functional.masks import VOID
from thetastar.look.findings import Finding, Section, few
from thetastar.look.subject import Subject

SELDOM = 10  # times rarer than the commonest class
TOO_FEW = 10  # examples of a class in train and valid together


def balance(subject: Subject) -> Section | None:
    """Class shares among the labels that may be seen; the spread of the target where it is a number."""
    if subject.masks is not None:
        return _of_pixels(subject, subject.masks)
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


def _of_pixels(subject: Subject, masks: Tensor) -> Section:
    """Shares of the classes among the pixels that are not void, and the images that each is in."""
    classes = len(subject.names)
    by_image = np.stack([np.bincount(masks[row].flatten().numpy(), minlength=256) for row in subject.labelled])
    pixels, images = by_image[:, :classes].sum(0), (by_image[:, :classes] > 0).sum(0)
    total = max(int(pixels.sum()), 1)
    order = np.argsort(-pixels, kind="stable")
    rows = tuple((subject.names[i], int(pixels[i]), pixels[i] / total, int(images[i])) for i in order)
    few_of = [subject.names[i] for i in order if images[i] < TOO_FEW]
    findings = ()
    if few_of:
        seldom = f"in fewer than {TOO_FEW} images of train and valid: {few([repr(name) for name in few_of])}"
        advice = "collect more, merge or leave them void; results on them are guesses"
        what = "classes with hardly any images"
        findings = (Finding(what=what, evidence=seldom, severity="medium", suggestion=advice),)
    common = subject.names[order[0]]
    void = by_image[:, VOID].sum() / max(int(by_image.sum()), 1)
    return Section(
        name="Class balance",
        looked_at=f"masks of train and valid ({len(subject.labelled):,} images); test masks stay sealed",
        findings=findings,
        said=(
            f"always answering '{common}' is right in {pixels[order[0]] / total:.1%} of the pixels that count; "
            f"{void:.1%} are void",
        ),
        heads=("class", "pixels", "share", "images"),
        rows=rows,
    )
