"""Whether a split differs from train, asked of a classifier that tries to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, norm, rankdata

from thetastar.look.encoding import Matrix, features, said_of_width
from thetastar.look.findings import Finding, Section, few
from thetastar.look.identifiers import identifiers
from thetastar.look.subject import Subject

MOST = 4000  # rows of each side
FEWEST = 25
FOLDS = 5
LEVEL = 0.99  # two splits of every data set are tried: a false alarm should be seldom
STRONG = 0.75  # AUC from which a split is another population


def drift(subject: Subject) -> Section:
    """AUC of telling rows of a split from rows of train: 0.5 where nothing tells them apart.

    Gradient boosting, cross-validated; the 99% interval is DeLong's, widened for folds that share training rows (Nadeau
    and Bengio). Inputs only.

    Source: Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests; Nadeau and Bengio 2003, Inference for the
    generalization error.
    """
    without = tuple(identifiers(subject))
    lines: list[str] = list(said_of_width(subject))
    if without:
        lines.append("identifiers left aside: " + ", ".join(without))
    table: list[tuple[object, ...]] = []
    findings: list[Finding] = []
    for name in ("valid", "test"):
        first = subject.sample(subject.splits["train"], f"drift train {name}", MOST)
        second = subject.sample(subject.splits[name], f"drift {name}", MOST)
        if min(len(first), len(second)) < FEWEST:
            lines.append(f"train against {name}: too few rows to say ({len(first):,} and {len(second):,})")
            continue
        x, names = features(subject, np.concatenate([first, second]), without)
        if x.shape[1] == 0:
            lines.append(f"train against {name}: no column to tell them apart by")
            continue
        auc, low, high = separability(x, len(first))
        table.append((f"train against {name}", auc, low, high, len(first) + len(second)))
        if low > 0.5:
            findings.append(_finding(name, auc, low, high, moved(x, names, len(first))))
        else:
            lines.append(
                f"train against {name}: no drift found (AUC {auc:.3f}, {LEVEL:.0%} interval {low:.3f} to {high:.3f})"
            )
    return Section(
        name="Drift between splits",
        looked_at=f"inputs of at most {MOST:,} rows of train, valid and test; no labels",
        findings=tuple(findings),
        said=tuple(lines),
        heads=("splits", "AUC", f"{LEVEL:.0%} from", "to", "rows") if table else (),
        rows=tuple(table),
    )


def _finding(name: str, auc: float, low: float, high: float, columns: Sequence[str]) -> Finding:
    return Finding(
        what=f"{name} differs from train",
        evidence=f"a classifier tells them apart with AUC {auc:.3f} ({LEVEL:.0%} interval {low:.3f} to {high:.3f})"
        + (f"; most by {few([repr(column) for column in columns], 3)}" if columns else ""),
        severity="high" if auc >= STRONG and low >= 0.6 else "medium" if low >= 0.55 else "low",
        columns=tuple(columns),
        suggestion="the score speaks of another population than training saw; ask how the splits were made",
    )


def separability(x: Matrix, first: int) -> tuple[float, float, float]:
    """AUC of rows before and from `first` on, with its interval: the mean over folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    side = (np.arange(len(x)) >= first).astype(int)
    parts: list[tuple[float, float]] = []
    for fit, judged in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, side):
        model = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, min_samples_leaf=10, random_state=0)
        score = model.fit(x[fit], side[fit]).decision_function(x[judged])
        parts.append(delong(score[side[judged] == 1], score[side[judged] == 0]))
    auc = float(np.mean([value for value, _ in parts]))
    mean = sum(variance for _, variance in parts) / len(parts)
    half = float(
        norm.ppf(0.5 + LEVEL / 2) * np.sqrt(mean * (1 / FOLDS + 1 / (FOLDS - 1)))
    )  # folds share their training rows
    return auc, max(0.0, auc - half), min(1.0, auc + half)


def delong(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> tuple[float, float]:
    """AUC = P(s⁺ > s⁻) + ½ P(s⁺ = s⁻), with the variance of its estimate.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Comparing the areas under two or more correlated ROC curves.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    of_positive = (ranks[:m] - rankdata(positive)) / n  # share of negatives below each positive
    of_negative = 1 - (ranks[m:] - rankdata(negative)) / m  # share of positives above each negative
    variance = of_positive.var(ddof=1) / m + of_negative.var(ddof=1) / n if min(m, n) > 1 else np.inf
    return float(of_positive.mean()), float(variance)


def moved(x: Matrix, names: Sequence[str], first: int) -> list[str]:
    """Columns whose distribution moved most (Kolmogorov–Smirnov), where there are names that mean something."""
    found: list[tuple[float, str]] = []
    for place, name in enumerate(names):
        column = np.where(np.isnan(x[:, place]), np.inf, x[:, place])
        distance, chance = np.asarray(ks_2samp(column[:first], column[first:], method="asymp"))
        if chance < 0.01 / len(names):
            found.append((float(distance), name))
    return [name for _, name in sorted(found, key=lambda item: -item[0])[:3] if not name.startswith("pixel ")]
