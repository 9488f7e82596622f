"""DINO: a student predicts what its own slow copy says of other views, without labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.functional.assignments import sharpened, swapped
from thetastar.functional.collapse import spread
from thetastar.functional.information import entropy
from thetastar.functional.losses import full
from thetastar.layers.crops import features_of_views, said_of, smallest
from thetastar.layers.frozen import Frozen, held
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Loss, Model, Schema, Stream
from thetastar.registry import BelowOne, Count, Fraction, Positive

__all__ = ["dino"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
# On digits, 600 steps: with batch norm 96% by its neighbours (92% with the first weights), without 84% (87%).
PLAIN = "normalises nothing within: DINO then tends to one answer for all examples (model.norm=batch mends it)"


class dino(Representation):
    """L = −mean over views i ∈ {1, 2}, v ≠ i of Σ_k p'_k^i log p_k^v, p = softmax(z/τ), p' = softmax((z' − c)/τ').

    z = g(f(x)) is the student's, z' = g'(f'(x)) the teacher's, a moving average of the student without gradients:
    θ' ← m θ' + (1 − m) θ after every step, m rising from `momentum` to 1 as a half cosine. The teacher sees the two
    views, the student these and small crops ("local" in a batch, data.crops). Two things keep all examples from one
    answer: the centre c, a moving average of z', without which one entry dominates, and a small τ', without which all
    entries become equal. The trace tells the two apart: "spread" of p' is 0 in both, its "entropy", as a share of the
    largest, 0 in the first and 1 in the second. The teacher is what predicts, and at the end f is the teacher. f should
    normalise within, as transformers and nets with batch norm do.

    Args:
        temperature: τ > 0 of the student.
        teacher_temperature: τ' > 0 after its warm-up; up to 0.07 in the paper's longest runs.
        first_temperature: τ' > 0 at the start.
        warmup: share of the run in which τ' goes from one to the other in a straight line, in [0, 1].
        momentum: m at the start, in [0, 1); 0.996 in the paper, whose runs are longer.
        centre_momentum: of c, in [0, 1).
        frozen: share of the run at its beginning in which the last layer of g stays as it is, in [0, 1].
        hidden: units of the two hidden layers of g.
        bottleneck: entries of unit length in front of the last layer of g, whose rows have unit length too.
        outputs: entries of z; 65,536 in the paper, for 1.3 million images.

    Shapes: views (batch, …) under "input" and "view", crops (batch, crops, …) → features (batch, width).

    Source: Caron, Touvron, Misra, Jégou, Mairal, Bojanowski and Joulin 2021, Emerging properties in self-supervised
    vision transformers.
    """

    reads = ("input", "view", "local")
    couples = False  # examples meet in the centre only, which a step takes as it is
    least = 1
    tiny: ClassVar[Mapping[str, Any]] = {"hidden": 32, "bottleneck": 16, "outputs": 32, "momentum": 0.9}
    centre: Tensor

    def __init__(
        self,
        *,
        temperature: Positive = 0.1,
        teacher_temperature: Positive = 0.04,
        first_temperature: Positive = 0.04,
        warmup: Fraction = 0.1,
        momentum: BelowOne = 0.99,
        centre_momentum: BelowOne = 0.9,
        frozen: Fraction = 0.01,
        hidden: Count = 512,
        bottleneck: Count = 128,
        outputs: Count = 256,
    ) -> None:
        super().__init__()
        self.temperature, self.warmup = temperature, warmup
        self.first_temperature, self.teacher_temperature = first_temperature, teacher_temperature
        self.momentum, self.centre_momentum, self.frozen = momentum, centre_momentum, frozen
        self.hidden, self.bottleneck, self.outputs = hidden, bottleneck, outputs

    def attach(self, f: Model, schema: Schema) -> None:
        super().attach(f, schema)
        self.smallest = smallest(f, schema)

    def build(self, f: Model, width: int) -> None:
        self.projector = Projector(width, self.hidden, self.bottleneck, self.outputs)
        self.teacher, self.teacher_projector = Frozen(f), Frozen(self.projector)
        self.register_buffer("centre", torch.zeros(self.outputs))

    def rehearse(self, f: Model, loss: Loss, batch: Batch, t: Clock) -> None:
        self.said = said_of(f, batch, self.smallest)
        if not any(isinstance(layer, NORMS) for layer in f.modules()):
            self.said.append(f"{type(f).__name__} {PLAIN}")

    def sharpness(self, t: Clock) -> float:
        """τ' at this step."""
        share = min(t.progress / self.warmup, 1.0) if self.warmup else 1.0
        return self.first_temperature + share * (self.teacher_temperature - self.first_temperature)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        views = self.views(batch)
        h = features_of_views(f, views, batch.get("local"), self.smallest)  # (batch, views, width)
        student = self.projector(h, t.progress >= self.frozen)  # (batch, views, outputs)
        seen = torch.stack([self.teacher.features(x) for x in views], 1)
        teacher = self.teacher_projector(seen)  # (batch, 2, outputs)
        p = sharpened(teacher, self.centre, self.sharpness(t))
        log_p = torch.log_softmax(student / self.temperature, -1)
        flat = p.flatten(0, 1)
        log = {"spread": spread(flat), "entropy": entropy(flat).mean() / math.log(max(self.outputs, 2))}
        return swapped(p, log_p).mean(), Aux(log=log, carry={"teacher": teacher.mean(1)})

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        momentum = 1 - (1 - self.momentum) * (1 + math.cos(math.pi * t.progress)) / 2
        self.teacher.follow(f, momentum)
        self.teacher_projector.follow(self.projector, momentum)
        self.centre.lerp_(aux["loss"].carry["teacher"].mean(0), 1 - self.centre_momentum)

    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        """What f goes on as, in a probe or in fine-tuning, is the better of the two: the teacher."""
        f.load_state_dict(self.teacher.module.state_dict())

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return {"features": self.teacher.features(batch["input"])} if "features" in wants else {}


class Projector(nn.Module):
    """z_k = cos(w_k, b(h)): b three dense layers with GELU between them, the rows w_k of the last layer of unit length.

    Weights of b are drawn with variance 1 / inputs, close to the paper's 0.02² of 2,048 inputs, and biases are 0: with
    biases that outweigh the signal all examples point one way from the start, and stay there.

    Shapes: (…, width) → (…, outputs), in [−1, 1].
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, outputs: int) -> None:
        super().__init__()
        dense = [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()]
        self.layers = nn.Sequential(*dense, nn.Linear(hidden, bottleneck))
        self.last = nn.Parameter(torch.randn(outputs, bottleneck) / math.sqrt(bottleneck))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
                nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, free: bool = True) -> Tensor:
        b, last = self.layers(h), held(self.last, free)
        with torch.autocast(h.device.type, enabled=False):  # bfloat16 cosines over a small τ would be off by tenths
            return F.linear(F.normalize(full(b), dim=-1), F.normalize(full(last), dim=-1))
