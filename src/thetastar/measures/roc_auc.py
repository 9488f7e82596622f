"""The area under the ROC curve."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.protocols import Batch, Measure
from thetastar.registry import Count

__all__ = ["roc_auc"]

REACH = 16.0  # logits beyond are probabilities within 1e-7 of 0 or 1, which float32 hardly tells apart


class roc_auc(Measure):
    """ROC-AUC: the probability that a member of a class scores above a non-member, ties counting half, in [0, 1].

    With two classes it is exact: one float32 an example is kept. With more, and with several labels, it is the mean
    over classes of each against the rest, from histograms of the logit log(p / (1 − p)) in equal bins over [−16, 16];
    two scores in the same bin count as a tie. `resolution` bounds what that can change. A class that is in all rows or
    none has no ROC curve and is left out.

    Args:
        bins: of the histograms.

    Shapes: probabilities (batch, classes), target (batch,) of classes or (batch, labels) of 0 and 1.

    Source: Hanley and McNeil 1982, The meaning and use of the area under a receiver operating characteristic curve.
    """

    wants = frozenset({"probabilities"})
    kinds = frozenset({"category", "categories"})

    def __init__(self, *, bins: Count = 4096) -> None:
        self.bins = bins
        self.scores: list[Tensor] = []
        self.members: list[Tensor] = []
        self.histogram = torch.zeros(0)  # (2, classes, bins): members, others

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        p, target = out["probabilities"].nan_to_num(0.0), batch["target"]  # what is no number ranks last
        if target.ndim == 1 and p.shape[1] == 2:
            self.scores.append(p[:, 1].float().cpu())
            self.members.append(target.bool().cpu())
            return
        member = F.one_hot(target, p.shape[1]) if target.ndim == 1 else target.long()
        logit = torch.special.logit(p.double(), eps=1e-12).clamp(-REACH, REACH)
        at = ((logit + REACH) * (self.bins / (2 * REACH))).long().clamp_max(self.bins - 1)
        classes = p.shape[1]
        cells = ((1 - member) * classes + torch.arange(classes, device=p.device)) * self.bins + at
        added = torch.bincount(cells.flatten(), minlength=2 * classes * self.bins).reshape(2, classes, self.bins)
        self.histogram = added.double() + self.histogram.to(p.device) if self.histogram.numel() else added.double()

    def counts(self) -> tuple[Tensor, Tensor]:
        """Members and others by score, rising: (classes, scores), of the classes that have both."""
        if self.scores:
            _, at = torch.unique(torch.cat(self.scores), return_inverse=True)
            member = torch.cat(self.members)
            size = int(at.max()) + 1
            found = torch.stack(
                [torch.bincount(at[member], minlength=size), torch.bincount(at[~member], minlength=size)]
            )
            histogram = found.double()[:, None]
        else:
            histogram = self.histogram.reshape(2, -1, self.histogram.shape[-1] or 1)
        both = (histogram.sum(2) > 0).all(0)
        return histogram[0, both], histogram[1, both]

    def compute(self) -> dict[str, float]:
        members, others = self.counts()
        if not len(members):
            return {"roc_auc": math.nan}
        below = others.cumsum(1) - others / 2
        areas = (members * below).sum(1) / (members.sum(1) * others.sum(1))
        return {"roc_auc": areas.mean().item()}

    def resolution(self) -> float:
        """At most so much of the value is due to binning: half the pairs that fell in one bin."""
        if self.scores:
            return 0.0
        members, others = self.counts()
        return float(((members * others).sum(1) / (members.sum(1) * others.sum(1)) / 2).mean())

    def curve(self) -> list[list[tuple[float, float]]]:
        """By class the points (false-positive rate, true-positive rate) from the highest threshold to the lowest."""
        members, others = self.counts()
        rates = [F.pad(c.flip(1).cumsum(1) / c.sum(1, keepdim=True), (1, 0)) for c in (others, members)]
        return [list(zip(x, y, strict=True)) for x, y in zip(rates[0].tolist(), rates[1].tolist(), strict=True)]
