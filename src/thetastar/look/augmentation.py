"""What augmentation does to images: some of them before, and after several draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from thetastar.data.resident import augmented, in_units, moved_together
from thetastar.look.examples import in_colours, three
from thetastar.look.findings import Section
from thetastar.look.sheet import sheet
from thetastar.look.subject import Rows, Subject

IMAGES, DRAWS = 8, 9


def augmentation(subject: Subject) -> Section | None:
    """A line an image of train: as it is, then as training would see it in several epochs."""
    if subject.images is None or not subject.augment:
        return None
    rows = subject.sample(subject.splits["train"], "augmentation", IMAGES)
    before = in_units(subject.images[torch.from_numpy(rows)])
    if subject.masks is not None:
        rows = rows[: IMAGES // 2]
        shown = _masked(subject, subject.masks, before[: len(rows)], rows)
        names = [name for row in rows for name in (f"row {row}", "mask")]
        groups = [(name, _line(place, 2 * len(rows))) for place, name in enumerate(names)]
    else:
        draws = [augmented(before, subject.augment, "look", draw) for draw in range(DRAWS)]
        shown = replace(subject, images=torch.cat([before, *draws]))
        groups = [(_name(subject, int(row)), _line(place, len(rows))) for place, row in enumerate(rows)]
    names = ", then ".join(type(change).__name__ for change in subject.augment)
    return Section(
        name="Augmentation",
        looked_at=f"inputs and labels of {len(rows)} rows of train",
        said=(f"Each line is an image of train as it is, then {DRAWS} draws of {names}.",),
        picture=sheet(shown, groups),
        alt=f"Contact sheet of {subject.title}, one image a line, before and after augmentation",
        values={"augment": [getattr(change, "spec", {}) for change in subject.augment]},
    )


def _masked(subject: Subject, masks: Tensor, before: Tensor, rows: Rows) -> Subject:
    """An image, then its mask, row after row: as they are, then in every draw."""
    truth = masks[torch.from_numpy(rows)]
    pairs = [(before, truth)]
    pairs += [moved_together(before, truth, subject.augment, "look", draw) for draw in range(DRAWS)]
    seen = [torch.stack([three(x), in_colours(mask, len(subject.names))], 1).flatten(0, 1) for x, mask in pairs]
    return replace(subject, images=torch.cat(seen))


def _name(subject: Subject, row: int) -> str:
    if subject.labels is None or not subject.names:
        return f"row {row}"
    return subject.names[int(subject.labels[row])]


def _line(place: int, count: int) -> Sequence[tuple[int, str]]:
    """Tiles of one image within the batches of images before and after."""
    return [(place + batch * count, "") for batch in range(1 + DRAWS)]
