"""Two views of every example, for methods that learn by comparing them."""

from __future__ import annotations

from collections.abc import Iterator

from thetastar.data.resident import augmented, resident
from thetastar.data.wrapping import Wrapping
from thetastar.protocols import Augment, Batch, Clock, Source
from thetastar.registry import BelowOne, Count

__all__ = ["views"]


class views(Wrapping):
    """Training batches {"input": a(x), "view": a'(x), …} with a, a' drawn independently for every example.

    All training batches have the same size. Valid and test are the examples as they are.

    Args:
        source: where the rows come from.
        augment: changes that make a view, one after the other; null is crop and noise for images, noise for vectors.
        batch_size: examples a training batch; null chooses by the size of the training split.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits.
    """

    def __init__(
        self,
        *,
        source: Source,
        augment: tuple[Augment, ...] | None = None,
        batch_size: Count | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
    ) -> None:
        inner = resident(
            source=source, batch_size=batch_size, valid=valid, test=test, split_seed=split_seed, drop_last=True
        )
        super().__init__(inner, augment)

    def training(self, t: Clock, skip: int) -> Iterator[Batch]:
        for number, batch in enumerate(self.inner.batches("train", t, skip), skip):
            x = batch["input"]
            for view in ("input", "view"):
                batch[view] = augmented(x, self.augment, t.seed, view, t.epoch, number)
            yield batch
