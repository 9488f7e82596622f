"""Learning to learn: initial weights from which a few gradient steps solve a new task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from thetastar.errors import UserError
from thetastar.functional.attention import in_plain_products
from thetastar.functional.stacking import Member
from thetastar.functional.wrapping import inner_moves, objective, uncached_casts
from thetastar.layers.frozen import scratch
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Move, Objective, Schema
from thetastar.registry import Count, Positive

__all__ = ["maml"]

Weights = dict[str, Tensor]


class maml(Objective):
    """min_θ Σ_τ ℓ_τ^query(θ_τ), θ_τ = θ − α ∇ℓ_τ^support(θ), the inner step taken `steps` times.

    The second order is the gradient through the inner steps: ∇ = (I − α H_support) ∇ℓ^query for one step. The first
    order takes H = 0. Batch norm uses the statistics of the batch at hand, in training and afterwards.

    Args:
        inner: the method that gives the loss of one task.
        rate: α > 0 of the inner steps.
        steps: inner steps, in training and for `predict`.
        first_order: leave out the second derivatives.

    Shapes: batches hold {"support": …, "query": …}, each with "input" and "target" of (tasks, shots, …); predictions
    are those of the query in one row, (tasks · shots, …). A batch without a support is predicted without adaptation.

    Source: Finn, Abbeel and Levine 2017, Model-agnostic meta-learning for fast adaptation of deep networks.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "data": {"name": "episodes"},
        "algorithm": {"name": "adamw", "weight_decay": 0.0},
    }
    reads = ("support", "query")

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        rate: Positive = 0.1,
        steps: Count = 1,
        first_order: bool = False,
    ) -> None:
        super().__init__()
        self.inner = objective(inner, "maml")
        self.rate, self.steps, self.first_order = rate, steps, first_order
        self.kinds = inner.kinds

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "sinusoids", "model": {"name": "mlp", "widths": [16]}, "method": "maml"}

    def attach(self, f: Model, schema: Schema) -> None:
        self.inner.attach(f, schema)

    def moves(self, f: Model) -> Sequence[Move]:
        return inner_moves(self.inner, f)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        if "support" not in batch:
            raise UserError("maml on data without tasks", "a support and a query", "choose data=episodes or sinusoids")
        calls, weights = self.calls(f)

        def task(support: Batch, query: Batch) -> tuple[Tensor, Tensor]:
            before = functional_call(calls, weights, ("loss", query, t))[0]
            return functional_call(calls, self.adapted(calls, weights, support, t), ("loss", query, t))[0], before

        with on_batch_statistics(f), uncached_casts(), in_plain_products():
            after, before = vmap(task, randomness="different")(batch["support"], batch["query"])
        log = {"unadapted": before.mean().detach()}
        return after.mean(), Aux(log, weight=after.new_tensor(float(len(after))))

    def calls(self, f: Model) -> tuple[Member, Weights]:
        """f and the inner method to be called with other weights, and the weights that adapt."""
        calls = Member(f, self.inner)
        return calls, {name: value for name, value in calls.named_parameters() if value.requires_grad}

    def adapted(self, calls: Member, weights: Weights, support: Batch, t: Clock) -> Weights:
        """θ_τ of one task."""

        def loss(weights: Weights) -> Tensor:
            return functional_call(calls, weights, ("loss", support, t))[0]

        for _ in range(self.steps):
            slopes = grad(loss)(weights)
            if self.first_order:
                slopes = {name: slope.detach() for name, slope in slopes.items()}
            weights = {name: value - self.rate * slopes[name] for name, value in weights.items()}
        return weights

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        if "support" not in batch:
            return self.inner.predict(f, batch, wants, t)
        calls, weights = self.calls(f)

        def task(support: Batch, query: Batch) -> dict[str, Tensor]:
            return functional_call(calls, self.adapted(calls, weights, support, t), ("predict", query, wants, t))

        with on_batch_statistics(f), uncached_casts(), in_plain_products():
            out = vmap(task, randomness="different")(batch["support"], batch["query"])
        return {name: value.flatten(0, 1) for name, value in out.items()}


@contextmanager
def on_batch_statistics(f: nn.Module) -> Iterator[None]:
    """Batch norm normalises by the batch at hand and writes nothing, whether f trains or not."""
    resting: list[Any] = [
        layer for layer in f.modules() if getattr(layer, "track_running_stats", False) and not layer.training
    ]
    for layer in resting:
        layer.training = True
    try:
        with scratch(f):
            yield
    finally:
        for layer in resting:
            layer.training = False
