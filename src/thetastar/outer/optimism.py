"""What a search found, in words that do not promise more than was seen.

The best of many trials is best partly by luck: of its seed, which fresh seeds take back, and of the valid rows that it
was chosen by, which only the test split shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thetastar.outer import wording
from thetastar.outer.study import Study


@dataclass(frozen=True)
class Gain:
    """Tuned − default on valid over fresh seeds, in pairs; half the 95% interval, none for a single seed.

    The interval carries the seeds on these valid rows; that the rows were chosen by is not in it.
    """

    default: float
    tuned: float
    half: float | None
    seeds: int

    @property
    def difference(self) -> float:
        return self.tuned - self.default


def gain(pairs: Sequence[tuple[float, float]]) -> Gain | None:
    """By Student's t on the differences of the pairs (default, tuned)."""
    from scipy import stats

    if not pairs:
        return None
    values = np.array(pairs, dtype=float)
    differences = values[:, 1] - values[:, 0]
    count = len(differences)
    half = float(stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / math.sqrt(count)) if count > 1 else None
    return Gain(float(values[:, 0].mean()), float(values[:, 1].mean()), half, count)


def sentences(study: Study) -> list[str]:
    """The result, how much of it is luck, and what has not been looked at."""
    best, name = study.best, wording.head(study.measure)
    if best is None:
        return ["No trial finished."]
    said = [counts(study)]
    default = next((trial for trial in study.finished if trial.number == 0), None)
    had = f"the default has {amount(study, default.value)}" if default else "the default did not finish"
    if best.number == 0:
        return [*said, f"No trial has a better {name} on valid than the default, {amount(study, best.value)}."]
    many = wording.counted(len(study.trials), "trial")
    said.append(f"Best {name} on valid: {amount(study, best.value)} (trial {best.number + 1}); {had}.")
    found = gain(study.pairs())
    if found is None:
        said.append(f"That is the best of {many} on the rows that it was chosen by, so it is too good.")
        return [*said, unseen()]
    if found.half == 0.0:
        said.append(f"{wording.capital(many)} on the same rows, and other seeds change nothing: that is too good.")
        return [*said, unseen()]
    luck = (best.value or 0.0) - found.tuned
    lucky = luck > 0 if study.higher else luck < 0
    seeds = wording.counted(found.seeds, "fresh seed")
    said.append(
        f"The best of {many} is optimistic: with {seeds} the same settings have {amount(study, found.tuned)} on valid"
        + (f", so {size(study, abs(luck))} luck of the seed." if lucky else ".")
    )
    said.append(f"Tuned − default on valid: {signed(study, found)} ({seeds}){less(study)}{open_(found)}.")
    return [*said, unseen()]


def counts(study: Study) -> str:
    """'30 trials: 21 finished, 8 pruned, 1 failed.'"""
    by_state = {state: sum(t.state == state for t in study.trials) for state in ("finished", "pruned", "failed")}
    parts = ", ".join(f"{count} {state}" for state, count in by_state.items() if count)
    return f"{wording.counted(len(study.trials), 'trial')}: {parts}."


def unseen() -> str:
    return "The rows of valid chose the settings, so even that may be a little too good; the test split was not opened."


def is_share(study: Study) -> bool:
    return study.measure in wording.SHARES


def amount(study: Study, value: float | None) -> str:
    return wording.amount(study.measure, value)


def size(study: Study, value: float) -> str:
    return f"{100 * value:.1f} points of it are" if is_share(study) else f"{wording.figure(value)} of it is"


def signed(study: Study, found: Gain) -> str:
    """'+0.6 ± 0.4 points'; the measure's own unit where it is no share."""
    unit = 100.0 if is_share(study) else 1.0
    difference, half = unit * found.difference, None if found.half is None else unit * found.half
    digits = 1 if is_share(study) else places(half or abs(difference))
    sign = "+" if difference >= 0 else "−"
    text = f"{sign}{abs(difference):,.{digits}f}" + ("" if half is None else f" ± {half:,.{digits}f}")
    return text + (" points" if is_share(study) else f" in {wording.head(study.measure)}")


def places(value: float) -> int:
    return max(0, 1 - math.floor(math.log10(value))) if value > 0 and math.isfinite(value) else 2


def less(study: Study) -> str:
    return "" if study.higher else ", less is better"


def open_(found: Gain) -> str:
    if found.half is None:
        return "; one seed gives no interval"
    return "" if abs(found.difference) > found.half else ", which the evidence does not tell from none"
