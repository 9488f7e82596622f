"""What each member of a population is worth, beside what they are worth together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thetastar.errors import UserError
from thetastar.protocols import Batch, Measure

__all__ = ["of_members"]


class of_members(Measure):
    """(1/K) Σ_k P(member k) of a population; beside it P of each member as NAME.1, …, NAME.K.

    Args:
        inner: the measures P, of which the first is averaged.

    Shapes: "each.WORD" (batch, members, …), what members answer to every word that the measures want.
    """

    higher_is_better = None

    def __init__(self, *, inner: tuple[Measure, ...] = "accuracy") -> None:  # type: ignore[assignment]
        self.inner = inner
        self.wants = frozenset({"each"}).union(*(measure.wants for measure in inner))
        self.members: list[tuple[Measure, ...]] = []

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "population", "members": 3, "execution": "stacked"}
        data = {"data": "bars", "model": {"name": "mlp", "widths": [16]}}
        return {**data, "method": method, "measures": ["of_members"]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        answers = {name.removeprefix("each."): value for name, value in out.items() if name.startswith("each.")}
        if not answers:
            raise UserError("of_members of a single net", "a population", "choose method=population or leave it out")
        count = next(iter(answers.values())).shape[1]
        self.members = self.members or [copy.deepcopy(self.inner) for _ in range(count)]
        for k, measures in enumerate(self.members):
            own = {name: value[:, k] for name, value in answers.items()}
            for measure in measures:
                measure.update(own, batch)

    def compute(self) -> dict[str, float]:
        values = [[measure.compute() for measure in measures] for measures in self.members]
        first = [next(iter(each[0].values())) for each in values]
        found = {"of_members": sum(first) / max(len(first), 1)}
        for k, each in enumerate(values, 1):
            found |= {f"{name}.{k}": value for own in each for name, value in own.items()}
        return found
