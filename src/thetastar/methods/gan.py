"""Generative adversarial learning with a gradient penalty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.attention import in_plain_products
from thetastar.functional.moments import moments
from thetastar.layers.ends import only_input
from thetastar.protocols import Aux, Batch, Clock, Field, Method, Model, Move, Schema, Spec, trainable
from thetastar.registry import Count, NonNegative

__all__ = ["gan"]


class gan(Method):
    """min_G max_D  E[D(x)] − E[D(G(z))] − λ E[(‖∇D(x̂)‖ − 1)²],  z ~ N(0, I),  x̂ = ux + (1 − u)G(z),  u ~ U(0, 1).

    f is the body of the critic, D(x) = w·f.features(x): so every model that reads the data can judge them, and what the
    critic learnt is reached through "features" as after any other method. G is a model too, built over the schema
    latent → input. f taking a latent would have been a second meaning of f, and would have left D without a home.

    ∇ is taken in standard deviations of the training split, so that one λ suits data in any units.

    Args:
        generator: G, any model that reads a vector; it answers in the input's own units.
        latent: entries of z.
        critic_steps: steps of D for each step of G.
        penalty: λ ≥ 0; 0 leaves D unconstrained. The paper takes 10 on images and 0.1 in the plane.

    Shapes: "samples" (batch, …): one for every example of the batch, the examples themselves are not looked at.

    Source: Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, Improved training of Wasserstein GANs.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "algorithm": {"name": "adamw", "lr": 1e-3, "betas": [0.5, 0.9], "weight_decay": 0.0},
        "measures": ["energy_distance"],
    }
    reads = ("input",)
    kinds = frozenset({"vector", "image"})
    std: Tensor

    def __init__(
        self,
        *,
        generator: Annotated[Spec, Model] = "mlp",  # type: ignore[assignment]
        latent: Count = 16,
        critic_steps: Count = 5,
        penalty: NonNegative = 1.0,
    ) -> None:
        super().__init__()
        self.generator_spec, self.latent, self.critic_steps, self.penalty = generator, latent, critic_steps, penalty

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "gan", "generator": {"name": "mlp", "widths": [32]}, "latent": 4, "critic_steps": 2}
        return {"data": "blobs", "model": {"name": "mlp", "widths": [32]}, "method": method}

    def attach(self, f: Model, schema: Schema) -> None:
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in f.modules()):
            raise UserError(
                f"gan with batch norm in {type(f).__name__}: the penalty is on each example's own gradient",
                "a critic that judges examples one by one",
                "choose another norm",
            )
        field = only_input(schema, "gan")
        self.shape = field.shape
        mean, std = moments(field)
        self.register_buffer("std", std)
        entries = [tuple(moment.expand(self.shape).flatten().tolist()) for moment in (mean, std)]
        made = Field("number", (math.prod(self.shape),), mean=entries[0], std=entries[1])
        latent = Schema(Field("vector", (self.latent,)), made)
        self.decoder: Model = registry.build("models", self.generator_spec, latent, where="method.generator")
        self.score = nn.Linear(f.width, 1, bias=False)  # D is defined up to a constant
        f.head.requires_grad_(False)  # D has a head of its own

    def moves(self, f: Model) -> Sequence[Move]:
        parameters = trainable(f=f, method=self)
        generator = {name: p for name, p in parameters.items() if name.startswith("method.decoder.")}
        critic = {name: p for name, p in parameters.items() if name not in generator}
        return [Move("critic", critic), Move("generator", generator, every=self.critic_steps)]

    def critic(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        """E[D(G(z))] − E[D(x)] + λ E[(‖∇D(x̂)‖ − 1)²]."""
        real = batch["input"]
        with torch.no_grad():
            fake = self.generate(len(real), real.device)
        distance = self.judge(f, real).mean() - self.judge(f, fake).mean()
        share = torch.rand(len(real), *(1 for _ in self.shape), device=real.device)  # (batch, 1, …)
        slope = self.slope(f, share * real + (1 - share) * fake)
        loss = self.penalty * (slope - 1).square().mean() - distance
        return loss, Aux(log={"distance": distance.detach(), "slope": slope.detach().mean()})

    def generator(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        """−E[D(G(z))]."""
        fake = self.generate(len(batch["input"]), batch["input"].device)
        return -self.judge(f, fake).mean(), Aux()

    def generate(self, count: int, device: torch.device) -> Tensor:
        """G(z): (count, …) in the input's own units."""
        z = torch.randn(count, self.latent, device=device)
        return self.decoder(z).float().view(count, *self.shape)

    def judge(self, f: Model, x: Tensor) -> Tensor:
        """D(x): (batch, …) → (batch,)."""
        return self.score(f.features(x)).squeeze(-1).float()

    def slope(self, f: Model, x: Tensor) -> Tensor:
        """‖∇D(x)‖ per standard deviation, with a graph: (batch, …) → (batch,)."""
        with in_plain_products():
            gradient = torch.func.grad(lambda inputs: self.judge(f, inputs).sum())(x)
        return (gradient * self.std).flatten(1).norm(dim=1)

    @torch.no_grad()
    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        if "features" in wants:
            out["features"] = f.features(batch["input"])
        if "samples" in wants:
            out["samples"] = self.generate(len(batch["input"]), batch["input"].device)
        return out
