"""Adversarial training: learning on the worst inputs within reach."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.attacks import Norm, pgd_attack
from thetastar.functional.wrapping import Wrapper
from thetastar.layers.frozen import scratch
from thetastar.protocols import Aux, Batch, Clock, Field, Method, Model, Schema
from thetastar.registry import NonNegative, Positive, Whole

__all__ = ["pgd"]


class pgd(Wrapper):
    """min_θ E[ max_{‖δ‖ ≤ ε} ℓ(f_θ(x + δ), y) ], the inner maximum approached by projected gradient ascent.

    Args:
        inner: the method whose loss is attacked and then minimised.
        eps: radius ε of the ball in the input's own units (images in [0, 1]), ≥ 0; 0 is the inner method itself.
        step_size: of the ascent, in the same units; null is 2.5 ε / steps, which can reach any point of the ball.
        steps: of the ascent; 0 is the inner method itself.
        norm: of the ball; images also stay in [0, 1].
        random_start: begin the ascent at a uniform draw from the ball.

    Source: Madry et al. 2018, Towards deep learning models resistant to adversarial attacks.
    """

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        eps: NonNegative = 0.1,
        step_size: Positive | None = None,
        steps: Whole = 7,
        norm: Norm = "linf",
        random_start: bool = True,
    ) -> None:
        super().__init__(inner)
        self.norm: Norm = norm
        self.eps, self.steps, self.random_start = eps, steps, random_start
        self.step_size = step_size if step_size is not None else 2.5 * eps / max(steps, 1)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": "bars",
            "model": {"name": "mlp", "widths": [16]},
            "method": {"name": "pgd", "eps": 0.05, "steps": 2},
        }

    def attach(self, f: Model, schema: Schema) -> None:
        if not isinstance(schema.input, Field) or schema.input.kind not in ("image", "vector"):
            raise UserError(
                "pgd on inputs that cannot be moved a little", "images or vectors", "choose the inner method alone"
            )
        self.bounds = (0.0, 1.0) if schema.input.kind == "image" else None
        super().attach(f, schema)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        return self.inner.loss(f, {**batch, "input": self.attack(f, batch, t)}, t)

    def attack(self, f: Model, batch: Batch, t: Clock) -> Tensor:
        """The batch's inputs, moved to raise the inner loss; f keeps no trace of it."""
        with scratch(f, self.inner):
            return pgd_attack(
                lambda x: self.inner.loss(f, {**batch, "input": x}, t)[0],
                batch["input"],
                eps=self.eps,
                step_size=self.step_size,
                steps=self.steps,
                norm=self.norm,
                random_start=self.random_start,
                bounds=self.bounds,
            )
