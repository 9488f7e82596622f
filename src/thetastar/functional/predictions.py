"""From what f returns to what measures want."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.losses import full
from thetastar.protocols import Batch, Model


def from_output(f: Model, batch: Batch, wants: frozenset[str], kind: str) -> dict[str, Tensor]:
    """What is wanted of "logits", "probabilities", "prediction" and "features"; numbers have but the last two."""
    out: dict[str, Tensor] = {}
    if "features" in wants:
        out["features"] = f.features(batch["input"])
    if wants & {"logits", "probabilities", "prediction"}:
        output = full(f(batch["input"]))
        out |= from_logits(output, kind)
    return {name: value for name, value in out.items() if name in wants}


def from_logits(output: Tensor, kind: str) -> dict[str, Tensor]:
    if kind == "number":
        return {"prediction": output}
    if kind == "categories":
        return {"logits": output, "probabilities": torch.sigmoid(output), "prediction": (output > 0).to(torch.int64)}
    axis = 1 if kind == "mask" else -1  # (batch, classes, height, width), a class a pixel
    return {"logits": output, "probabilities": torch.softmax(output, axis), "prediction": output.argmax(axis)}
