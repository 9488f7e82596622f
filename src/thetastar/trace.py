"""What training says while it goes: kept on the device, fetched in one transfer at a flush, written as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.jsonable import strict
from thetastar.protocols import Aux

Row = dict[str, Any]


class Trace:
    """Scalars of each step, waiting on the device."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.columns: dict[str, list[Tensor]] = {}

    def add(self, step: int, move: str, aux: Aux) -> None:
        """Take in what a move said; nothing is read here, so nothing waits for the device."""
        prefix = "" if move == "loss" else f"{move}."
        for name, value in aux.log.items():
            self.columns.setdefault(prefix + name, []).append(value.detach())
        if aux.finite is not None:
            self.steps.append(step)
            self.columns.setdefault("finite", []).append(aux.finite)

    def flush(self) -> Row:
        """Means over the steps since the last flush, and the steps that were "skipped"; empty where there were none."""
        row: Row = {}
        values = {name: column.tolist() for name, column in self._stacked().items()}
        lost = [step for step, taken in zip(self.steps, values.pop("finite", []), strict=False) if not taken]
        self.steps, self.columns = [], {}
        for name, column in values.items():
            good = [value for value in column if math.isfinite(value)]
            row[name] = sum(good) / len(good) if good else math.nan
        if lost:
            row["skipped"] = lost
        return row

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "columns": self._stacked()}

    def _stacked(self) -> dict[str, Tensor]:
        """One tensor a name, so that a single transfer fetches it."""
        return {name: torch.stack([value.reshape(()) for value in column]) for name, column in self.columns.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = list(state["steps"])
        self.columns = {name: list(column.unbind()) for name, column in state["columns"].items()}


def to_json(row: Row) -> str:
    """One line of strict JSON: what is not finite is written as null."""
    return json.dumps(strict(row), allow_nan=False)
