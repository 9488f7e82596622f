"""Tests of decoded images keep their cache to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, used instead of the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("THETASTAR_CACHE", str(folder))
    return folder
