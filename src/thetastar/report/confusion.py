"""Which class is taken for which: in words, then as tables of counts shaded by the share of their row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thetastar.outer import wording
from thetastar.outer.evidence import SHOWN, Array, Evidence
from thetastar.report.page import Section, section

TABLE = 20  # classes; more are told in words alone
TOLD = 5


def confusions(evidence: Evidence) -> Section | None:
    """None where there are too many classes to count pairs of them."""
    shown = [(name, answers) for name, answers in list(evidence.answers.items())[:SHOWN]]
    parts: list[dict[str, Any]] = []
    for name, answers in shown:
        if answers.confusion is not None:
            table = rows(answers.confusion, evidence.names) if len(evidence.names) <= TABLE else []
            said = commonest(answers.confusion, evidence.names)
            parts.append({"name": wording.spoken(name), "said": said, "rows": table})
    if not parts:
        return None
    return section(
        "confusions",
        "What is taken for what",
        parts=parts,
        names=evidence.names,
        seeds=max(answers.seeds for _, answers in shown),
        split=evidence.split,
        redrawn=evidence.redrawn,
    )


def commonest(matrix: Array, names: tuple[str, ...]) -> list[str]:
    """'8 for 1: 12 of 178 (6.7%)', the pairs with most mistakes first."""
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:TOLD]
    told: list[str] = []
    for truth, said in zip(*np.unravel_index(order, matrix.shape), strict=True):
        count, of = int(mistakes[truth, said]), int(matrix[truth].sum())
        if count:
            told.append(f"{names[truth]} for {names[said]}: {count:,} of {of:,} ({count / of:.1%})")
    return told


def rows(matrix: Array, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row a class: counts, their shades (roots of shares of the row, 1 for the largest), how many are right."""
    of = matrix.sum(1)
    share = matrix / np.maximum(of, 1)[:, None]
    mistakes = share - np.diag(np.diag(share))
    most = float(mistakes.max()) or 1.0
    return [
        {
            "name": names[i],
            "right": f"{share[i, i]:.1%}" if of[i] else "–",
            "cells": [
                {"count": int(count), "kind": "right" if i == j else "" if count else "none",
                 "shade": round(math.sqrt(mistakes[i, j] / most), 3)}
                for j, count in enumerate(line)
            ],
        }
        for i, line in enumerate(matrix.tolist())
    ]  # fmt: skip
