"""One torch thread a worker, data sets found by THETASTAR_DATA, and rows of the mission as markers."""

from __future__ import annotations

import os
from pathlib import Path

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
