"""What a run costs beside its quality: time, memory and the speed of predictions."""

from __future__ import annotations

import ctypes
import mmap
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from thetastar.functional.nested import rows_of
from thetastar.hardware import peak_memory
from thetastar.protocols import Split
from thetastar.star import Star

_statm = Path("/proc/self/statm")


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Attributes:
        train_seconds: in updates and in what follows them; looks at valid are left out.
        predict_ms: milliseconds for 1,000 rows, in batches of the training size, the fastest of three passes.
        memory: bytes, see `Memory`.
        parameters: numbers that gradients or closed forms choose; 0 for learners that remember examples or grow trees.
    """

    train_seconds: float
    predict_ms: float
    memory: int
    parameters: int


class Memory:
    """How far the memory of this process rose above its level when the block began.

    On a GPU, the rise of what tensors held on it. Elsewhere resident memory, sampled every 5 ms (where the system does
    not show it, the rise of its high-water mark). Data and libraries were there before and do not count; what the
    allocator kept of earlier runs is used again without a rise, so a small figure is a lower bound.
    """

    rise = 0

    def __enter__(self) -> Memory:
        release = getattr(ctypes.CDLL(None), "malloc_trim", None) if _statm.exists() else None
        if release:
            release(0)  # what earlier runs left behind goes back to the system, so that this run's rise shows
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.before = self._now()
        self._highest, self._over = self.before, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        if _statm.exists() and not torch.cuda.is_available():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.rise = max(self._highest, self._now()) - self.before

    def _sample(self) -> None:
        while not self._over.wait(0.005):
            self._highest = max(self._highest, self._now())

    def _now(self) -> int:
        if torch.cuda.is_available() or not _statm.exists():
            return peak_memory()
        return int(_statm.read_bytes().split()[1]) * mmap.PAGESIZE


def prediction_ms(star: Star, rows: int = 1000) -> float:
    """Milliseconds to predict 1,000 rows of valid (of train where there is none), the fastest of three passes."""
    split: Split = "valid" if star.stream.size("valid") else "train"
    wants = frozenset({"prediction"})
    batches, count = [], 0
    for batch in star.stream.batches(split, star.clock):
        batches.append(batch)
        count += rows_of(batch["input"])
        if count >= rows:
            break

    def once() -> float:
        began = time.perf_counter()
        for batch in batches:
            star.program.method.predict(star.program.f, batch, wants, star.clock)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began

    star.program.eval()
    with torch.no_grad():
        return min(once() for _ in range(3)) * 1e6 / count
