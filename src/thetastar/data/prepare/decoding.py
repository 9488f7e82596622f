"""Many images at once, by as many workers as there are cores."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.data.prepare import decode as worker
from thetastar.errors import UserError

CHUNK = 256
WORTH = 3.0  # seconds of decoding that repay starting workers
SECONDS_AN_IMAGE, SECONDS_A_PIXEL = 5e-5, 2e-8  # rough, only to choose

Shape = tuple[int, int, int]  # width, height, channels


def measure_all(blobs: Sequence[bytes]) -> NDArray[np.int64]:
    """(images, 4): width, height, channels and whether there are several frames; zeros where it is no image."""
    shapes = [worker.measure(blobs[number]) for number in range(len(blobs))]
    return np.asarray(shapes, np.int64).reshape(-1, 4)


def decode_all(blobs: Sequence[bytes], shape: Shape, source_pixels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which could be read, (images,), and their pixels, (images, height, width, channels) as bytes.

    Args:
        blobs: files' contents, asked for one by one.
        shape: that all shall have.
        source_pixels: of all images before resizing, by which the work is estimated.
    """
    width, height, channels = shape
    read = np.empty(len(blobs), np.uint8)
    out = np.empty((len(blobs), height, width, channels), np.uint8)
    starts = range(0, len(blobs), CHUNK)
    seconds = SECONDS_AN_IMAGE * len(blobs) + SECONDS_A_PIXEL * source_pixels
    count = min(cores(), len(starts)) if seconds > WORTH else 1
    if count == 1:
        for start in starts:
            part = slice(start, start + CHUNK)
            read[part], out[part] = worker.decode(_take(blobs, start), *shape)
        return read.astype(bool), out
    todo: SimpleQueue[int] = SimpleQueue()
    for start in starts:
        todo.put(start)
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(_feed, todo, blobs, shape, read, out) for _ in range(count)]:
            done.result()
    return read.astype(bool), out


def _take(blobs: Sequence[bytes], start: int) -> list[bytes]:
    return [blobs[number] for number in range(start, min(start + CHUNK, len(blobs)))]


def _feed(todo: SimpleQueue[int], blobs: Sequence[bytes], shape: Shape, read: Any, out: Any) -> None:
    """Start a worker and hand it chunks until none are left; its answers go straight to their place."""
    try:
        with Worker() as decoder:
            while True:
                start = todo.get_nowait()
                part = slice(start, start + CHUNK)
                decoder.decode(_take(blobs, start), shape, read[part], out[part])
    except Empty:
        return


class Worker:
    """A process that decodes what it is handed, for one thread at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", str(Path(worker.__file__))]  # -P: the script's neighbours are no modules
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def decode(self, blobs: Sequence[bytes], shape: Shape, read: Any, out: Any) -> None:
        """Fill `read`, (images,), and `out`, (images, height, width, channels), in place."""
        sink, source = self.process.stdin, self.process.stdout
        assert isinstance(sink, io.BufferedWriter)
        assert isinstance(source, io.BufferedReader)
        try:
            sink.write(worker.request(blobs, *shape))
            sink.flush()
            for place in (read, out):
                if source.readinto(memoryview(place).cast("B")) != place.nbytes:
                    raise BrokenPipeError
        except BrokenPipeError:
            raise UserError("a process that decodes images ended early", "", "free memory and start again") from None

    def close(self) -> None:
        """Its input ends, and with it the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # of one that ended early, which `decode` has reported
                pipe.close()
        self.process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
