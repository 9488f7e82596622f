"""Few labels beside many examples without, for semi-supervised learning."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt, Lt

from thetastar.data.resident import augmented, resident
from thetastar.data.wrapping import Wrapping, named, strong_augment, tried
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.functional.subsets import Rows, stratified_order
from thetastar.protocols import Augment, Batch, Clock, Field, Source, Split
from thetastar.registry import BelowOne, Count, Whole

__all__ = ["few_labels"]

Share = Annotated[float, Gt(0), Lt(1)]


class few_labels(Wrapping):
    """Training batches {"input", "target", "index", "unlabelled": {"input": a(u), "view": b(u), "index"}}.

    The labelled part comes from a fixed stratified subset of the training split, the unlabelled one from all of it. A
    pass is one over the unlabelled examples; the labelled ones are reshuffled and repeated as often as that takes. All
    batches have the same sizes. The subset of fewer labels lies within that of more.

    Args:
        source: where the rows come from; classes as targets.
        labels: how many training examples keep their label, at least one a class; below 1 a share of the training
            split.
        augment: changes that make a view; null is crop and noise for images, noise for vectors.
        labelled_augment: changes of labelled examples; null is `augment`.
        strong: changes that make the second view of an unlabelled example from the example; null goes by `views`.
        views: what second views are where `strong` does not say: "alike" makes them by `augment` again, "weak_strong"
            by crop, RandAugment and cutout of images and four times the usual noise on vectors.
        batch_size: unlabelled examples a batch; null chooses by the size of the training split.
        labelled_batch: labelled examples a batch; null is `batch_size`, or all labels where they are fewer.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits.
        label_seed: of which labels are kept; null is `split_seed`.
    """

    spec: Mapping[str, Any] = {}

    def __init__(
        self,
        *,
        source: Source,
        labels: Count | Share = 100,
        augment: tuple[Augment, ...] | None = None,
        labelled_augment: tuple[Augment, ...] | None = None,
        strong: tuple[Augment, ...] | None = None,
        views: Literal["alike", "weak_strong"] = "alike",
        batch_size: Count | None = None,
        labelled_batch: Count | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
        label_seed: Whole | None = None,
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
        self.labelled_augment = self.augment if labelled_augment is None else labelled_augment
        if strong is None and views == "weak_strong":
            strong = strong_augment(self.schema)
        self.strong = self.augment if strong is None else strong
        tried(inner, self.strong)
        tried(inner, self.labelled_augment)
        if strong is not None:
            self.said.append(f"second views of unlabelled examples are made by {named(strong)}")
        if labelled_augment is not None:
            self.said.append(f"labelled examples are changed by {named(labelled_augment)}")
        self.asked, self.plain = labelled_batch, list(self.said)
        self._keep(target, labels, split_seed if label_seed is None else label_seed)

    def _keep(self, target: Field, labels: float, seed: int) -> None:
        """Choose the examples that keep their label."""
        rows, classes_of = self.inner.rows["train"], self.inner.columns["target"].cpu().numpy()
        count = round(labels * len(rows)) if labels < 1 else int(labels)
        kept = stratified_order(rows, classes_of, seed)[:count]
        sizes, counts = (np.bincount(classes_of[some], minlength=target.classes or 0) for some in (rows, kept))
        refuse(target, labels, count, sizes, counts)
        self.labelled = np.sort(kept)
        self.labelled_batch = min(self.asked or self.batch_size, count)
        self.said = [*self.plain, f"{count:,} of {len(rows):,} training examples keep their label"]
        target = dataclasses.replace(target, counts=tuple(counts.tolist()))
        self.schema = dataclasses.replace(self.schema, target=target, rows=self.source.rows)

    def relabelled(self, labels: float, seed: int) -> few_labels:
        """The same examples, held in memory once, of which others keep their label."""
        other = copy.copy(self)
        assert self.schema.target is not None
        other._keep(self.schema.target, labels, seed)
        other.spec = {**self.spec, "labels": labels, "label_seed": seed}
        return other

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
            changes = {"input": self.augment, "view": self.strong}
            pair = {view: augmented(x, made, t.seed, view, t.epoch, number) for view, made in changes.items()}
            batch = self.inner.gather(self._labelled(t, number))
            batch["input"] = augmented(batch["input"], self.labelled_augment, t.seed, "labelled", t.epoch, number)
            yield {**batch, "unlabelled": {**pair, "index": unlabelled["index"]}}

    def _labelled(self, t: Clock, number: int) -> torch.Tensor:
        """Rows of the labelled part of a batch: whole batches out of one reshuffling after the other."""
        each = len(self.labelled) // self.labelled_batch
        turn, place = divmod(t.epoch * self.length("train") + number, each)
        order = torch.randperm(len(self.labelled), generator=generator(t.seed, "labels", turn))
        chosen = order[place * self.labelled_batch : (place + 1) * self.labelled_batch]
        return torch.from_numpy(self.labelled)[chosen].to(self.inner.device)


def refuse(target: Field, given: float, count: int, sizes: Rows, kept: Rows) -> None:
    """A class without labels, or more labels than there are.

    Args:
        target: the classes.
        given: the number or share of labels that was asked for.
        count: how many that are.
        sizes: training examples of each class.
        kept: how many of them keep their label.
    """
    names = target.names or tuple(str(number) for number in range(len(sizes)))
    absent, bare = np.flatnonzero(sizes == 0), np.flatnonzero(kept == 0)
    if len(absent):
        do = "bring examples of it, or take it out of the classes"
        raise UserError(f"class '{names[absent[0]]}' has no training example", "labels of every class", do)
    if len(bare) or count > sizes.sum():
        got = f"data.labels: got {given:g}" + (f" ({count:,} labels)" if given < 1 else "")
        got += f", class '{names[bare[0]]}' is left without a label" if len(bare) else ""
        raise UserError(got, f"{len(sizes)} (one a class) to {sizes.sum()}", "change data.labels")
