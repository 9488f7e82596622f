"""Arrays given in Python: the plainest source, and what most built-in sets are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thetastar.data.prepare.fields import moments
from thetastar.data.prepare.masks import Legend, classes_of
from thetastar.data.prepare.pictures import as_images
from thetastar.errors import UserError
from thetastar.functional.nested import mapped, rows_of
from thetastar.protocols import Batch, Field, Schema, Source, Split

__all__ = ["arrays"]

Kind = Literal["auto", "image", "vector"]
Task = Literal["auto", "classification", "regression", "multi-label", "segmentation"]


class arrays(Source):
    """Inputs and targets as arrays or tensors.

    Args:
        inputs: (rows, …); images as (rows, channels, height, width), uint8 in [0, 255] or floats in [0, 1]; several
            inputs as a mapping such as {"table": …, "image": …}, of as many rows each.
        targets: (rows,) classes or numbers, (rows, outputs) numbers, (rows, classes) of 0 and 1, (rows, height, width)
            classes of an image's pixels, 255 where there is none; None for no target.
        kind: of the input; "auto" takes four axes as images.
        task: "auto" reads whole numbers and words as classes.
        given: row numbers of the splits, where they are fixed.
        names: of the classes.
        columns: names of a vector's entries.
        title: what messages call the data.
        digest: a hash of the content, where one is known already.
    """

    def __init__(
        self,
        *,
        inputs: Any,
        targets: Any = None,
        kind: Kind = "auto",
        task: Task = "auto",
        given: Any = None,
        names: Any = (),
        columns: Any = (),
        title: str = "arrays",
        digest: str | None = None,
    ) -> None:
        self.name, self._fingerprint = title, digest
        self.kind: Kind = kind
        self.inputs = mapped(lambda x: _read_inputs(x, kind), inputs)
        self.rows = rows_of(self.inputs)
        if isinstance(inputs, Mapping) and len({len(part) for part in self.inputs.values()}) > 1:
            shown = ", ".join(f"{len(part)} of {name}" for name, part in self.inputs.items())
            raise UserError(f"inputs of different lengths: {shown}", "as many rows of each", "check the arrays")
        self.entries = tuple(str(name) for name in columns)
        if self.entries and (not isinstance(self.inputs, Tensor) or self.inputs.shape[1:] != (len(self.entries),)):
            raise UserError(f"{len(self.entries)} names of columns", "one for each entry", "check columns")
        self.given: Mapping[Split, Any] | None = given
        self.said = []
        self.targets, self.target = _read_targets(targets, task, tuple(str(name) for name in names), self.said)
        if self.targets is not None and len(self.targets) != self.rows:
            raise UserError(
                f"{self.rows} inputs and {len(self.targets)} targets", "as many of each", "check the arrays"
            )
        if self.target is not None and self.target.kind == "mask":
            _fits(self.inputs, self.target)
        classes = self.target is not None and self.target.kind == "category"
        self.strata = self.targets.numpy() if classes and self.targets is not None else None

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        train = torch.as_tensor(train)
        columns = {"input": self.inputs}
        field = mapped(lambda x: _field(x, self.kind, train), self.inputs)
        field = replace(field, names=self.entries) if self.entries else field
        target = self.target
        if target is not None:
            assert self.targets is not None
            columns["target"] = self.targets
            y = self.targets[train]
            if target.kind == "category":
                counts = tuple(torch.bincount(y, minlength=target.classes or 0).tolist())
                target = Field("category", (), target.classes, target.names, counts=counts)
            elif target.kind == "mask":
                counts = torch.bincount(y.flatten(), minlength=256)[: target.classes].tolist()
                target = replace(target, counts=tuple(counts))
            elif target.kind == "number":
                mean, std = moments(y.reshape(len(y), -1), "vector")
                target = Field("number", tuple(y.shape[1:]), mean=mean, std=std)
        self.schema = Schema(field, target)
        return self.schema, columns

    def transform(self, raw: Any) -> Batch:
        """Rows of the shape trained on, or a single one; images also as Pillow images, paths, or with channels last.

        Several inputs as a mapping with the names trained on.
        """
        if isinstance(self.schema.input, Field):
            return {"input": _raw(raw, self.schema.input)}
        absent = [name for name in self.schema.input if not isinstance(raw, Mapping) or name not in raw]
        if absent:
            raise UserError(
                f"rows without {', '.join(absent)}", f"a mapping of {', '.join(self.schema.input)}", "give them by name"
            )
        return {"input": {name: _raw(raw[name], field) for name, field in self.schema.input.items()}}

    def state(self) -> dict[str, Any]:
        return {"schema": self.schema.to_json()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> arrays:
        source = cls.__new__(cls)
        source.schema = Schema.from_json(state["schema"])
        return source

    @property
    def fingerprint(self) -> str:
        self._fingerprint = self._fingerprint or self._hash()
        return self._fingerprint

    def _hash(self) -> str:
        digest = hashlib.sha256()
        inputs = self.inputs.values() if isinstance(self.inputs, dict) else [self.inputs]
        for tensor in (*inputs, self.targets):
            if tensor is not None:
                digest.update(str(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _read_inputs(inputs: Any, kind: Kind) -> Tensor:
    """Rows as floats, or as bytes where they are images of bytes."""
    x = torch.as_tensor(np.asarray(inputs)) if not isinstance(inputs, Tensor) else inputs
    if x.ndim < 2 or len(x) == 0:
        raise UserError(f"inputs of shape {tuple(x.shape)}", "(rows, …) with at least one row", "add the missing axis")
    if _kind(x, kind) != "image":
        return x.to(torch.float32)
    x = x.to(memory_format=torch.channels_last)
    return x if x.dtype == torch.uint8 else x.to(torch.float32)


def _kind(x: Tensor, kind: Kind) -> str:
    return ("image" if x.ndim == 4 else "vector") if kind == "auto" else kind


def _field(x: Tensor, kind: Kind, train: Tensor) -> Field:
    mean, std = moments(x, _kind(x, kind), train)
    return Field(_kind(x, kind), tuple(x.shape[1:]), mean=mean, std=std)


def _raw(raw: Any, field: Field) -> Tensor:
    """A user's rows of one input, in its units."""
    if field.kind == "image":
        x = as_images(raw, field)
        return x.to(torch.float32) / (255 if x.dtype == torch.uint8 else 1)
    x = torch.as_tensor(np.asarray(raw)) if not isinstance(raw, Tensor) else raw
    if tuple(x.shape) == field.shape:
        x = x[None]
    if tuple(x.shape[1:]) != field.shape:
        expected = f"(rows, {', '.join(map(str, field.shape))})"
        raise UserError(f"inputs of shape {tuple(x.shape)}", expected, "reshape them")
    return x.to(torch.float32)


def _fits(inputs: Any, target: Field) -> None:
    """Refuse masks that lie beside no image of their size."""
    shape = tuple(inputs.shape) if isinstance(inputs, Tensor) else ()
    if len(shape) != 4 or shape[2:] != target.shape:
        expected = f"(rows, channels, {', '.join(map(str, target.shape))}), as the masks"
        raise UserError(f"masks beside inputs of shape {shape or 'several'}", expected, "resize one of them")


def _read_targets(
    targets: Any, task: Task, names: tuple[str, ...], said: list[str]
) -> tuple[Tensor | None, Field | None]:
    if targets is None:
        said.append("no target")
        return None, None
    y = np.asarray(targets.cpu() if isinstance(targets, Tensor) else targets)
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise UserError(f"{int(np.isnan(y).sum())} targets are NaN", "a target for every row", "drop those rows")
    if task == "auto":
        binary_rows = y.ndim == 2 and y.dtype.kind in "biu" and set(np.unique(y)) <= {0, 1}
        classes = y.ndim == 1 and y.dtype.kind in "biuOUS"
        masks = y.ndim == 3 and y.dtype.kind in "iu"
        task = (
            "segmentation" if masks else "multi-label" if binary_rows else "classification" if classes else "regression"
        )
    kind = {"f": "real", "b": "boolean"}.get(y.dtype.kind, "integer" if y.dtype.kind in "iu" else "word")
    if task == "classification":
        values, codes = np.unique(y, return_inverse=True)
        if len(values) < 2:
            raise UserError(f"the target has one value ({values[0]})", "at least two classes", "choose another target")
        names = names if len(names) == len(values) else tuple(str(value) for value in values)
        said.append(f"classification into {len(values)} classes, from the {kind} target")
        return torch.as_tensor(codes.reshape(-1), dtype=torch.int64), Field("category", (), len(values), names)
    if task == "segmentation":
        if y.ndim != 3 or y.dtype.kind not in "biu":
            raise UserError(f"masks of shape {y.shape}, {y.dtype}", "(rows, height, width) of whole numbers", "")
        y, names = classes_of(y, Legend(names), [f"row {row}" for row in range(len(y))], said)
        return torch.from_numpy(y), Field("mask", tuple(y.shape[1:]), len(names), names)
    if task == "multi-label":
        said.append(f"multi-label classification into {y.shape[1]} classes, from 0/1 targets")
        return torch.as_tensor(y, dtype=torch.float32), Field("categories", (y.shape[1],), y.shape[1], names)
    if np.ptp(y) == 0:
        raise UserError(f"the target is constant ({y.flat[0]})", "a target that varies", "choose another target")
    said.append(f"regression of {'one number' if y.ndim == 1 else f'{y.shape[1]} numbers'}, from the {kind} target")
    return torch.as_tensor(y, dtype=torch.float32), Field("number", tuple(y.shape[1:]))
