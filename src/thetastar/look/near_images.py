"""Images that look the same though their bytes differ: re-encoded, resized, brightened."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from thetastar.look.encoding import thumbs
from thetastar.look.findings import Finding, few, listed
from thetastar.look.sheet import sheet
from thetastar.look.subject import SPLITS, Rows, Subject

BITS = 5  # of 64 that may differ
ALIKE = 0.98  # correlation of the grey pixels that confirms a pair
SIDE = 16  # pixels on which it is measured
SHOWN = 12
MOST = 5000  # pairs that are kept


@dataclass(frozen=True, kw_only=True)
class Near:
    """Pairs of rows, and what to say of them."""

    said: str
    pairs: list[list[int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    picture: str | None = None


def dhash(subject: Subject, rows: Rows) -> NDArray[np.bool_]:
    """64 bits an image: on a grey 9×8 copy, whether each pixel is brighter than its left neighbour.

    Shapes: → (rows, 64).
    """
    grey = torch.from_numpy(thumbs(subject, rows, 4 * SIDE).mean(1, keepdims=True))
    small = interpolate(grey, size=(8, 9), mode="area")[:, 0].numpy()
    return (small[:, :, 1:] > small[:, :, :-1] + 1e-6).reshape(len(rows), 64)


def near_images(subject: Subject) -> Near:
    """Pairs whose hashes differ in few bits and whose pixels agree; exact copies are not among them.

    Hamming distances of all pairs are one product of ±1 matrices: d = (64 − a·b) / 2.
    """
    rows = subject.sample(np.arange(subject.count), "near")
    signs = torch.from_numpy(dhash(subject, rows)).float() * 2 - 1
    grey = thumbs(subject, rows, SIDE).mean(1).reshape(len(rows), -1)
    grey = grey - grey.mean(1, keepdims=True)
    norm = np.linalg.norm(grey, axis=1, keepdims=True)
    grey = torch.from_numpy(np.divide(grey, norm, out=np.zeros_like(grey), where=norm > 1e-6)).float()
    pairs: list[list[int]] = []
    for start in range(0, len(rows), 1024):
        close = signs[start : start + 1024] @ signs.T >= 64 - 2 * BITS
        first, second = torch.nonzero(close, as_tuple=True)
        keep = second > first + start
        first, second = first[keep] + start, second[keep]
        for i, j in zip(first.split(65536), second.split(65536), strict=True):
            good = (grey[i] * grey[j]).sum(1) >= ALIKE
            pairs += [[int(rows[a]), int(rows[b])] for a, b in zip(i[good].tolist(), j[good].tolist(), strict=True)]
        if len(pairs) > MOST:
            break
    assert subject.images is not None
    pairs = [pair for pair in pairs[:MOST] if not torch.equal(subject.images[pair[0]], subject.images[pair[1]])]
    said = f"near: at most {BITS} of 64 bits of a difference hash apart and pixels correlated ≥ {ALIKE}"
    if len(rows) < subject.count:
        said += f"; among {len(rows):,} of {subject.count:,} images, drawn at random"
    return Near(said=said, pairs=pairs, findings=_findings(subject, pairs), picture=_picture(subject, pairs))


def _splits(subject: Subject) -> NDArray[np.int64]:
    """The split of each row, as its place in `SPLITS`; -1 where a row is in none."""
    found = np.full(subject.count, -1)
    for place, name in enumerate(SPLITS):
        found[subject.splits[name]] = place
    return found


def _findings(subject: Subject, pairs: list[list[int]]) -> list[Finding]:
    if not pairs:
        return []
    split = _splits(subject)[np.asarray(pairs)]  # (pairs, 2)
    findings: list[Finding] = []
    for place, name in enumerate(SPLITS[1:], 1):
        crossing = (split.min(1) == 0) & (split.max(1) == place)
        if crossing.any():
            held = np.asarray(pairs)[crossing][split[crossing] == place]
            copies = np.unique(held)
            findings.append(
                Finding(
                    what=f"{name} images that nearly equal one of train",
                    evidence=f"{len(copies):,} of {len(subject.splits[name]):,}, such as image {few(copies, 3)}",
                    severity="medium",
                    rows=listed(copies),
                    suggestion="look at the pairs; remove copies from one side or split by where they come from",
                )
            )
    inside = split[:, 0] == split[:, 1]
    if inside.any():
        some = np.asarray(pairs)[inside]
        findings.append(
            Finding(
                what="images that nearly equal another of their split",
                evidence=f"{len(some):,} pairs, such as images {few([f'{a} and {b}' for a, b in some], 3)}",
                severity="low",
                rows=listed(np.unique(some)),
                suggestion="look at the pairs; series of one scene count as one example",
            )
        )
    return findings


def _picture(subject: Subject, pairs: list[list[int]]) -> str | None:
    """Pairs across splits first, two columns of pairs."""
    if not pairs:
        return None
    split = _splits(subject)
    ranked = sorted(pairs, key=lambda pair: bool(split[pair[0]] == split[pair[1]]))[:SHOWN]
    names = (*SPLITS, "in none")
    lines = [(f"{names[split[a]]}, {names[split[b]]}", [(a, f"{a}"), (b, f"{b}")]) for a, b in ranked]
    return sheet(subject, lines)
