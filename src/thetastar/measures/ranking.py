"""How well scores put members of a class before the others: areas under the ROC and the precision–recall curve."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.ranking import average_precisions, precision_recall_curves, roc_areas, roc_curves
from thetastar.protocols import Batch, Measure
from thetastar.registry import Count

__all__ = ["average_precision", "roc_auc"]

REACH = 16.0  # logits beyond are probabilities within 1e-7 of 0 or 1, which float32 hardly tells apart


class Ranking(Measure):
    """What the two share: how many members and others of each class have which score.

    Args:
        bins: of the histograms.
    """

    wants = frozenset({"probabilities"})
    kinds = frozenset({"category", "categories"})

    def __init__(self, *, bins: Count = 4096) -> None:
        self.bins = bins
        self.scores: list[Tensor] = []
        self.members: list[Tensor] = []
        self.histogram = torch.zeros(0)  # (2, classes, bins): members, others

    @abstractmethod
    def areas(self, members: Tensor, others: Tensor) -> Tensor:
        """(classes, scores) counts by rising score → (classes,); NaN where a class has no curve."""

    @abstractmethod
    def slack(self, members: Tensor, others: Tensor) -> Tensor:
        """By how much binning can have changed each area."""

    @abstractmethod
    def curve(self) -> list[list[tuple[float, float]]]:
        """By class the points from the highest threshold to the lowest."""

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
        """Members and others by rising score: (classes, scores), of the classes that have a curve."""
        if self.scores:
            _, at = torch.unique(torch.cat(self.scores), return_inverse=True)
            member = torch.cat(self.members)
            size = int(at.max()) + 1
            histogram = torch.stack([torch.bincount(at[of], minlength=size) for of in (member, ~member)])
            histogram = histogram.double()[:, None]
        else:
            histogram = self.histogram.reshape(2, -1, self.histogram.shape[-1] or 1)
        known = ~self.areas(histogram[0], histogram[1]).isnan()
        return histogram[0, known], histogram[1, known]

    def compute(self) -> dict[str, float]:
        members, others = self.counts()
        return {type(self).__name__: self.areas(members, others).mean().item() if len(members) else math.nan}

    def resolution(self) -> float:
        """At most so much of the value is due to binning."""
        return 0.0 if self.scores else self.slack(*self.counts()).mean().item()


class roc_auc(Ranking):
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

    def areas(self, members: Tensor, others: Tensor) -> Tensor:
        return roc_areas(members, others)

    def slack(self, members: Tensor, others: Tensor) -> Tensor:
        """Half the pairs that fell in one bin."""
        return (members * others).sum(1) / (members.sum(1) * others.sum(1)) / 2

    def curve(self) -> list[list[tuple[float, float]]]:
        """By class the points (false-positive rate, true-positive rate) from the highest threshold to the lowest."""
        rates = roc_curves(*self.counts())
        return [list(zip(x, y, strict=True)) for x, y in zip(*(rate.tolist() for rate in rates), strict=True)]


class average_precision(Ranking):
    """Average precision Σ_t (R_t − R_{t−1}) P_t over falling thresholds t, the area under precision by recall, ≤ 1.

    P_t and R_t are precision and recall of calling all scores of at least t; scores at random give the share of
    members. Two classes are exact: one float32 an example is kept, of the second class. More classes, and several
    labels, are each taken against the rest and averaged, from the histograms that `roc_auc` has; a class that is in no
    row is left out.

    Args:
        bins: of the histograms.

    Shapes: probabilities (batch, classes), target (batch,) of classes or (batch, labels) of 0 and 1.

    Source: Davis and Goadrich 2006, The relationship between precision-recall and ROC curves.
    """

    def areas(self, members: Tensor, others: Tensor) -> Tensor:
        return average_precisions(members, others)

    def slack(self, members: Tensor, others: Tensor) -> Tensor:
        """Precision at each member of a bin if all others of the bin were before it, or all behind."""
        true, false = (counts.flip(1).cumsum(1) for counts in (members, others))
        here, before = members.flip(1), true - members.flip(1)
        best = true / (true + false - others.flip(1)).clamp_min(1)
        worst = here - false * (torch.digamma(true + false + 1) - torch.digamma(before + false + 1))
        return (here * best - worst).sum(1) / members.sum(1)

    def curve(self) -> list[list[tuple[float, float]]]:
        """By class the points (recall, precision) from the highest threshold to the lowest."""
        rates = precision_recall_curves(*self.counts())
        return [list(zip(x, y, strict=True)) for x, y in zip(*(rate.tolist() for rate in rates), strict=True)]
