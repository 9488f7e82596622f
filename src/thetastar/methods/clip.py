"""CLIP: an image and its caption point the same way, and away from all others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.collapse import spread
from thetastar.functional.losses import full
from thetastar.functional.nested import rows_of
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import Count, Positive

__all__ = ["clip"]

SHARPEST = 100.0  # 1 / τ at most, as published


@runtime_checkable
class Towers(Protocol):
    """A net with a part for each input."""

    def tower(self, name: str) -> Model:
        """The part of an input, whose features are taken."""
        ...


class clip(Objective):
    """L = ½ mean_i [−log (e^{u_i·v_i/τ} / Σ_j e^{u_i·v_j/τ}) − log (e^{u_i·v_i/τ} / Σ_j e^{u_j·v_i/τ})] of each pair.

    u = W_a f_a(x_a) / ‖·‖ and v = W_b f_b(x_b) / ‖·‖ are the directions of the two inputs of a row; τ is learnt. Rows
    whose texts are the same to the letter are no negatives of one another. With several pairs that share an input, as
    image ↔ text and image ↔ sound, the others come to lie near each other though they are never compared: the image
    binds them. The trace shows how often the own partner is nearest, "accuracy", and the "spread" of u.

    Args:
        pairs: of inputs that are compared; null is the first two.
        outputs: entries of u and v.
        temperature: τ at the start, > 0; it never falls below 1/100.

    Shapes: {name: (batch, …)} → features (batch, pairs' inputs · outputs), each input's direction after the other.

    Source: Radford et al. 2021, Learning transferable visual models from natural language supervision; Girdhar et al.
    2023, ImageBind: one embedding space to bind them all.
    """

    couples = True
    companions: Mapping[str, Any] = {"model": "towers", "measures": ()}

    def __init__(
        self,
        *,
        pairs: tuple[tuple[str, str], ...] | None = None,
        outputs: Count = 128,
        temperature: Positive = 0.07,
    ) -> None:
        super().__init__()
        self.pairs, self.outputs, self.temperature = pairs, outputs, temperature

    @classmethod
    def example(cls) -> dict[str, Any]:
        nets = {
            "image": {"name": "cnn", "channels": [4, 4], "hidden": 8},
            "text": {"name": "text_transformer", "width": 8, "depth": 1, "heads": 2},
        }
        method = {"name": "clip", "outputs": 16}
        return {"data": "captioned_bars", "model": {"name": "towers", "nets": nets}, "method": method}

    def attach(self, f: Model, schema: Schema) -> None:
        if not isinstance(f, Towers) or not isinstance(schema.input, dict):
            got = f"clip with {type(f).__name__}"
            raise UserError(got, "a tower for each of several inputs", "write model=towers, on data such as captioned")
        f.head.requires_grad_(False)  # what is learnt are directions
        names = list(schema.input)
        self.compared = self.pairs or ((names[0], names[1]),)
        self.names = list(dict.fromkeys(name for pair in self.compared for name in pair))
        for name in self.names:
            if name not in names:
                raise UserError(f"method.pairs: no input '{name}'", f"some of {', '.join(names)}", "check the names")
        self.kinds_of = {name: schema.input[name].kind for name in self.names}
        shared: Mapping[str, str] = getattr(f, "shared", {})
        self.maps = nn.ModuleDict()
        for name in self.names:
            if name not in shared or shared[name] not in self.names:
                self.maps[name] = nn.Linear(f.tower(name).width, self.outputs, bias=False)
        self.map_of = {name: name if name in self.maps else shared[name] for name in self.names}
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / self.temperature)))

    def direction(self, f: Model, name: str, x: Tensor) -> Tensor:
        """Of length one: (batch, …) of an input → (batch, outputs)."""
        assert isinstance(f, Towers)
        return F.normalize(full(self.maps[self.map_of[name]](f.tower(name).features(x))), dim=-1)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        x = batch["input"]
        if rows_of(batch) < 2:
            raise UserError("clip on a batch of one: other rows are the negatives", "at least two", "raise batch_size")
        directions = {name: self.direction(f, name, x[name]) for name in self.names}
        scale = self.log_scale.exp().clamp(max=SHARPEST)
        total, right = directions[self.names[0]].new_zeros(()), []
        for first, second in self.compared:
            texts = [x[name] for name in (first, second) if self.kinds_of[name] == "tokens"]
            value, hit = told_apart(directions[first], directions[second], scale, same(texts))
            total = total + value / len(self.compared)
            right.append(hit)
        log = {"accuracy": torch.stack(right).mean(), "temperature": 1 / scale.detach()}
        return total, Aux(log={**log, "spread": spread(directions[self.names[0]].detach())})

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        if "features" not in wants:
            return {}
        return {"features": torch.cat([self.direction(f, name, batch["input"][name]) for name in self.names], 1)}


def same(texts: list[Tensor]) -> Tensor | None:
    """Which rows have the same text, their own aside, in any of these inputs: (batch, length) → (batch, batch)."""
    if not texts:
        return None
    alike = torch.stack([(text[:, None] == text[None]).all(2) for text in texts]).any(0)
    return alike & ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)


def told_apart(u: Tensor, v: Tensor, scale: Tensor, none: Tensor | None) -> tuple[Tensor, Tensor]:
    """The symmetric loss, and how often the own partner is the nearest.

    Args:
        scale: 1 / τ.
        none: pairs of rows that are no negatives of one another.

    Shapes: (batch, outputs)², (), (batch, batch) → (), ().
    """
    with torch.autocast(u.device.type, enabled=False):
        scores = scale * (u @ v.T)
        if none is not None:
            scores = scores.masked_fill(none, -torch.inf)
        own = torch.arange(len(u), device=u.device)
        value = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        return value, (scores.argmax(1) == own).float().mean()
