"""What methods share that learn from few labels beside many examples without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.nested import joined, rows_of
from thetastar.protocols import Batch, Field, Model, Schema


def classes_of(schema: Schema, method: str) -> Field:
    """The target, which must be one of several classes."""
    if schema.target is None or schema.target.kind != "category":
        raise UserError(f"{method} on {schema.task}", "classes", "choose another method")
    return schema.target


def unlabelled(batch: Batch, method: str) -> Batch:
    """{"input", "view", "index"} of the examples without labels; data that give none are refused."""
    if "unlabelled" not in batch:
        raise without_unlabelled(method)
    return batch["unlabelled"]


def without_unlabelled(method: str) -> UserError:
    """What is said of data in which every example has a label."""
    do = "write data={name: few_labels, source: …}"
    return UserError(f"{method} on data without unlabelled examples", "examples with labels and without", do)


def together(f: Model, *inputs: Any) -> tuple[Tensor, ...]:
    """Logits of several batches in one pass, in which batch norm sees all of them as one batch.

    In passes of their own each would be normalised by other moments, and the running ones would be of the last.

    Shapes: (n₁, …), (n₂, …), … → (n₁, classes), (n₂, classes), ….
    """
    return full(f(joined(inputs))).split([rows_of(x) for x in inputs])


def disagreement(p: Tensor, q: Tensor) -> Tensor:
    """‖p − q‖², one value per example: (batch, classes)² → (batch,)."""
    return (p - q).square().sum(-1)


def sharpened(p: Tensor, temperature: float) -> Tensor:
    """p_c^{1/T} / Σ_j p_j^{1/T}: p itself at T = 1, its largest entry alone as T → 0.

    In logarithms, as p^{1/T} may be too small for its type.

    Shapes: (batch, classes) → the same.
    """
    return torch.softmax(p.clamp_min(torch.finfo(p.dtype).tiny).log() / temperature, -1)
