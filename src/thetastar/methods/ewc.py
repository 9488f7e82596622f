"""Elastic weight consolidation: tasks in a row without forgetting what mattered."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from thetastar.functional.attention import in_plain_products
from thetastar.functional.gathering import plain_batches
from thetastar.functional.keys import generator
from thetastar.functional.nested import rows_of
from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Program, Schema, Stream
from thetastar.registry import Count, Fraction, NonNegative

__all__ = ["ewc"]


class ewc(Wrapper):
    """L(θ) + (λ/2) Σᵢ Fᵢ (θᵢ − θ*ᵢ)², θ* the weights after the task before, F the diagonal of its Fisher information.

    F = E_x E_y[(∂ log p(y | x, θ*) / ∂θ)²], summed over the tasks so far; before the first one there is no penalty.

    Args:
        inner: the method that learns each task.
        strength: λ ≥ 0; 0 is the inner method itself.
        labels: "drawn" takes y from the model, as the Fisher information asks; "given" takes the data's (the empirical
            Fisher information); "auto" draws classes and takes numbers as given.
        examples: at most so many of the training split are used for F.
        decay: factor on the F of earlier tasks when a new one is added, in [0, 1].

    Source: Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks; one anchor and a running sum
    as in Schwarz et al. 2018, Progress & compress.
    """

    fisher: Tensor | None
    anchor: Tensor | None

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        strength: NonNegative = 100.0,
        labels: Literal["auto", "drawn", "given"] = "auto",
        examples: Count = 1024,
        decay: Fraction = 1.0,
    ) -> None:
        super().__init__(inner)
        self.strength, self.labels, self.examples, self.decay = strength, labels, examples, decay
        self.register_buffer("fisher", None)  # both (parameters,), in the order of the move
        self.register_buffer("anchor", None)

    def attach(self, f: Model, schema: Schema) -> None:
        classes = schema.target is not None and schema.target.kind == "category"
        self.draws = self.labels == "drawn" or (self.labels == "auto" and classes)
        super().attach(f, schema)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        value, aux = self.inner.loss(f, batch, t)
        if self.fisher is None or self.strength == 0:
            return value, aux
        assert self.anchor is not None
        penalty = 0.5 * self.strength * (self.fisher * (self.flat(f) - self.anchor).square()).sum()
        aux.log["penalty"] = penalty.detach()
        return value + penalty, aux

    def flat(self, f: Model) -> Tensor:
        """All trained parameters in one vector."""
        (move,) = self.inner.moves(f)
        return torch.cat([parameter.flatten() for parameter in move.parameters.values()])

    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        super().consolidate(f, stream, t)
        found = self.information(f, stream, t)
        self.fisher = found if self.fisher is None else self.decay * self.fisher + found
        self.anchor = self.flat(f).detach().clone()

    def information(self, f: Model, stream: Stream, t: Clock) -> Tensor:
        """Mean over examples of the squared gradient of each example's own loss: (parameters,)."""
        (move,) = self.inner.moves(f)
        program = Program(f, self.inner)
        names = {id(parameter): name for name, parameter in program.named_parameters()}
        weights = {names[id(parameter)]: parameter.detach() for parameter in move.parameters.values()}

        def own_loss(weights: dict[str, Tensor], example: Batch) -> Tensor:
            return functional_call(program, weights, ("loss", _alone(example), t))[0]

        per_example = vmap(grad(own_loss), in_dims=(None, 0), randomness="different")
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        count, was = 0, program.training
        program.eval()
        for number, batch in enumerate(plain_batches(stream, "train", t)):
            batch = self.labelled(f, {key: batch[key] for key in self.reads}, t.key("fisher", number), t)
            count += rows_of(batch)
            with in_plain_products():
                slopes = per_example(weights, batch)
            for name, slope in slopes.items():
                total[name] += slope.square().sum(0)
            if count >= self.examples:
                break
        program.train(was)
        return torch.cat([value.flatten() for value in total.values()]) / count

    @torch.no_grad()
    def labelled(self, f: Model, batch: Batch, key: int, t: Clock) -> Batch:
        """The batch with the labels that the Fisher information asks for."""
        if not self.draws:
            return batch
        chances: Any = self.inner.predict(f, batch, frozenset({"probabilities"}), t)["probabilities"]
        drawn = torch.multinomial(chances.cpu(), 1, generator=generator(key))[:, 0]
        return {**batch, "target": drawn.to(chances.device)}


def _alone(example: Batch) -> Batch:
    """One example as a batch of one."""
    return {key: _alone(value) if isinstance(value, dict) else value[None] for key, value in example.items()}
