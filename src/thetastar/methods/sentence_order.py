"""Sentence order: whether two neighbouring parts of a text stand as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thetastar.functional.losses import full
from thetastar.layers.projection import features_of
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema

__all__ = ["sentence_order"]

PAD, END = 0, 3  # tokens that fill up and that close a part


class sentence_order(Pretext):
    """L = −log p(order | f(<start> A <end> B <end>)), where A B is a text cut in two, exchanged for half of them.

    The cut lies in the middle third of a text. Both orders hold the same words, so that knowing the topic is no help,
    unlike asking whether B follows A at all. The trace shows the "accuracy".

    Shapes: tokens (batch, length) → features (batch, width).

    Source: Lan et al. 2020, ALBERT: a lite BERT for self-supervised learning of language representations.
    """

    kinds = frozenset({"tokens"})

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        model = {"name": "text_transformer", "width": 16, "depth": 1, "heads": 2}
        return {"data": "phrases", "model": model, "method": "sentence_order"}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        self.order = nn.Linear(features_of(f, schema, "sentence_order"), 1)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        x = batch["input"]
        count = (x != PAD).sum(1) - 2  # tokens between start and end
        cuts = (count * (1 + torch.rand(len(x), device=x.device)) / 3).long().clamp_min(1)
        swapped = torch.rand(len(x), device=x.device) < 0.5
        logit = full(self.order(f.features(in_parts(x, cuts, swapped))))[:, 0]
        asked = (count >= 2).float()  # a single word has no order
        each = nn.functional.binary_cross_entropy_with_logits(logit, swapped.float(), reduction="none")
        total = asked.sum().clamp_min(1)
        right = (((logit > 0) == swapped).float() * asked).sum() / total
        return (each * asked).sum() / total, Aux(log={"accuracy": right}, weight=total)


def in_parts(x: Tensor, cuts: Tensor, swapped: Tensor) -> Tensor:
    """<start> A <end> B <end>, or B before A: a text with one token more; the last is lost where there is no room.

    Args:
        cuts: tokens of A, without the start.
        swapped: whether B comes first.

    Shapes: (batch, length), (batch,), (batch,) → (batch, length).
    """
    length = x.shape[1]
    count = ((x != PAD).sum(1) - 2).clamp_min(0)
    over = (count + 3 - length).clamp_min(0)
    count = count - over
    first = torch.where(swapped, count - cuts, cuts)[:, None]  # tokens of what comes first
    begins = torch.where(swapped, cuts, torch.zeros_like(cuts))[:, None]  # where it begins in the text
    count = count[:, None]
    place = torch.arange(length, device=x.device)[None] - 1  # 0 is the first token after the start
    within = torch.where(place < first, place + begins, place - first - 1 + torch.where(begins > 0, 0, first))
    out = x.gather(1, (within + 1).clamp(0, length - 1))
    out = torch.where((place == first) | (place == count + 1), END, out)
    out = torch.where(place > count + 1, PAD, out)
    return torch.where(place < 0, x, out)
