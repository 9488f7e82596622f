"""Several inputs into one model: a linear part that memorises beside a deep one that generalises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.errors import UserError, nearest
from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, flat_size, head
from thetastar.models.cnn import cnn
from thetastar.models.mlp import mlp
from thetastar.models.tabular_mlp import tabular_mlp
from thetastar.protocols import Field, Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["wide_deep"]


class wide_deep(Model):
    """z = W_wide x̃ + W_deep a + b; x̃ standardised entries, a = MLP([e_1(x_1), …, e_m(x_m)]).

    Wide are all entries of tables and texts, crosses of columns among them; images are deep alone. The encoder e_i is
    that of tabular_mlp for a table, of cnn for an image, one layer for other vectors.

    Args:
        schema: one input or several (table, text, image) and any target.
        inputs: names of those that are used; () takes all.
        wide: whether there is the linear part.
        deep: whether there is the deep part; without it, this is a linear model.
        embedding: numbers that a column of a table becomes, ≥ 1.
        channels: of the two convolutions over an image.
        encoder: units in which each input ends before they are joined.
        widths: hidden units of each joint layer, each ≥ 1.
        activation: of every hidden layer.
        dropout: share of the joint hidden units dropped in training, in [0, 1).

    Shapes: {name: (batch, …)}, or (batch, …) where the data have one input → (batch, outputs).

    Source: Cheng et al. 2016, Wide & deep learning for recommender systems.
    """

    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "lr": 2e-3}}

    def __init__(
        self,
        schema: Schema,
        *,
        inputs: tuple[str, ...] = (),
        wide: bool = True,
        deep: bool = True,
        embedding: Count = 8,
        channels: tuple[Count, Count] = (16, 32),
        encoder: Count = 64,
        widths: tuple[Count, ...] = (128,),
        activation: Activation = "relu",
        dropout: BelowOne = 0.1,
    ) -> None:
        super().__init__()
        fields = _chosen(schema, inputs)
        self.several = isinstance(schema.input, dict)
        vectors = [name for name, field in fields.items() if field.kind != "image"] if wide else []
        self.wide = nn.ModuleDict({name: Standardise(fields[name]) for name in vectors})
        self.width = sum(flat_size(fields[name]) for name in vectors)
        self.encoders = nn.ModuleDict()
        self.joint = nn.Sequential()
        if deep:
            for name, field in fields.items():
                self.encoders[name] = _encoder(field, embedding, channels, encoder, activation)
            size = encoder * len(fields)
            for width in widths:
                self.joint.extend([nn.Linear(size, width), phi(activation), *([Dropout(dropout)] if dropout else [])])
                size = width
            self.width += size
        if not self.width:
            raise UserError(
                "wide_deep without a deep part on images alone" if wide else "wide_deep that is neither wide nor deep",
                "something to learn from",
                "set model.deep=true",
            )
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": cls.__name__, "channels": [4, 4], "encoder": 8, "widths": [16]}
        return {"data": "trio", "model": model}

    def features(self, x: Tensor | Mapping[str, Tensor]) -> Tensor:
        given: Mapping[str, Tensor] = x if self.several else {"input": x}  # type: ignore[assignment, dict-item]
        parts = [standardise(given[name]).flatten(1) for name, standardise in self.wide.items()]
        if self.encoders:
            codes = [encoder.features(given[name]) for name, encoder in self.encoders.items()]  # type: ignore[operator]
            parts.append(self.joint(torch.cat(codes, 1)))
        return torch.cat(parts, 1)  # (batch, wide entries + deep units): W_wide and W_deep side by side are the head


def _chosen(schema: Schema, inputs: tuple[str, ...]) -> dict[str, Field]:
    """The fields by name, in the order of the data; those of `inputs` where some are named."""
    fields = schema.input if isinstance(schema.input, dict) else {"input": schema.input}
    for name in inputs:
        if name not in fields:
            raise UserError(f"model.inputs: no input '{name}'", f"some of {', '.join(fields)}", nearest(name, fields))
    return {name: field for name, field in fields.items() if not inputs or name in inputs}


def _encoder(field: Field, embedding: int, channels: tuple[int, int], units: int, activation: Activation) -> Model:
    """What turns one input into `units` numbers; a net whose head is the identity."""
    alone = Schema(field)
    if field.kind == "image":
        return cnn(alone, channels=channels, hidden=units, activation=activation)
    if field.quantiles:
        return tabular_mlp(alone, widths=(units,), activation=activation, dropout=0.0, embedding=embedding)
    return mlp(alone, widths=(units,), activation=activation)
