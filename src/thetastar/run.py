"""The run folder: plain files that say what was run, how it went and what came out.

recipe.yaml         the complete recipe; runs unchanged
schema.json         what goes in and out, and the preparation that was fitted on train
trace.jsonl         one row a flush
measures.json       final values by split, and how often the test split was opened
model.safetensors   the Program: f and the method's own state
state/step-…/       the checkpoint to resume from
columns/*.npy       per-example results, for paired tests
provenance.json     versions, commit, data hash, hardware, precision, time
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.snapshot import (
    checkpoints,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
    save_tensors,
    write_atomic,
)
from thetastar.trace import Row, to_json

FORMAT = 1


class Run:
    """A folder of results. Every file is written whole or not at all, so the folder is readable at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Run:
        """A new, empty run; refuses a folder that holds something else."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UserError(f"{path} is not empty", "a new folder", "choose another --out or resume with --resume")
            (path / "columns").mkdir()
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}", "a folder one can write", "choose another --out"
            ) from None
        run = cls(path)
        run.write_json("provenance.json", {"format": FORMAT, "status": "started"})
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run, finished or not."""
        if not path.exists():
            raise UserError(f"no run folder {path}", "a folder written by theta fit", "see `theta runs`")
        run = cls(path)
        if not (path / "provenance.json").is_file():
            raise UserError(
                f"{path} is no run folder: provenance.json is missing",
                "a folder written by theta fit",
                "see `theta runs`",
            )
        form = run.provenance.get("format", FORMAT)
        if form > FORMAT:
            raise UserError(f"{path} has format {form}", f"at most {FORMAT}", "update thetastar")
        return run

    # --- JSON ------------------------------------------------------------------------------------------------------

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        write_atomic(self.path / name, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is half written: {name} is missing",
                "a complete run",
                f"resume it: theta fit --resume {self.path}",
            ) from None
        except ValueError:
            raise UserError(f"{self.path / name} is damaged", "JSON", "restore it from a copy or train again") from None

    @property
    def provenance(self) -> dict[str, Any]:
        return self.read_json("provenance.json")

    def note(self, **facts: Any) -> None:
        """Add facts to provenance."""
        self.write_json("provenance.json", {**self.provenance, **facts})

    @property
    def measures(self) -> dict[str, Any]:
        return self.read_json("measures.json")

    @property
    def finished(self) -> bool:
        return self.provenance.get("status") == "finished"

    # --- recipe ----------------------------------------------------------------------------------------------------

    def write_recipe(self, recipe: Recipe) -> None:
        write_atomic(self.path / "recipe.yaml", recipe.to_yaml().encode())

    @property
    def recipe(self) -> Recipe:
        if not (self.path / "recipe.yaml").is_file():
            raise UserError(
                f"{self.path} is half written: recipe.yaml is missing", "a run with a recipe", "train again"
            )
        return Recipe.from_yaml(self.path / "recipe.yaml")

    # --- trace -----------------------------------------------------------------------------------------------------

    def append(self, row: Row) -> None:
        with (self.path / "trace.jsonl").open("a", encoding="utf-8") as file:
            file.write(to_json(row) + "\n")

    def trace(self) -> list[Row]:
        path = self.path / "trace.jsonl"
        if not path.is_file():
            return []
        rows: list[Row] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break  # the line that a killed process was writing
        return rows

    def trace_length(self) -> int:
        path = self.path / "trace.jsonl"
        return path.stat().st_size if path.is_file() else 0

    def cut_trace(self, length: int) -> None:
        """Forget what was traced after a checkpoint."""
        path = self.path / "trace.jsonl"
        if path.is_file():
            with path.open("r+b") as file:
                file.truncate(length)

    # --- tensors ---------------------------------------------------------------------------------------------------

    def checkpoint(self, step: int, tree: Mapping[str, Any]) -> None:
        save_checkpoint(self.path / "state", f"step-{step:09d}", tree)

    def latest(self) -> dict[str, Any] | None:
        found = checkpoints(self.path / "state")
        return load_checkpoint(found[-1]) if found else None

    def write_model(self, tensors: Mapping[str, Tensor]) -> None:
        digest = save_tensors(self.path / "model.safetensors", tensors)
        self.note(model_sha256=digest, status="finished", finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def model(self) -> dict[str, Tensor]:
        if not self.finished or not (self.path / "model.safetensors").is_file():
            raise UserError(
                f"{self.path} has no finished model", "a finished run", f"resume it: theta fit --resume {self.path}"
            )
        return load_tensors(self.path / "model.safetensors", self.provenance.get("model_sha256"))

    # --- per-example columns -----------------------------------------------------------------------------------------

    def write_columns(self, split: str, columns: Mapping[str, Tensor]) -> None:
        for name, column in columns.items():
            np.save(self.path / "columns" / f"{split}.{name}.npy", column.cpu().numpy(), allow_pickle=False)

    def columns(self, split: str) -> dict[str, np.ndarray[Any, Any]]:
        found = sorted((self.path / "columns").glob(f"{split}.*.npy"))
        return {path.name[len(split) + 1 : -4]: np.load(path, allow_pickle=False) for path in found}
