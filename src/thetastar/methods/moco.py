"""Momentum contrast: tell two views of an example from a queue of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import info_nce, two_views
from thetastar.functional.losses import full
from thetastar.layers.frozen import Frozen
from thetastar.layers.projection import features_of, projector
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import BelowOne, Count, Positive

__all__ = ["moco"]


class moco(Objective):
    """L = −log (e^{q·k/τ} / (e^{q·k/τ} + Σ_n e^{q·n/τ})): q = g(f(x)), k = g'(f'(x')) of two views, n from a queue.

    f', g' are moving averages of f and the projector g: θ' ← m θ' + (1 − m) θ after every step. q, k and n have length
    one. The queue holds the keys of the last batches; it starts with random directions.

    Args:
        temperature: τ > 0.
        momentum: m, in [0, 1).
        queue: keys kept as negatives; well below the number of training examples.
        hidden: units inside g.
        outputs: entries of q and k.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: He et al. 2020, Momentum contrast for unsupervised visual representation learning; Chen et al. 2020,
    Improved baselines with momentum contrastive learning.
    """

    reads = ("input", "view")
    companions: Mapping[str, Any] = {"data": {"name": "views"}, "measures": ("effective_rank",)}
    queue: Tensor
    oldest: Tensor

    def __init__(
        self,
        *,
        temperature: Positive = 0.2,
        momentum: BelowOne = 0.99,
        queue: Count = 4096,
        hidden: Count = 512,
        outputs: Count = 128,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum, self.length = temperature, momentum, queue
        self.hidden, self.outputs = hidden, outputs

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "moco", "queue": 64, "hidden": 32, "outputs": 16}
        data = {"name": "views", "source": "bars"}
        return {
            "data": data,
            "model": {"name": "mlp", "widths": [16]},
            "method": method,
            "measures": ["effective_rank"],
        }

    def attach(self, f: Model, schema: Schema) -> None:
        f.head.requires_grad_(False)  # what is learnt are features
        self.projector = projector(features_of(f, schema, "moco"), self.hidden, self.outputs, norm=False)
        # The key encoder normalises by running moments (Cai et al. 2021, Exponential moving average normalization):
        # with those of the batch, a query could recognise its key by what the batch has in common.
        self.key_encoder, self.key_projector = Frozen(f), Frozen(self.projector)
        self.register_buffer("queue", F.normalize(torch.randn(self.length, self.outputs), dim=-1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = two_views(batch, "moco")
        query = F.normalize(full(self.projector(f.features(first))), dim=-1)
        key = F.normalize(full(self.key_projector(self.key_encoder.features(second))), dim=-1)
        value = info_nce(query, key, self.queue, self.temperature).mean()
        return value, Aux(log={"spread": spread(key)}, carry={"keys": key})

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.key_encoder.follow(f, self.momentum)
        self.key_projector.follow(self.projector, self.momentum)
        keys = aux["loss"].carry["keys"][-self.length :]
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % self.length
        self.queue.index_copy_(0, places, keys)
        self.oldest.add_(len(keys)).remainder_(self.length)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return {"features": f.features(batch["input"])} if "features" in wants else {}
