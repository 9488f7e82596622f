"""A Transformer encoder over the tokens of a text."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import head, only_input
from thetastar.layers.transformer import Block
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["text_transformer"]

PAD = 0  # the token that fills up


class text_transformer(Model):
    """z₀ = E[token] + p, blocks z ← z + Attention(N(z)), z ← z + Mlp(N(z)); features: mean of N(z) over the text.

    Tokens that only fill up are not looked at and count for nothing.

    Args:
        schema: tokens.
        width: of a token, a multiple of `heads`.
        depth: blocks.
        heads: of the attention.
        dropout: share dropped in training after the embedding and in both parts of a block, in [0, 1).

    Shapes: (batch, length) → (batch, outputs).

    Source: Devlin, Chang, Lee and Toutanova 2019, BERT: pre-training of deep bidirectional transformers for language
    understanding, with the normalisation first.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        width: Count = 128,
        depth: Count = 2,
        heads: Count = 4,
        dropout: BelowOne = 0.1,
    ) -> None:
        super().__init__()
        field = only_input(schema, "text_transformer")
        if field.kind != "tokens":
            raise UserError(f"text_transformer on {field.kind} inputs", "tokens", "write data.name=texts")
        if width % heads:
            near = heads * max(1, round(width / heads))
            got = f"text_transformer with width {width} and {heads} heads"
            raise UserError(got, "a width that the heads divide", f"set model.width={near}")
        self.embed = nn.Embedding(field.classes or 1, width, PAD)
        self.places = nn.Parameter(torch.empty(field.shape[0], width))
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.width = width
        self.head = head(width, schema)
        for table in (self.embed.weight, self.places):
            nn.init.normal_(table, std=1 / math.sqrt(width))

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "phrases", "model": {"name": "text_transformer", "width": 16, "depth": 1, "heads": 2}}

    def encoded(self, x: Tensor) -> Tensor:
        """(batch, length) tokens → (batch, length, width), after the last normalisation."""
        if x.shape[1] > len(self.places):
            got = f"texts of {x.shape[1]} tokens"
            raise UserError(got, f"at most {len(self.places)}, as trained on", "cut them")
        z = self.drop(self.embed(x) + self.places[: x.shape[1]])
        allowed = (x != PAD)[:, None, None, :]  # whom all may look at: (batch, heads, queries, keys)
        for block in self.blocks:
            z = block(z, allowed)
        return self.norm(z)

    def features(self, x: Tensor) -> Tensor:
        there = (x != PAD).float()[..., None]
        return (self.encoded(x) * there).sum(1) / there.sum(1).clamp_min(1)
