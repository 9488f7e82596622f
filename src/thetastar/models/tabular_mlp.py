"""The multilayer perceptron for tables: numbers become vectors before the first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import head, only_input
from thetastar.layers.numbers import Bins, Columnwise, Quantile, Waves, bins_of
from thetastar.layers.words import Vectors, entries
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count, Positive

__all__ = ["tabular_mlp"]


class tabular_mlp(Model):
    """h₀ = [q(x), ReLU(W_j e_j(x_j) + b_j) for all j], h_l = φ(W_l h_{l−1} + b_l), output W_L h + b_L.

    q is the quantile transform, e_j an embedding of column j. Columns of two values enter by q alone. Words that the
    data mark (data.categories=embedding) enter as learnt vectors instead, one a word.

    Args:
        schema: one input of numbers (a table; words are 0/1 columns) and any target.
        numbers: e; "piecewise" is how far x has come through each bin of its column, the bins being quantiles of the
            training rows; "periodic" is sines and cosines of learnt frequencies; "plain" has none.
        widths: hidden units of each layer, each ≥ 1.
        activation: φ.
        dropout: share of hidden units dropped in training, in [0, 1).
        embedding: numbers that a column becomes, and a word, ≥ 1.
        frequencies: a column; periodic only.
        sigma: standard deviation of the frequencies at the start, > 0; periodic only.

    Shapes: (batch, columns) → (batch, outputs).

    Source: Gorishniy, Rubachev and Babenko 2022, On embeddings for numerical features in tabular deep learning.
    """

    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "lr": 2e-3}}
    varied: Tensor
    many: Tensor

    def __init__(
        self,
        schema: Schema,
        *,
        numbers: Literal["plain", "piecewise", "periodic"] = "piecewise",
        widths: tuple[Count, ...] = (256, 256, 256),
        activation: Activation = "relu",
        dropout: BelowOne = 0.2,
        embedding: Count = 8,
        frequencies: Count = 16,
        sigma: Positive = 0.5,
    ) -> None:
        super().__init__()
        field = only_input(schema, "tabular_mlp")
        if len(field.shape) != 1 or not (field.quantiles or field.mean):
            raise UserError(
                f"tabular_mlp on inputs of shape {field.shape}", "columns of numbers", "choose another model"
            )
        edges = bins_of(field)
        words = entries(field.blocks)
        varied = [j for j, cuts in enumerate(edges) if len(cuts) > 1 and j not in words]
        many = [j for j in varied if len(edges[j]) > 2] if numbers != "plain" else []
        self.register_buffer("varied", torch.tensor(varied, dtype=torch.int64))
        self.register_buffer("many", torch.tensor(many, dtype=torch.int64))
        self.quantile = Quantile([edges[j] for j in varied])
        self.words = Vectors(field, embedding) if words else None
        size = len(varied) + (self.words.size if self.words else 0)
        self.embedding: nn.Sequential | None = None
        if many:
            cuts = [edges[j] for j in many]
            e = Bins(cuts) if numbers == "piecewise" else Waves(cuts, frequencies=frequencies, sigma=sigma)
            self.embedding = nn.Sequential(e, Columnwise(len(many), e.most, embedding))
            size += len(many) * embedding
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(size, width), phi(activation), Dropout(dropout)]
            size = width
        self.hidden = nn.Sequential(*layers)
        self.width = size
        self.head = head(size, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "blobs", "model": {"name": cls.__name__, "widths": [16]}}

    def features(self, x: Tensor) -> Tensor:
        h = self.quantile(x[:, self.varied])
        if self.embedding is not None:
            h = torch.cat([h, self.embedding(x[:, self.many])], 1)
        if self.words is not None:
            h = torch.cat([h, self.words(x)], 1)
        return self.hidden(h)
