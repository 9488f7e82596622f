"""Momentum contrast: tell two views of an example from a queue of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import info_nce
from thetastar.functional.losses import full
from thetastar.functional.nested import cut, mapped, rows_of
from thetastar.layers.frozen import Frozen
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import BelowOne, Count, NonNegative, Positive

__all__ = ["moco"]

Encode = Callable[[Any], Tensor]


class moco(Representation):
    """L = −log (e^{q·k/τ} / (e^{q·k/τ} + Σ_n e^{q·n/τ})): q = g(f(x)), k = g'(f'(x)) of two views, n from a queue.

    f', g' are moving averages of f and the projector g: θ' ← m θ' + (1 − m) θ after every step. q, k and n have length
    one. The queue holds the keys of the last batches; it starts with random directions. The trace shows the "spread" of
    the keys.

    Batch norm would give the answer away: a query and its key, normalised by moments of the same examples, have in
    common what no key of another batch has, so the loss falls while nothing is learnt. Here the key encoder normalises
    by the running moments of f, and a key is a function of its own view alone (Cai et al. 2021). The paper's own way is
    there as `key_groups`: the queries are normalised in groups of the batch, the keys in groups of the same size of the
    batch in another order (shuffling BN), so that a query has in common with its key no more than with others.

    Args:
        temperature: τ > 0.
        momentum: m, in [0, 1); 0.999 in the paper, whose runs are longer.
        queue: keys kept as negatives; well below the number of training examples.
        hard_negatives: β ≥ 0; each negative weighs e^{β q·n/τ} / (its mean), so that those that are nearly taken for
            the example count most. 0 is the paper's loss.
        key_groups: groups of the shuffled batch norm, of two examples or more; null normalises keys by running moments.
        hidden: units inside g.
        outputs: entries of q and k.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: He et al. 2020, Momentum contrast for unsupervised visual representation learning; Chen et al. 2020,
    Improved baselines with momentum contrastive learning; Cai et al. 2021, Exponential moving average normalization for
    self-supervised and semi-supervised learning; Robinson et al. 2021, Contrastive learning with hard negative samples.
    """

    couples = False  # a query meets its own key and the queue alone
    tiny: ClassVar[Mapping[str, Any]] = {"queue": 64, "hidden": 32, "outputs": 16}
    queue: Tensor
    oldest: Tensor

    def __init__(
        self,
        *,
        temperature: Positive = 0.2,
        momentum: BelowOne = 0.99,
        queue: Count = 4096,
        hard_negatives: NonNegative = 0.0,
        key_groups: Count | None = None,
        hidden: Count = 512,
        outputs: Count = 128,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum, self.length = temperature, momentum, queue
        self.hard_negatives, self.groups = hard_negatives, key_groups
        self.hidden, self.outputs = hidden, outputs
        self.least, self.couples = 2 * (key_groups or 0), key_groups is not None
        self.why = f"each of {key_groups} groups has moments of its own"

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=False)
        of_batch = self.groups is not None
        self.key_encoder = Frozen(f, batch_statistics=of_batch)
        self.key_projector = Frozen(self.projector, batch_statistics=of_batch)
        self.register_buffer("queue", F.normalize(torch.randn(self.length, self.outputs), dim=-1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = self.views(batch)
        query = self.in_groups(lambda x: self.projector(f.features(x)), first)
        key = self.shuffled(lambda x: self.key_projector(self.key_encoder.features(x)), second)
        query, key = (F.normalize(full(z), dim=-1) for z in (query, key))
        value = info_nce(query, key, self.queue, self.temperature, self.hard_negatives).mean()
        return value, Aux(log={"spread": spread(key)}, carry={"keys": key})

    def in_groups(self, encode: Encode, x: Any) -> Tensor:
        """Groups of neighbours one after the other, each with batch moments of its own."""
        return torch.cat([encode(part["x"]) for part in cut({"x": x}, self.groups)]) if self.groups else encode(x)

    def shuffled(self, encode: Encode, x: Any) -> Tensor:
        """The same in a random order of the batch, put back into its own."""
        if not self.groups:
            return encode(x)
        order = torch.rand(rows_of(x), device=self.queue.device).argsort()
        return self.in_groups(encode, mapped(lambda part: part[order], x))[order.argsort()]

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.key_encoder.follow(f, self.momentum)
        self.key_projector.follow(self.projector, self.momentum)
        keys = aux["loss"].carry["keys"][-self.length :]
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % self.length
        self.queue.index_copy_(0, places, keys)
        self.oldest.add_(len(keys)).remainder_(self.length)
