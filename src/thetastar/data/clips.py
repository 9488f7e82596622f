"""Clips of sound given in Python: what sets of sounds are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thetastar.data.arrays import arrays
from thetastar.data.prepare.waves import decoded, resampled
from thetastar.errors import UserError
from thetastar.protocols import Batch, Field, Schema, Source
from thetastar.registry import Count

__all__ = ["clips", "tones"]


class clips(arrays):
    """Waveforms of one length with a target each.

    Args:
        inputs: (rows, samples), in [−1, 1].
        targets: (rows,) classes or numbers; None for no target.
        rate: samples a second.
        names: of the classes.
        given: row numbers of the splits, where they are fixed.
        groups: one label a row: rows of a group stay in one split.
        title: what messages call the data.
        digest: a hash of the content, where one is known already.
    """

    def __init__(
        self,
        *,
        inputs: Any,
        targets: Any = None,
        rate: Count,
        names: Any = (),
        given: Any = None,
        groups: Any = None,
        title: str = "clips",
        digest: str | None = None,
    ) -> None:
        super().__init__(
            inputs=inputs, targets=targets, kind="vector", names=names, given=given, title=title, digest=digest
        )
        if self.inputs.ndim != 2:
            raise UserError(f"clips of shape {tuple(self.inputs.shape)}", "(rows, samples)", "take one channel")
        self.rate, self.groups = rate, groups

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        schema, columns = super().prepare(train)
        self.schema = Schema(Field("waveform", (self.inputs.shape[1],), rate=self.rate), schema.target)
        return self.schema, columns

    def transform(self, raw: Any) -> Batch:
        """Arrays of the length trained on, or paths of sound files, which are brought to it; one or several."""
        several = raw if isinstance(raw, Sequence) and not isinstance(raw, str) else [raw]
        if len(several) and all(isinstance(one, str | Path) for one in several):
            return {"input": torch.stack([self._read(Path(one)) for one in several])}
        return super().transform(raw)

    def _read(self, path: Path) -> Tensor:
        field = self.schema.input
        assert isinstance(field, Field)
        assert field.rate is not None
        found = decoded(path.read_bytes()) if path.is_file() else None
        if found is None:
            raise UserError(f"{path} cannot be read as sound", "a WAV or FLAC file", "check the path")
        wave, rate = found
        wave = torch.from_numpy(resampled(wave.mean(1) if wave.ndim > 1 else wave, rate, field.rate))
        clip = torch.zeros(field.shape)
        clip[: len(wave)] = wave[: len(clip)]
        return clip


def tones(*, rows: Count = 240, rate: Count = 1000, samples: Count = 500, seed: int = 0) -> Source:
    """Three timbres at any pitch, a toy: a pure tone, one with its octave, one that beats; with noise.

    Args:
        rows: clips.
        rate: samples a second.
        samples: of a clip.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    kinds = np.arange(rows) % 3
    pitch, phase = 60 * 2 ** random.random((rows, 1)), 2 * np.pi * random.random((rows, 1))  # Hz, within an octave
    angle = 2 * np.pi * pitch * np.arange(samples) / rate + phase
    octave = np.where(kinds[:, None] == 1, np.sin(2 * angle), 0)
    beating = np.where(kinds[:, None] == 2, 1 + np.sin(angle / 8), 1)
    x = 0.3 * beating * np.sin(angle) + 0.3 * octave + 0.02 * random.standard_normal((rows, samples))
    return clips(
        inputs=x.astype(np.float32), targets=kinds, rate=rate, names=("pure", "octave", "beating"), title="tones"
    )
