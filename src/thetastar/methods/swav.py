"""SwAV: predict from one view of an example the prototypes that another view was assigned to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.functional.assignments import sinkhorn, swapped
from thetastar.functional.collapse import spread
from thetastar.functional.information import entropy
from thetastar.functional.losses import full
from thetastar.functional.nested import rows_of
from thetastar.layers.crops import features_of_views, said_of, smallest
from thetastar.layers.frozen import held
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Loss, Model, Schema
from thetastar.registry import Count, Fraction, Positive, Whole

__all__ = ["swav"]


class swav(Representation):
    """L = −mean over views i ∈ {1, 2}, v ≠ i of Σ_k q_k^i log p_k^v, p = softmax(C z / τ), q = Sinkhorn(C z / ε).

    z = g(f(x)) has length one, and so have the rows of C, the prototypes. The assignments q of a batch use all
    prototypes equally, so that not all examples can go to one: it is this that keeps z from collapsing. They get no
    gradient. Small crops ("local" in a batch, data.crops) predict and are not assigned. The trace shows the "spread" of
    z and how many prototypes the batch predicts ("prototypes", e to the entropy of the mean of p).

    Args:
        prototypes: rows of C; without a queue not many more than examples in a batch.
        temperature: τ > 0.
        epsilon: ε > 0, small for assignments that are nearly hard.
        rounds: of Sinkhorn's normalisation.
        queue: z of earlier examples, for each of the two views, that are assigned with the batch; 0 is none. For
            batches that are smaller than the number of prototypes.
        queue_from: share of the run after which they are, in [0, 1].
        frozen: share of the run at its beginning in which C stays as it is, in [0, 1].
        hidden: units inside g.
        outputs: entries of z.

    Shapes: views (batch, …) under "input" and "view", crops (batch, crops, …) → features (batch, width).

    Source: Caron, Misra, Mairal, Goyal, Bojanowski and Joulin 2020, Unsupervised learning of visual features by
    contrasting cluster assignments.
    """

    reads = ("input", "view", "local")
    tiny: ClassVar[Mapping[str, Any]] = {"prototypes": 16, "queue": 64, "hidden": 32, "outputs": 16}
    queue: Tensor
    oldest: Tensor

    def __init__(
        self,
        *,
        prototypes: Count = 64,
        temperature: Positive = 0.1,
        epsilon: Positive = 0.05,
        rounds: Count = 3,
        queue: Whole = 0,
        queue_from: Fraction = 0.1,
        frozen: Fraction = 0.01,
        hidden: Count = 512,
        outputs: Count = 128,
    ) -> None:
        super().__init__()
        self.count, self.temperature, self.epsilon, self.rounds = prototypes, temperature, epsilon, rounds
        self.length, self.queue_from, self.frozen = queue, queue_from, frozen
        self.hidden, self.outputs = hidden, outputs

    def attach(self, f: Model, schema: Schema) -> None:
        super().attach(f, schema)
        self.smallest = smallest(f, schema)

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=True)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(self.count, self.outputs), dim=-1))
        if self.length:
            self.register_buffer("queue", F.normalize(torch.randn(2, self.length, self.outputs), dim=-1))
            self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def rehearse(self, f: Model, loss: Loss, batch: Batch, t: Clock) -> None:
        self.said = said_of(f, batch, self.smallest)
        together = rows_of(batch) + self.length
        if self.count > together:
            many = f"{self.count} prototypes for {together} examples at a time: each example gets more than one"
            self.said.append(f"{many} (method.queue adds earlier examples)")

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        h = features_of_views(f, self.views(batch), batch.get("local"), self.smallest)  # (batch, views, width)
        z = F.normalize(full(self.projector(h.flatten(0, 1))), dim=-1).unflatten(0, h.shape[:2])
        prototypes = held(self.prototypes, t.progress >= self.frozen)
        with torch.autocast(z.device.type, enabled=False):  # bfloat16 cosines over a small τ would be off by tenths
            log_p = torch.log_softmax(z @ prototypes.T / self.temperature, -1)
        q = torch.stack([self.assigned(view, z[:, view], t) for view in (0, 1)], 1)
        used = entropy(log_p.detach().exp().mean((0, 1))).exp()
        log = {"spread": spread(z.detach().flatten(0, 1)), "prototypes": used}
        return swapped(q, log_p).mean(), Aux(log=log, carry={"z": z[:, :2].detach()})

    @torch.no_grad()
    def assigned(self, view: int, z: Tensor, t: Clock) -> Tensor:
        """(batch, outputs) → (batch, prototypes)."""
        full_queue = self.length and t.step * len(z) >= self.length and t.progress >= self.queue_from
        together = torch.cat([z, self.queue[view]]) if full_queue else z
        with torch.autocast(z.device.type, enabled=False):
            return sinkhorn(together @ self.prototypes.T, self.epsilon, self.rounds)[: len(z)]

    @torch.no_grad()
    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))
        if not self.length:
            return
        z = aux["loss"].carry["z"][-self.length :].transpose(0, 1)  # (2, batch, outputs)
        places = (self.oldest + torch.arange(z.shape[1], device=z.device)) % self.length
        self.queue.index_copy_(1, places, z)
        self.oldest.add_(z.shape[1]).remainder_(self.length)
