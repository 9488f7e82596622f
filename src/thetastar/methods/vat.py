"""Virtual adversarial training: say the same wherever a small step would change the answer most."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.attacks import virtual_direction
from thetastar.functional.information import kl
from thetastar.functional.keys import keyed, next_key
from thetastar.functional.losses import cross_entropy, full
from thetastar.functional.moments import varies
from thetastar.functional.ramps import gaussian
from thetastar.functional.unlabelled import unlabelled
from thetastar.layers.frozen import scratch, untraced
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Fraction, NonNegative, Positive, Whole

__all__ = ["vat"]


class vat(SemiSupervised):
    """L = mean −log p(y|x) + w(t) · mean KL(p̂(·|u) ‖ p(·|u + σ r)), r = ε √D d, p̂ the p of now without gradient.

    d of length one is where the divergence rises most: `iterations` of the power method d ← ∇_r KL(p̂(·|u) ‖ p(·|u +
    σ r)) at r = ξ √D d, from a random d. r is in standard deviations σ of the input's D entries, so ε is the root mean
    square of a step and needs no other value for other units; the paper's ‖r‖₂ = 2 on MNIST is an ε of 0.23. All passes
    over u have the same dropout and the moments of their own batch, so that they differ by the step alone, and leave no
    running moments. The divergence of a tiny step needs digits: the direction is sought in float32.

    Args:
        eps: ε > 0, the root mean square of a step in standard deviations.
        xi: ξ > 0, that of the step at which the slope is taken.
        iterations: of the power method; 0 steps in a random direction.
        weight: w at last, ≥ 0.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), unlabelled (unlabelled, …) → logits (batch, classes).

    Source: Miyato, Maeda, Koyama and Ishii 2018, Virtual adversarial training: a regularization method for supervised
    and semi-supervised learning.
    """

    sigma: Tensor

    def __init__(
        self,
        *,
        eps: Positive = 0.2,
        xi: Positive = 0.01,
        iterations: Whole = 1,
        weight: NonNegative = 1.0,
        ramp: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.eps, self.xi, self.iterations, self.weight, self.ramp = eps, xi, iterations, weight, ramp

    def attach(self, f: Model, schema: Schema) -> None:
        super().attach(f, schema)
        if not isinstance(schema.input, Field) or schema.input.kind not in ("image", "vector"):
            raise UserError("vat on inputs that cannot be moved a little", "images or vectors", "choose pseudo_labels")
        self.register_buffer("sigma", deviations(schema.input))

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        labelled = cross_entropy(f(batch["input"]), batch["target"], reduction="mean")
        u = unlabelled(batch, "vat")["input"]
        divergence = self.divergence(f, u)
        size = math.sqrt(u[0].numel())
        with torch.autocast(u.device.type, enabled=False):
            d = virtual_direction(divergence, u, xi=self.xi * size, iterations=self.iterations)
        smoothness = divergence(self.eps * size * d).mean()
        log = {"labelled": labelled.detach(), "divergence": smoothness.detach()}
        return labelled + self.weight * gaussian(t, self.ramp) * smoothness, Aux(log=log)

    def divergence(self, f: Model, u: Tensor) -> Callable[[Tensor], Tensor]:
        """r ↦ KL(p̂(·|u) ‖ p(·|u + σ r)) of each example, always with the same dropout."""
        key = next_key(u.device)
        with torch.autocast(u.device.type, enabled=False), untraced(f), keyed(key):
            now = full(f(u))

        def of_step(r: Tensor) -> Tensor:
            with scratch(f), keyed(key):
                return kl(now, f(u + self.sigma * r), logits=True)

        return of_step


def deviations(field: Field) -> Tensor:
    """σ of each channel or entry in train, 0 of one that never varies; 1 where none is known."""
    if not field.std:
        return torch.ones(())
    mean, std = torch.tensor(field.mean), torch.tensor(field.std)
    return (std * varies(mean, std)).view((-1, 1, 1) if field.kind == "image" else (-1,))
