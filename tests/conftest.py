"""One torch thread a worker, data sets found by THETASTAR_DATA, and rows of the mission as markers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; a test that needs it skips with the reason where it is absent."""
    for part in os.environ.get("THETASTAR_DATA", "").split(":"):
        if part and Path(part).is_dir():
            return Path(part).resolve()
    pytest.skip("THETASTAR_DATA names no folder")


class Said(NamedTuple):
    """What a command line came to: its exit code, and what stood on the two streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def theta(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs a command line in an empty folder."""
    from thetastar import cli

    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Said:
        capfd.readouterr()
        code = cli.main([str(word) for word in words])
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run
