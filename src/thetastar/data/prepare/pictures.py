"""Images of any size and mode as one array of bytes: one size and one number of channels for all, chosen and said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import decode as worker
from thetastar.data.prepare.cache import cached
from thetastar.data.prepare.decoding import decode_all, measure_all
from thetastar.errors import UserError
from thetastar.protocols import Field

Size = int | tuple[int, int] | None  # of both sides, or width and height; None takes the most common size
LONGEST = 256  # pixels of the longer side that are kept where no size is asked for
FORMAT = "2"  # of what is cached; a new number makes old entries useless


@dataclass(frozen=True)
class Pictures:
    """The images that could be read, (kept, channels, height, width) in channels-last memory, and their numbers."""

    images: Tensor
    kept: NDArray[np.int64]
    digest: str


class Files(Sequence[bytes]):
    """Contents of files, each read when it is asked for; empty where there is none, or none that may be read."""

    def __init__(self, paths: Sequence[Path | None]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: Any) -> bytes:
        path = self.paths[number]
        try:
            return b"" if path is None else path.read_bytes()
        except (PermissionError, FileNotFoundError):
            return b""


def load(
    blobs: Sequence[bytes],
    names: list[str],
    content: str,
    size: Size,
    said: list[str],
    unread: str = "left out as unreadable",
) -> Pictures:
    """Decode, or read what was decoded before.

    Args:
        blobs: contents of the files, asked for one by one and only where they are decoded.
        names: of the files, for messages.
        content: a hash of all the files, by which the result is kept.
        size: of the sides of all images in pixels, or their width and height; None takes the most common size.
        said: gets a line for each choice.
        unread: what is said of files that cannot be read.
    """
    key = hashlib.sha256(f"{FORMAT} {content} {size}".encode()).hexdigest()[:32]
    data, notes, digest = cached(key, lambda: _decoded(blobs, size), said)
    bad = notes["unreadable"]
    if len(bad) == len(names):
        raise UserError(f"none of {len(names):,} images can be read ({names[0]}, …)", "images", "check the files")
    said.extend(_choices(notes, [names[number] for number in bad], len(names), unread))
    kept = np.setdiff1d(np.arange(len(names)), np.asarray(bad, np.int64))
    return Pictures(data.permute(0, 3, 1, 2), kept, digest)


def _decoded(blobs: Sequence[bytes], size: Size) -> tuple[Tensor, dict[str, Any]]:
    """(kept, height, width, channels) and what there is to say of it."""
    shapes = measure_all(blobs)
    known = shapes[shapes[:, 2] > 0]
    if len(known) == 0:
        return torch.empty((0, 1, 1, 1), dtype=torch.uint8), {"unreadable": list(range(len(shapes)))}
    sizes, counts = np.unique(known[:, :2], axis=0, return_counts=True)
    common = tuple(int(side) for side in sizes[counts.argmax()])
    channels = int(known[:, 2].max())
    width, height = (size, size) if isinstance(size, int) else size or within(common)
    read, pixels = decode_all(blobs, (width, height, channels), int(known[:, :2].prod(1).sum()))
    if not read.all():
        pixels = pixels[read]
    shapes = shapes[read]
    notes = {
        "unreadable": np.flatnonzero(~read).tolist(),
        "size": [width, height],
        "common": list(common),
        "resized": int((shapes[:, :2] != (width, height)).any(1).sum()),
        "frames": int(shapes[:, 3].sum()),
        "grey": int((shapes[:, 2] == 1).sum()) if channels == 3 else 0,
    }
    return torch.from_numpy(pixels), notes


def within(size: tuple[int, ...]) -> tuple[int, int]:
    """The width and height of the same shape whose longer side has at most `LONGEST` pixels."""
    share = min(1.0, LONGEST / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _choices(notes: dict[str, Any], bad: Sequence[str], count: int, unread: str) -> list[str]:
    lines: list[str] = []
    if bad:
        shown = ", ".join(bad[:10]) + (f" and {len(bad) - 10:,} more" if len(bad) > 10 else "")
        lines.append(f"{len(bad):,} of {count:,} images {unread}: {shown}")
    kept = count - len(bad)
    size, common = "×".join(map(str, notes["size"])), "×".join(map(str, notes["common"]))
    if notes["frames"]:
        lines.append(f"{notes['frames']:,} of {kept:,} images with several frames: the first is read")
    if notes["resized"]:
        why = "the most common size" if size == common else f"the most common size is {common}"
        lines.append(f"{notes['resized']:,} of {kept:,} images resized to {size} ({why})")
    if notes["grey"]:
        lines.append(f"{notes['grey']:,} of {kept:,} images grey among colour ones: three equal channels")
    return lines


def as_images(raw: Any, field: Field) -> Tensor:
    """What a user hands to `predict`: arrays in any usual order of axes, Pillow images, or paths; one or several.

    Shapes: → (images, channels, height, width), bytes or numbers as given.
    """
    channels, height, width = field.shape
    if isinstance(raw, str | Path) or hasattr(raw, "getbands"):
        raw = [raw]
    if (
        isinstance(raw, Sequence)
        and len(raw)
        and all(isinstance(one, str | Path) or hasattr(one, "getbands") for one in raw)
    ):
        return torch.from_numpy(np.stack([_one(item, field) for item in raw])).permute(0, 3, 1, 2)
    x = raw if isinstance(raw, Tensor) else torch.as_tensor(np.asarray(raw))
    for shape, order in (
        ((channels, height, width), (0, 1, 2, 3)),
        ((height, width, channels), (0, 3, 1, 2)),
    ):
        if tuple(x.shape) == shape:
            x = x[None]
        if tuple(x.shape[1:]) == shape:
            return x.permute(order)
    if channels == 1 and tuple(x.shape[-2:]) == (height, width) and x.ndim in (2, 3):
        return x.reshape(-1, 1, height, width)
    raise UserError(
        f"images of shape {tuple(x.shape)}", f"(images, {channels}, {height}, {width})", "reshape or resize them"
    )


def _one(item: Any, field: Field) -> NDArray[np.uint8]:
    """A path or a Pillow image as training would have decoded it: (height, width, channels)."""
    import io

    channels, height, width = field.shape
    try:
        if hasattr(item, "getbands"):
            stream = io.BytesIO()
            item.save(stream, "PNG")
            blob = stream.getvalue()
        else:
            blob = Path(item).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {item}: {error.strerror or error}", "an image", "check the path") from None
    found = worker.pixels(blob, width, height, channels)
    if found is None:
        raise UserError(f"{item} is no image that can be read", "a PNG, JPEG, …", "check the file")
    return found
