"""Sound files as one array of clips: one rate, one channel and one length for all, chosen and said."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.errors import UserError

ENDINGS = (".wav", ".flac", ".ogg", ".aiff", ".aif")
WHOLE = 0.98  # share of the clips that the length chosen holds whole
LONGEST = 10.0  # seconds that are kept where no length is asked for


@dataclass(frozen=True)
class Waves:
    """The clips that could be read, (kept, samples) in [−1, 1], their numbers and their rate."""

    clips: Tensor
    kept: NDArray[np.int64]
    rate: int
    digest: str


def load(
    blobs: Sequence[bytes], names: Sequence[str], rate: int | None, seconds: float | None, said: list[str]
) -> Waves:
    """Decode all, mean over channels, resample to one rate, cut or pad with silence at the end to one length.

    Args:
        blobs: contents of the files.
        names: of the files, for messages.
        rate: samples a second; None takes the most common one.
        seconds: of all clips; None is what holds 98% of them whole, at most ten.
        said: gets a line for each choice.

    Raises:
        UserError: no file can be read.
    """
    read = [decoded(blob) for blob in blobs]
    kept = [number for number, one in enumerate(read) if one is not None]
    if not kept:
        shown = names[0] if names else "no file"
        raise UserError(f"none of {len(names):,} sound files can be read ({shown}, …)", "WAV or FLAC", "check them")
    if bad := [name for number, name in enumerate(names) if read[number] is None]:
        more = f" and {len(bad) - 10:,} more" if len(bad) > 10 else ""
        said.append(f"{len(bad):,} of {len(names):,} sound files left out as unreadable: {', '.join(bad[:10])}{more}")
    found = [one for one in read if one is not None]
    rates, counts = np.unique([own for _, own in found], return_counts=True)
    rate = rate or int(rates[counts.argmax()])
    if others := sum(own != rate for _, own in found):
        said.append(f"{others:,} of {len(found):,} clips resampled to {rate:,} samples a second")
    if several := sum(wave.ndim > 1 for wave, _ in found):
        said.append(f"{several:,} of {len(found):,} clips with several channels: their mean is taken")
    waves = [resampled(wave.mean(1) if wave.ndim > 1 else wave, own, rate) for wave, own in found]
    lengths = np.asarray([len(wave) for wave in waves])
    chosen = math.ceil(np.quantile(lengths, WHOLE)) if seconds is None else round(seconds * rate)
    samples = min(chosen, round(LONGEST * rate)) if seconds is None else chosen
    if samples < 1:
        raise UserError(f"clips of {samples} samples", "at least one", "raise data.seconds")
    clips = torch.zeros(len(waves), samples)
    for clip, wave in zip(clips, waves, strict=True):
        clip[: len(wave)] = torch.from_numpy(wave[:samples])
    cut = int((lengths > samples).sum())
    padded = int((lengths < samples).sum())
    changes = [f"{cut:,} cut" if cut else "", f"{padded:,} filled up with silence" if padded else ""]
    how = "; ".join(change for change in changes if change) or "as they are"
    said.append(f"{len(waves):,} clips of {samples / rate:.3g} s at {rate:,} samples a second ({how})")
    digest = hashlib.sha256(f"{rate} {tuple(clips.shape)}".encode() + clips.numpy().tobytes()).hexdigest()[:16]
    return Waves(clips, np.asarray(kept, np.int64), rate, digest)


def decoded(blob: bytes) -> tuple[NDArray[np.float32], int] | None:
    """(samples,) or (samples, channels) in [−1, 1], and the rate; None where it is no sound."""
    soundfile = library()
    try:
        wave, rate = soundfile.read(io.BytesIO(blob), dtype="float32")
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    return (wave, int(rate)) if len(wave) and np.isfinite(wave).all() else None


def library() -> Any:
    try:
        import soundfile
    except ImportError:
        do = 'python -m pip install "thetastar[audio]"'
        raise UserError("sound files without the package soundfile", "the extra 'audio'", do) from None
    return soundfile


def resampled(wave: NDArray[np.float32], before: int, after: int) -> NDArray[np.float32]:
    """Band-limited, by a polyphase filter: nothing above half of the smaller rate is left."""
    if before == after:
        return wave
    from scipy.signal import resample_poly

    shared = math.gcd(before, after)
    return resample_poly(wave, after // shared, before // shared).astype(np.float32)
