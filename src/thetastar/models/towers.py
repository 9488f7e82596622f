"""A net for each of several inputs, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.layers.ends import head
from thetastar.protocols import Field, Model, Schema

__all__ = ["towers"]

PLAIN = {  # by the kind of an input
    "image": {"name": "cnn", "norm": "batch"},
    "tokens": {"name": "text_transformer"},
    "waveform": {"name": "audio_cnn"},
}


class towers(Model):
    """features x ↦ [f_1(x_1), …, f_m(x_m)]: the features of every input's own net, behind them one linear layer.

    Methods that compare inputs with one another, as `clip`, take each tower by its name.

    Args:
        schema: several inputs.
        nets: {input: model}; by default cnn with batch norm for images, text_transformer for tokens, audio_cnn for
            waveforms, mlp for vectors.
        shared: {input: other input}, whose tower it goes through as well; both have one kind and shape.

    Shapes: {name: (batch, …)} → (batch, outputs).
    """

    def __init__(
        self,
        schema: Schema,
        *,
        nets: dict[str, Any] | None = None,
        shared: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(schema.input, dict):
            got = f"towers on one input of kind {schema.input.kind}"
            raise UserError(got, "several inputs", "choose a model of that kind")
        fields, self.shared = schema.input, dict(shared or {})
        for name in (*(nets or {}), *self.shared, *self.shared.values()):
            if name not in fields:
                raise UserError(f"towers: no input '{name}'", f"some of {', '.join(fields)}", nearest(name, fields))
        for name, other in self.shared.items():
            if (fields[name].kind, fields[name].shape) != (fields[other].kind, fields[other].shape):
                got = f"towers.shared: {name} of {fields[name].kind} {fields[name].shape} with {other}"
                raise UserError(got, "inputs of one kind and shape", "leave it out")
        self.nets = nn.ModuleDict()
        for name, field in fields.items():
            if name not in self.shared:
                self.nets[name] = built((nets or {}).get(name), field, f"model.nets.{name}")
        self.width = sum(self.tower(name).width for name in fields)
        self.inputs = tuple(fields)
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        nets = {
            "image": {"name": "cnn", "channels": [4, 4], "hidden": 8},
            "text": {"name": "text_transformer", "width": 8, "depth": 1, "heads": 2},
        }
        return {"data": "captioned_bars", "model": {"name": "towers", "nets": nets}}

    def tower(self, name: str) -> Model:
        """The net of an input."""
        net = self.nets[self.shared.get(name, name)]
        assert isinstance(net, Model)
        return net

    def features(self, x: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([self.tower(name).features(x[name]) for name in self.inputs], 1)


def built(spec: Any, field: Field, where: str) -> Model:
    """The net of one input, without a head."""
    return registry.build("models", spec or PLAIN.get(field.kind, {"name": "mlp"}), Schema(field), where=where)
