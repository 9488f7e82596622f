"""Tables with several numbers, or several labels, a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

pytestmark = pytest.mark.shows("P1")

Check = Callable[..., dict[str, Any]]


def held(frame: pd.DataFrame, place: Path) -> Callable[[Any], Path]:
    def write(rows: Any) -> Path:
        frame.iloc[rows].to_csv(place / "held.csv", index=False)
        return place / "held.csv"

    return write


def test_linnerud_has_three_numbers(repeats: Check, tmp_path: Path) -> None:
    """Twenty men: three exercises, from which weight, waist and pulse are to be told."""
    bunch = datasets.load_linnerud(as_frame=True)
    bunch.frame.to_csv(tmp_path / "linnerud.csv", index=False)
    repeats(
        "linnerud.csv",
        *("--target", "Weight,Waist,Pulse"),
        task="regression of 3 numbers",
        truth=bunch.target,
        write=held(bunch.data, tmp_path),
    )


@pytest.mark.parametrize("kind", ["columns", "marks"])
def test_several_labels_a_row(kind: str, repeats: Check, tmp_path: Path) -> None:
    """Wines that are strong, pale or neither: a column of yes and no each, or words with ; between them."""
    data = datasets.load_wine(as_frame=True).data
    strong, pale = data.pop("alcohol") > 13, data.pop("color_intensity") < 4
    if kind == "columns":
        target = "strong,pale"
        frame = data.assign(strong=np.where(strong, "yes", "no"), pale=np.where(pale, "yes", "no"))
        truth, count = np.stack([strong, pale], 1), 2
    else:
        target = "notes"
        words = np.select([strong & pale, strong, pale], ["strong; pale", "strong", "pale"], "plain")
        frame = data.assign(notes=words)
        truth, count = np.stack([pale, ~strong & ~pale, strong], 1), 3  # by the alphabet
    frame.to_csv(tmp_path / "wine.csv", index=False)
    repeats(
        "wine.csv",
        *("--target", target),
        task=f"multi-label classification into {count} labels",
        truth=truth.astype(int),
        write=held(data, tmp_path),
    )
