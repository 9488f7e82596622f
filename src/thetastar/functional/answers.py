"""What is kept of every example that was judged: enough to draw a diagram or to find the worst errors later."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.masks import image_ious

JUDGED = frozenset({"logits", "probabilities", "prediction"})
WANTS = {
    "category": frozenset({"probabilities", "prediction"}),
    "number": frozenset({"prediction"}),
    "mask": frozenset({"probabilities", "prediction"}),
}


def answers(out: Mapping[str, Tensor], batch: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Row, target and prediction; for classes also the probability of the predicted and of the true class.

    Of masks the row and the mean IoU of the image.

    Shapes: probabilities (batch, classes) and target (batch,); of numbers prediction and target (batch,) or (batch, 1).
    Other shapes are no single answer, so nothing is kept of them.
    """
    target, said, shares = batch.get("target"), out.get("prediction"), out.get("probabilities")
    if kind == "mask" and target is not None and said is not None and shares is not None and "index" in batch:
        return {"row": batch["index"].to(torch.int32), "iou": image_ious(said, target, shares.shape[1]).float()}
    if target is None or said is None or said.numel() != len(target) or target.numel() != len(target):
        return {}
    found = {"predicted": said.reshape(len(target)).detach(), "target": target.reshape(len(target))}
    if "index" in batch:
        found["row"] = batch["index"].to(torch.int32)
    if kind == "number":
        return found
    if shares is None or shares.ndim != 2:
        return {}
    called, true = (found[name].long() for name in ("predicted", "target"))
    found |= {"predicted": called.to(torch.int32), "target": true.to(torch.int32)}
    for name, of in (("confidence", called), ("of_truth", true)):
        found[name] = shares.detach().float().gather(1, of[:, None])[:, 0]
    return found
