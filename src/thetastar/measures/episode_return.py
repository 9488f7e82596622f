"""What an episode of an environment brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.protocols import Batch, Measure

__all__ = ["episode_return"]


class episode_return(Measure):
    """Mean over episodes of Σ_t r_t, the rewards of the whole episode undiscounted.

    The stream plays the episodes with the method's actions, so nothing more is asked of the method.

    Shapes: "return" (episodes,).
    """

    wants = frozenset()

    def __init__(self) -> None:
        self.total = torch.zeros((), dtype=torch.float64)
        self.count = 0

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "cartpole", "carts": 2, "capacity": 200, "warmup": 50, "limit": 30, "length": 10}
        return {"data": data, "model": {"name": "mlp", "widths": [8]}, "method": "dqn", "measures": ["episode_return"]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        returns = batch["return"]
        self.total = self.total.to(returns.device) + returns.double().sum()
        self.count += len(returns)
        return returns

    def compute(self) -> dict[str, float]:
        return {"episode_return": self.total.item() / max(self.count, 1)}
