"""Sound files: what is read, how clips come to one rate and length, which splits are kept, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from thetastar.data.prepare import waves
from thetastar.data.sounds import sounds
from thetastar.defaults import open_stream
from thetastar.errors import UserError

soundfile = pytest.importorskip("soundfile")


def tone(path: Path, pitch: float, rate: int = 8000, seconds: float = 0.5, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(rate * seconds)) / rate)
    soundfile.write(path, np.stack([wave] * channels, 1) if channels > 1 else wave, rate)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(6):
        tone(tmp_path / "low" / f"{number}.wav", 200)
        tone(tmp_path / "high" / f"{number}.flac", 800)
    return tmp_path


def pitch_of(clip: torch.Tensor, rate: int) -> float:
    return float(torch.fft.rfft(clip).abs().argmax() * rate / len(clip))


def test_clips_come_to_one_rate_channel_and_length(files: Path) -> None:
    tone(files / "low" / "fast.wav", 200, rate=16000, seconds=0.25, channels=2)
    (files / "low" / "broken.wav").write_bytes(b"RIFF nothing")
    source = sounds(path=str(files))
    assert source.inputs.shape == (13, 4000)
    schema, columns = source.prepare(np.arange(13))
    assert (schema.input.kind, schema.input.rate, schema.target.names) == ("waveform", 8000, ("high", "low"))
    for clip, label in zip(columns["input"], columns["target"], strict=True):
        heard = clip[: int(clip.abs().gt(1e-4).nonzero().max()) + 1]
        assert pitch_of(heard, 8000) == pytest.approx(800 if label == 0 else 200, abs=5)
    said = " ".join(source.said)
    assert "1 of 14 sound files left out as unreadable: low/broken.wav" in said
    assert "1 of 13 clips resampled to 8,000" in said
    assert "1 of 13 clips with several channels" in said
    assert "1 filled up with silence" in said


def test_resampling_lets_nothing_above_half_the_rate_through() -> None:
    time = np.arange(16000) / 16000
    wave = (np.sin(2 * np.pi * 500 * time) + np.sin(2 * np.pi * 6000 * time)).astype(np.float32)
    out = waves.resampled(wave, 16000, 8000)
    inside = out[500:-500]
    np.testing.assert_allclose(inside, np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)[500:-500], atol=0.02)


def test_seconds_and_rate_by_hand(files: Path) -> None:
    source = sounds(path=str(files), seconds=0.2, rate=4000)
    assert source.inputs.shape == (12, 800)
    assert "12 cut" in " ".join(source.said)


def test_parquet_with_splits_by_file_or_by_group(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    tone(tmp_path / "a.wav", 200)
    blob = (tmp_path / "a.wav").read_bytes()
    for split, count in (("train", 40), ("test", 20)):
        rows = {
            "audio": [{"bytes": blob, "path": f"{n}.wav"} for n in range(count)],
            "label": [n % 2 for n in range(count)],
            "speaker": [f"s{n % 20 // 2}" for n in range(count)],
        }
        (tmp_path / "set").mkdir(exist_ok=True)
        parquet.write_table(pa.table(rows), tmp_path / "set" / f"{split}.parquet")
    given = sounds(path=str(tmp_path / "set")).given
    assert {split: len(rows) for split, rows in given.items()} == {"train": 40, "test": 20}
    stream = open_stream({"name": "sounds", "path": str(tmp_path / "set"), "group": "speaker"})
    speakers = {split: set(stream.source.groups[rows]) for split, rows in stream.rows.items()}
    assert not speakers["train"] & speakers["test"]
    with pytest.raises(UserError, match="has no column 'accent'"):
        sounds(path=str(tmp_path / "set"), group="accent")


def test_bad_input_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    (tmp_path / "high").mkdir()
    with pytest.raises(UserError, match="holds no sounds in sub-folders"):
        sounds(path=str(tmp_path))
    for name in ("low", "high"):
        (tmp_path / name / "a.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match="none of 2 sound files can be read"):
        sounds(path=str(tmp_path))


def test_a_file_is_brought_to_the_length_trained_on(files: Path) -> None:
    source = sounds(path=str(files))
    source.prepare(np.arange(12))
    tone(files / "new.wav", 200, rate=16000, seconds=2.0)
    x = source.restore(source.state()).transform(str(files / "new.wav"))["input"]
    assert x.shape == (1, 4000)
    assert pitch_of(x[0], 8000) == pytest.approx(200, abs=5)
    with pytest.raises(UserError, match="cannot be read as sound"):
        source.transform(str(files / "none.wav"))


def test_folders_and_parquet_of_sounds_are_known_by_what_they_hold(files: Path) -> None:
    assert open_stream(str(files)).schema.input.kind == "waveform"
    (files / "rows").mkdir()
    import pyarrow as pa
    from pyarrow import parquet

    blob = (files / "low" / "0.wav").read_bytes()
    rows = {"audio": [{"bytes": blob, "path": "a.wav"}] * 20, "label": [0, 1] * 10}
    parquet.write_table(pa.table(rows), files / "rows" / "data.parquet")
    for path in (files / "rows", files / "rows" / "data.parquet"):
        assert open_stream(str(path)).schema.target.names == ("0", "1")
