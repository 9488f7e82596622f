"""Images from compressed bytes to pixels. Run as a script it is a worker: requests on stdin, pixels on stdout.

Threads do not help here: for small images most of the time is Python's own, which only one thread may have at once. The
file imports nothing of the package, so that a worker starts fast and without the caller's `__main__`.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
)
ORIENTATION = 0x0112  # the EXIF entry by which cameras say how they were held
HEADER = struct.Struct("<4q")  # images, width, height, channels; then the images' lengths, then the images


def measure(blob: bytes) -> tuple[int, int, int, int]:
    """Width, height, channels (1 grey, 3 colour) and whether there are several frames; zeros where it is no image."""
    try:
        with Image.open(io.BytesIO(blob)) as image:
            width, height = image.size
            if image.getexif().get(ORIENTATION, 1) >= 5:  # lies on its side
                width, height = height, width
            return width, height, 1 if image.mode in GREY else 3, int(getattr(image, "is_animated", False))
    except UNREADABLE:
        return 0, 0, 0, 0


def pixels(blob: bytes, width: int, height: int, channels: int) -> NDArray[np.uint8] | None:
    """(height, width, channels) of the first frame, upright, transparency on white; None where the file is broken."""
    try:
        with Image.open(io.BytesIO(blob)) as opened:
            image = flat(ImageOps.exif_transpose(opened)).convert("L" if channels == 1 else "RGB")
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(height, width, channels)
    except UNREADABLE:
        return None


def flat(image: Image.Image) -> Image.Image:
    """Without transparency and with at most 8 bits a channel."""
    if image.mode.startswith("I"):
        deep = np.asarray(image).clip(0, 65535).astype(np.uint32)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))  # 65535 = 255 · 257
    if image.mode == "F":
        return Image.fromarray(_bytes(np.nan_to_num(np.asarray(image))))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _bytes(x: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers without bounds as bytes: white is 1, 255 or 65535, the least that holds them all, else their maximum."""
    white = next((top for top in (1.0, 255.0, 65535.0) if x.max() <= top), float(x.max()))
    return np.round(x.clip(0) * (255 / white)).astype(np.uint8)


def decode(blobs: Sequence[bytes], width: int, height: int, channels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which could be read, (images,), and their pixels, (images, height, width, channels); zeros for the others."""
    read = np.zeros(len(blobs), np.uint8)
    out = np.zeros((len(blobs), height, width, channels), np.uint8)
    for number, blob in enumerate(blobs):
        found = pixels(blob, width, height, channels)
        if found is not None:
            read[number], out[number] = 1, found
    return read, out


def request(blobs: Sequence[bytes], width: int, height: int, channels: int) -> bytes:
    lengths = np.asarray([len(blob) for blob in blobs], "<i8")
    return b"".join([HEADER.pack(len(blobs), width, height, channels), lengths.tobytes(), *blobs])


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while head := source.read(HEADER.size):
        count, width, height, channels = HEADER.unpack(head)
        lengths = np.frombuffer(source.read(8 * count), "<i8")
        read, out = decode([source.read(int(length)) for length in lengths], width, height, channels)
        sink.write(read.tobytes())
        sink.write(out.data)
        sink.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
