"""Two views of every example, and small ones of its parts, for methods that learn by comparing them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from thetastar.data.augment.crop import crop
from thetastar.data.augment.resized_crop import resized_crop
from thetastar.data.resident import augmented, resident
from thetastar.data.wrapping import Wrapping
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.protocols import Augment, Batch, Clock, Field, Schema, Source
from thetastar.registry import BelowOne, Count, Fraction, Whole

__all__ = ["views"]


class views(Wrapping):
    """Training batches {"input": a(x), "view": a'(x), …} with a, a' drawn independently for every example.

    With `crops`, "local" holds as many small images of parts of the example (multi-crop): a resized crop of the share
    `crop_least` to `crop_most` of its area, then the changes of `augment` that are no crops themselves.

    All training batches have the same size. Valid and test are the examples as they are.

    Args:
        source: where the rows come from.
        augment: changes that make a view, one after the other; null is crop and noise for images, noise for vectors.
        crops: small views of every image; 0 is none.
        crop_size: their side in pixels; null is about half the image's shorter side, a multiple of 4.
        crop_least: smallest share of the area that one shows, in [0, 1].
        crop_most: largest share, in [0, 1].
        batch_size: examples a training batch; null chooses by the size of the training split.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits.

    Shapes: "input" and "view" (batch, …), "local" (batch, crops, channels, crop_size, crop_size).

    Source: Caron et al. 2020, Unsupervised learning of visual features by contrasting cluster assignments (multi-crop).
    """

    def __init__(
        self,
        *,
        source: Source,
        augment: tuple[Augment, ...] | None = None,
        crops: Whole = 0,
        crop_size: Count | None = None,
        crop_least: Fraction = 0.05,
        crop_most: Fraction = 0.4,
        batch_size: Count | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
    ) -> None:
        inner = resident(
            source=source, batch_size=batch_size, valid=valid, test=test, split_seed=split_seed, drop_last=True
        )
        super().__init__(inner, augment)
        self.crops = crops
        if crops:
            side = shorter_side(self.schema)
            self.crop_size = crop_size or max(4, 4 * round(side / 8))
            if self.crop_size > side:
                got = f"data.crop_size={self.crop_size} of images of {side} pixels"
                raise UserError(got, f"at most {side}", "lower data.crop_size")
            self.cut = resized_crop(least=crop_least, most=crop_most)
            self.local = tuple(change for change in self.augment if not isinstance(change, crop | resized_crop))
            x = inner.sample("train", 2)["input"]
            augmented(self._small(x, 0, "try").flatten(0, 1), self.local, "try")
            self.said.append(f"beside them {crops} of {self.crop_size}×{self.crop_size} pixels, each of a part")

    def training(self, t: Clock, skip: int) -> Iterator[Batch]:
        for number, batch in enumerate(self.inner.batches("train", t, skip), skip):
            x = batch["input"]
            for view in ("input", "view"):
                batch[view] = augmented(x, self.augment, t.seed, view, t.epoch, number)
            if self.crops:
                small = self._small(x, t.seed, "crops", t.epoch, number)
                changed = augmented(small.flatten(0, 1), self.local, t.seed, "local", t.epoch, number)
                batch["local"] = changed.unflatten(0, small.shape[:2])
            yield batch

    def _small(self, x: Tensor, *key: int | str) -> Tensor:
        """Parts of every image, before they are changed: (batch, crops, channels, crop_size, crop_size)."""
        size = (self.crop_size, self.crop_size)
        return self.cut.several(x, self.crops, size, generator(*key, device=x.device))


def shorter_side(schema: Schema) -> int:
    """Of the images; data of another kind are refused."""
    field = schema.input
    if not isinstance(field, Field) or field.kind != "image":
        kind = field.kind if isinstance(field, Field) else "several"
        raise UserError(f"data.crops on inputs of kind {kind}", "images, one an example", "leave data.crops out")
    return min(field.shape[1:])
