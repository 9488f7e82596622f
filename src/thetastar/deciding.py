"""Yes or no: which probability is enough, given or chosen by what mistakes cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from thetastar.errors import UserError, nearest
from thetastar.functional.decisions import NEVER, Costs, bayes_threshold, best_threshold, mean_cost
from thetastar.functional.keys import seeded

if TYPE_CHECKING:
    from thetastar.star import Star

PROBABILITIES = frozenset({"probabilities"})


@dataclass(frozen=True)
class Decision:
    """Predict `positive` where its probability is at least `threshold`, else `negative`.

    Attributes:
        costs: of a false positive and a false negative, where the threshold was chosen by them.
        rows: of the valid split, on which it was chosen; 0 where it was not.
        cost, cost_at_half: mean cost of a valid row at the threshold, and at 0.5.
        why: why it was not chosen on valid.
    """

    positive: str
    negative: str
    threshold: float
    costs: Costs | None = None
    rows: int = 0
    cost: float | None = None
    cost_at_half: float | None = None
    why: str = ""

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.str_]:
        """The class of each row, from (rows,) probabilities of the positive one."""
        return np.where(probability.astype(np.float64) >= self.threshold, self.positive, self.negative)

    @property
    def said(self) -> list[str]:
        """In words."""
        if self.threshold >= NEVER:
            rule = f"'{self.positive}' is never predicted: with these costs every yes cost more than it saved"
        else:
            rule = f"'{self.positive}' is predicted where its probability is at least {self.threshold:.4g}"
        lines = [f"{rule} (--positive '{self.negative}' exchanges the classes)"]
        if self.costs is None:
            return lines
        of = "false positives cost {:g} each, false negatives {:g}".format(*self.costs)
        if self.why:
            return [*lines, f"{of}: FP/(FP+FN), which is right where the probabilities are; not from valid: {self.why}"]
        better = f"{self.cost:.4g} a row against {self.cost_at_half:.4g} at 0.5"
        return [*lines, f"{of}: chosen on {self.rows:,} valid rows, where it costs {better} (optimistic: same rows)"]


def given(star: Star, threshold: float, positive: str | None = None) -> Decision:
    """By a threshold that the user names, in [0, 1]."""
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold {threshold:g}", "a probability between 0 and 1", "mend it")
    yes, no, _ = _classes(star, positive, "threshold")
    return Decision(yes, no, threshold)


def chosen(star: Star, costs: Costs, positive: str | None = None) -> Decision:
    """The threshold of the least cost on valid; by theory where there is no such split to be had. Test stays sealed."""
    if len(costs) != 2 or not all(math.isfinite(cost) and cost >= 0 for cost in costs) or not any(costs):
        got = f"costs {', '.join(f'{cost:g}' for cost in costs)}"
        raise UserError(got, "those of a false positive and a false negative, ≥ 0, not both 0", "write for example 1,5")
    yes, no, place = _classes(star, positive, "costs")
    try:
        probability, positives = _on_valid(star, place)
    except UserError as error:
        return Decision(yes, no, bayes_threshold(costs), costs, why=error.got)
    threshold = best_threshold(probability, positives, costs)
    cost, half = (mean_cost(probability, positives, at, costs) for at in (threshold, 0.5))
    return Decision(yes, no, threshold, costs, len(positives), cost, half)


def place_of(star: Star, decision: Decision) -> int:
    """The column of the positive class."""
    return _classes(star, decision.positive, "threshold")[2]


def _classes(star: Star, positive: str | None, asked: str) -> tuple[str, str, int]:
    """The positive class, the other one, and the place of the positive one: the second unless it is named."""
    target = star.schema.target
    if target is None or target.kind != "category" or target.classes != 2:
        several = f" into {target.classes} classes" if target and target.kind == "category" else ""
        got = f"{asked} for {star.schema.task}{several}"
        raise UserError(got, "classification into two classes", "leave it out")
    names = target.names or ("0", "1")
    if positive is not None and positive not in names:
        raise UserError(f"no class '{positive}'", " or ".join(names), nearest(positive, names))
    place = 1 if positive is None else names.index(positive)
    return names[place], names[1 - place], place


@torch.no_grad()
def _on_valid(star: Star, place: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities of the positive class, and whether it was, over the valid split."""
    stream = star.stream
    if not stream.size("valid"):
        raise UserError("the data have no valid split")
    star.program.eval()
    probability: list[torch.Tensor] = []
    positive: list[torch.Tensor] = []
    for number, batch in enumerate(stream.batches("valid", star.clock)):
        with seeded(star.recipe.seed, "deciding", number):
            out = star.program.method.predict(star.program.f, batch, PROBABILITIES, star.clock)
        probability.append(out["probabilities"][:, place].cpu())
        positive.append(batch["target"].cpu() == place)
    return torch.cat(probability).numpy(), torch.cat(positive).numpy()
