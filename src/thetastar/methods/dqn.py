"""Deep Q-learning: the value of actions, learnt from what they led to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.keys import uniform
from thetastar.functional.wrapping import uncached_casts
from thetastar.layers.frozen import Frozen
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import BelowOne, Count, Fraction

__all__ = ["dqn"]


class dqn(Objective):
    """min_θ E[ h(r + γ (1 − end) max_a' Q_θ'(s', a') − Q_θ(s, a)) ], h Huber's loss, θ' an older θ.

    The target network θ' is copied from θ every `period` steps. While training, actions are ε-greedy: random with
    probability ε, which falls linearly from 1 over a share of the run.

    Args:
        discount: γ in [0, 1).
        period: steps between copies of the weights into the target network; 1 is learning without one.
        double: let Q_θ choose the action a' that Q_θ' values.
        explore: ε after its fall, in [0, 1].
        fall: share of the run over which ε falls, in [0, 1].

    Shapes: reads "input", "next" (batch, …), "action", "reward", "terminal" (batch,); predicts "action" (batch,) and
    "values" (batch, actions).

    Source: Mnih et al. 2015, Human-level control through deep reinforcement learning; van Hasselt, Guez and Silver
    2016, Deep reinforcement learning with double Q-learning.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "algorithm": {"name": "adamw", "lr": 3e-3, "weight_decay": 0.0, "clip": 10.0},
        "measures": ["episode_return"],
    }
    reads = ("input", "action", "reward", "next", "terminal")

    def __init__(
        self,
        *,
        discount: BelowOne = 0.98,
        period: Count = 100,
        double: bool = True,
        explore: Fraction = 0.05,
        fall: Fraction = 0.3,
    ) -> None:
        super().__init__()
        self.discount, self.period, self.decoupled = discount, period, double
        self.explore, self.fall = explore, fall

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "cartpole", "carts": 2, "capacity": 200, "warmup": 50, "limit": 30, "length": 10, "episodes": 4}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": "dqn"}

    def attach(self, f: Model, schema: Schema) -> None:
        if schema.target is None or schema.target.kind != "action":
            raise UserError(f"dqn on {schema.task}", "an environment with actions", "choose data=cartpole")
        self.target = Frozen(f)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        value = f(batch["input"]).float().gather(1, batch["action"][:, None])[:, 0]
        goal = self.goal(f, batch)
        log = {"value": value.mean().detach(), "exploration": value.new_tensor(self.epsilon(t))}
        return F.smooth_l1_loss(value, goal), Aux(log)

    @torch.no_grad()
    def goal(self, f: Model, batch: Batch) -> Tensor:
        """What Q(s, a) should be: (batch,)."""
        with uncached_casts(), resting(f):
            later = self.target(batch["next"]).float()
            choice = f(batch["next"]) if self.decoupled else later
        best = later.gather(1, choice.argmax(1, keepdim=True))[:, 0]
        return batch["reward"] + self.discount * (1.0 - batch["terminal"]) * best

    def epsilon(self, t: Clock) -> float:
        """The chance of a random action."""
        return max(self.explore, 1.0 - (1.0 - self.explore) * t.progress / self.fall if self.fall else 0.0)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        if "features" in wants:
            out["features"] = f.features(batch["input"])
        if wants & {"action", "prediction", "values"}:
            with resting(f):
                values = f(batch["input"]).float()
            best = values.argmax(1)
            chosen = self.explored(best, values.shape[1], batch, t) if self.training else best
            out |= {"values": values, "prediction": best, "action": chosen}
        return {name: value for name, value in out.items() if name in wants}

    def explored(self, best: Tensor, actions: int, batch: Batch, t: Clock) -> Tensor:
        """ε-greedy, drawn by the clock and the number of the transition, so that a resumed run explores alike."""

        def draw(purpose: str) -> Tensor:
            return uniform(batch["index"] + t.key("explore", purpose), best.shape, best.device)

        random = (draw("action") * actions).long()
        return torch.where(draw("whether") < self.epsilon(t), random, best)

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        if (t.step + 1) % self.period == 0:
            self.target.follow(f, 0.0)


@contextmanager
def resting(f: Model) -> Iterator[None]:
    """f as it is after training: no dropout, batch norm by its running moments."""
    was = f.training
    f.eval()
    try:
        yield
    finally:
        f.train(was)
