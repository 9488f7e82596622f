"""What a verdict rests on: terms, what was not tuned or not tested, recipes, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thetastar.outer import wording
from thetastar.outer.verdict import Verdict
from thetastar.report.page import Section, listed, section


def terms(verdict: Verdict) -> Section:
    """What was the same for all, what varied, what was tuned, and how often the test split was opened."""
    q = verdict.question
    budget = (
        ", ".join(f"{value:g} {name}" for name, value in q.budget.items()) or "the default of the data, see the recipes"
    )
    tuned = f"{q.trials} trials for every learner, on the valid split" if q.trials else "nothing"
    rows = [
        ("Data", f"{q.title}, {q.rows:,} rows, hash {q.fingerprint or 'unknown'}"),
        ("Task", q.task),
        ("Splits", f"{q.n_train:,} train / {q.n_valid:,} valid / {q.n_test:,} test"),
        ("Same for all", f"the splits, the budget ({budget}), {wording.counted(q.seeds, 'seed')}, the measures"),
        ("Varied by seed", "the split, initialisation and order" if q.resplit else "initialisation and order"),
        ("Tuned", tuned),
        ("Test split", wording.opened(verdict)),
        *([("Noise", q.noise)] if q.noise else []),
    ]
    return section("terms", "The terms", rows=rows, said=q.said)


def limits(verdict: Verdict) -> Section:
    """What the verdict does not speak of."""
    q = verdict.question
    lines = [
        f"Tuning: {q.trials} trials a learner searched a few settings; more trials could change the order."
        if q.trials
        else "Nothing was tuned: every learner ran with its defaults, and tuning could change the order.",
        "One budget was tried; learners that need longer to train may gain from more.",
        f"Samples of other sizes than {q.n_train:,} training rows were not tried."
        if q.resplit
        else "One training sample was used; another could rank the learners otherwise.",
        "The test rows come from where the training rows come from: how any learner does on data gathered elsewhere or "
        "later was not tested.",
        f"Robustness was tested against {q.noise} alone." if q.noise else "Robustness to noise was not tested.",
        "Quality was measured over all test rows; groups within them may fare worse.",
        f"Only {wording.head(q.measure)} decides; the other measures were seen once and not compared by a test.",
    ]
    return section("limits", "What was not tuned or not tested", lines=lines)


def recipes(given: Sequence[tuple[str, str]], differing: Sequence[tuple[str, Sequence[str]]] = ()) -> Section:
    """Full recipes; where `differing` is given, first the settings in which they differ, a value for each."""
    names = [wording.spoken(name) for name, _ in given]
    texts = list(zip(names, (text for _, text in given), strict=True))
    return section("recipes", "Recipes", recipes=texts, names=names, differing=differing)


def provenance(known: Mapping[str, Any]) -> Section:
    return section("provenance", "Provenance", rows=listed(known))
