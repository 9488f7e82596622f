"""Few labels beside many examples without, for semi-supervised learning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from thetastar.data.resident import augmented, resident
from thetastar.data.wrapping import Wrapping
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.functional.subsets import stratified_order
from thetastar.protocols import Augment, Batch, Clock, Source, Split
from thetastar.registry import BelowOne, Count

__all__ = ["few_labels"]


class few_labels(Wrapping):
    """Training batches {"input", "target", "index", "unlabelled": {"input": a(u), "view": a'(u), "index"}}.

    The labelled part comes from a fixed stratified subset of the training split, the unlabelled one from all of it. A
    pass is one over the unlabelled examples; the labelled ones are reshuffled and repeated as often as that takes. All
    batches have the same sizes. The subset of fewer labels lies within that of more.

    Args:
        source: where the rows come from; classes as targets.
        labels: how many training examples keep their label, at least one a class.
        augment: changes that make a view; null is crop and noise for images, noise for vectors.
        batch_size: unlabelled examples a batch; null chooses by the size of the training split.
        labelled_batch: labelled examples a batch; null is `batch_size`, or all labels where they are fewer.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits and of which labels are kept.
    """

    def __init__(
        self,
        *,
        source: Source,
        labels: Count = 100,
        augment: tuple[Augment, ...] | None = None,
        batch_size: Count | None = None,
        labelled_batch: Count | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
    ) -> None:
        inner = resident(
            source=source, batch_size=batch_size, valid=valid, test=test, split_seed=split_seed, drop_last=True
        )
        super().__init__(inner, augment)
        target = self.schema.target
        if target is None or target.kind != "category":
            raise UserError(
                f"few_labels on {source.name}, whose targets are no classes", "classes", "choose other data"
            )
        rows, classes_of = inner.rows["train"], inner.columns["target"].numpy()
        classes = len(np.unique(classes_of[rows]))
        if not classes <= labels <= len(rows):
            raise UserError(
                f"data.labels: got {labels}", f"{classes} (one a class) to {len(rows)}", "change data.labels"
            )
        self.labelled = np.sort(stratified_order(rows, classes_of, split_seed)[:labels])
        self.labelled_batch = min(labelled_batch or self.batch_size, labels)
        self.said.append(f"{labels} of {len(rows):,} training examples keep their label")
        counts = np.bincount(classes_of[self.labelled], minlength=target.classes or 0)
        self.schema = dataclasses.replace(
            self.schema, target=dataclasses.replace(target, counts=tuple(counts.tolist()))
        )

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": {"name": "few_labels", "source": "bars", "labels": 16},
            "model": {"name": "mlp", "widths": [16]},
        }

    def examples(self, split: Split) -> Batch:
        if split != "train":
            return self.inner.examples(split)
        return self.inner.gather(torch.from_numpy(self.labelled).to(self.inner.device))

    def training(self, t: Clock, skip: int) -> Iterator[Batch]:
        for number, unlabelled in enumerate(self.inner.batches("train", t, skip), skip):
            x = unlabelled["input"]
            pair = {view: augmented(x, self.augment, t.seed, view, t.epoch, number) for view in ("input", "view")}
            batch = self.inner.gather(self._labelled(t, number))
            batch["input"] = augmented(batch["input"], self.augment, t.seed, "labelled", t.epoch, number)
            yield {**batch, "unlabelled": {**pair, "index": unlabelled["index"]}}

    def _labelled(self, t: Clock, number: int) -> torch.Tensor:
        """Rows of the labelled part of a batch: whole batches out of one reshuffling after the other."""
        each = len(self.labelled) // self.labelled_batch
        turn, place = divmod(t.epoch * self.length("train") + number, each)
        order = torch.randperm(len(self.labelled), generator=generator(t.seed, "labels", turn))
        chosen = order[place * self.labelled_batch : (place + 1) * self.labelled_batch]
        return torch.from_numpy(self.labelled)[chosen].to(self.inner.device)
