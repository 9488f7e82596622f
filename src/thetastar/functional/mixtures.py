"""What several predictions of one example say together."""

from __future__ import annotations

import torch
from torch import Tensor


def mixture(members: Tensor, kind: str) -> dict[str, Tensor]:
    """(batch, K, …) probabilities, or values for a `kind` of "number" → their mean, as a method predicts it."""
    mean = members.mean(1)
    if kind == "number":
        return {"prediction": mean, "members": members}
    safe = mean.clamp_min(torch.finfo(mean.dtype).tiny)
    if kind == "categories":
        logits, prediction = safe.log() - torch.log1p(-mean).clamp_min(-100.0), (mean > 0.5).to(torch.int64)
    else:
        logits, prediction = safe.log(), mean.argmax(1 if kind == "mask" else -1)
    return {"logits": logits, "probabilities": mean, "prediction": prediction, "members": members}
