"""The run folder: plain files that say what was run, how it went and what came out.

recipe.yaml         the complete recipe; runs unchanged
schema.json         what goes in and out, and the preparation that was fitted on train
trace.jsonl         one row a flush
measures.json       final values by split, and how often the test split was opened
model.safetensors   the Program: f and the method's own state
state/step-…/       the checkpoint to resume from
learning_rate.*     the range test, where it chose the rate
columns/            per-example results, for paired tests, and their hashes
provenance.json     versions, commit, data hash, hardware, precision, time
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
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
# what a process leaves that was killed before the run was one
BEGUN = ("columns", "recipe.yaml", "recipe.yaml.part", "provenance.json.part")
TESTED = ("learning_rate.json", "learning_rate.svg")  # before the first step, where the rate was to be found
SEALED = ("recipe.yaml", "schema.json", "model.safetensors")
RESTORE = "restore it from a copy or train again"


class Run:
    """A folder of results. Every file is written whole or not at all, so the folder is readable at any moment."""

    def __init__(self, path: Path, made: Sequence[Path] = ()) -> None:
        self.path = path
        self.made = made  # the folders above it that were made for it, the innermost first

    @classmethod
    def create(cls, path: Path, recipe: Recipe | None = None) -> Run:
        """A new run; refuses a folder that holds something else. Provenance comes last: without it there is no run."""
        made = [parent for parent in path.parents if not parent.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(entry.name not in BEGUN for entry in path.iterdir()):
                raise UserError(f"{path} is not empty", "a new folder", "choose another --out or resume with --resume")
            (path / "columns").mkdir(exist_ok=True)
        except OSError as error:
            reason = f"cannot write {path}: {error.strerror}"
            raise UserError(reason, "a folder one can write", "choose another --out") from None
        run = cls(path, made)
        about: dict[str, Any] = {"format": FORMAT, "status": "started", "started": now()}
        if recipe is not None:
            run.write_recipe(recipe)
            about["recipe"] = recipe.to_mapping()
        run.write_json("provenance.json", about)
        return run

    def discard(self) -> None:
        """Take back what `create` made, where nothing has been learnt yet."""
        if any(entry.name not in (*BEGUN, *TESTED, "provenance.json") for entry in self.path.iterdir()):
            return
        shutil.rmtree(self.path)
        for parent in self.made:
            parent.rmdir()

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run, finished or not."""
        if not path.exists():
            raise UserError(f"no run folder {path}", "a folder written by theta fit", "see `theta runs`")
        run = cls(path)
        if not (path / "provenance.json").is_file():
            missing = f"{path} is no run folder: provenance.json is missing"
            raise UserError(missing, "a folder written by theta fit", "see `theta runs`")
        form = run.provenance.get("format")
        if not isinstance(form, int):
            raise UserError(f"{path / 'provenance.json'} is damaged", "the format of the run", RESTORE)
        if form > FORMAT:
            raise UserError(f"{path} has format {form!r}", f"at most {FORMAT}", "update thetastar")
        return run

    # --- JSON ------------------------------------------------------------------------------------------------------

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(strict(value), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(self.path / name, f"{text}\n".encode())

    def read_json(self, name: str) -> dict[str, Any]:
        data = self.read(name)
        try:
            value: Any = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UserError(f"{self.path / name} is damaged", "JSON", RESTORE)
        return cast(dict[str, Any], value)

    def read(self, name: str) -> bytes:
        """A file of the run; one that was sealed must still be what it was."""
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:
            whole = name != "provenance.json" and self.finished
            got = f"{self.path} has lost {name}" if whole else f"{self.path} is half written: {name} is missing"
            do = RESTORE if whole else f"resume it: theta fit --resume {self.path}"
            raise UserError(got, "a complete run", do) from None
        if name in SEALED and self.finished:
            recorded: dict[str, str] = self.provenance.get("sha256", {})
            if recorded.get(name) != hashlib.sha256(data).hexdigest():
                damaged = f"{self.path / name} is damaged: its hash is not the recorded one"
                raise UserError(damaged, "the file as it was written", RESTORE)
        return data

    @property
    def provenance(self) -> dict[str, Any]:
        return self.read_json("provenance.json")

    def note(self, **facts: Any) -> None:
        """Add facts to provenance."""
        self.write_json("provenance.json", {**self.provenance, **facts})

    @property
    def measures(self) -> dict[str, Any]:
        values = self.read_json("measures.json")
        if not all(isinstance(value, dict) for value in values.values()):
            raise UserError(f"{self.path / 'measures.json'} is damaged", "measures by split", RESTORE)
        return values

    @property
    def finished(self) -> bool:
        return self.provenance.get("status") == "finished"

    # --- recipe ----------------------------------------------------------------------------------------------------

    def write_recipe(self, recipe: Recipe) -> None:
        write_atomic(self.path / "recipe.yaml", recipe.to_yaml().encode())

    @property
    def recipe(self) -> Recipe:
        text = self.read("recipe.yaml").decode("utf-8", errors="replace")
        return Recipe.from_yaml(text, where=str(self.path / "recipe.yaml"))

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

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(checkpoints(self.path / "state"))

    def latest(self) -> dict[str, Any] | None:
        found = checkpoints(self.path / "state")
        return load_checkpoint(found[-1]) if found else None

    def write_model(self, tensors: Mapping[str, Tensor]) -> None:
        """The last file of a run: with it the run is finished, and what must not change is sealed by hashes."""
        save_tensors(self.path / "model.safetensors", tensors)
        files = [self.path / name for name in SEALED]
        hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
        self.note(sha256=hashes, status="finished", finished=now())

    def model(self) -> dict[str, Tensor]:
        if not self.finished:
            unfinished = f"{self.path} has no finished model"
            raise UserError(unfinished, "a finished run", f"resume it: theta fit --resume {self.path}")
        self.read("model.safetensors")
        return load_tensors(self.path / "model.safetensors")

    # --- per-example columns -----------------------------------------------------------------------------------------

    def write_columns(self, split: str, columns: Mapping[str, Tensor]) -> None:
        hashes: dict[str, str] = {}
        for name, column in columns.items():
            buffer = io.BytesIO()
            np.save(buffer, column.cpu().numpy(), allow_pickle=False)
            write_atomic(self.path / "columns" / f"{split}.{name}.npy", buffer.getvalue())
            hashes[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
        self.write_json(f"columns/{split}.json", hashes)

    def columns(self, split: str) -> dict[str, np.ndarray[Any, Any]]:
        """What verdicts rest on, as it was written: name → (examples, …)."""
        seal = f"columns/{split}.json"
        hashes = self.read_json(seal) if (self.path / seal).is_file() else {}
        return {name: read_column(self.path / "columns" / f"{split}.{name}.npy", hashes[name]) for name in hashes}


def read_column(path: Path, digest: str) -> np.ndarray[Any, Any]:
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        damaged = f"{path} is damaged: its hash is not the recorded one"
        raise UserError(damaged, "the file as it was written", f"write it again: theta test {path.parent.parent}")
    return np.load(io.BytesIO(data), allow_pickle=False)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
