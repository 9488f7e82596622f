"""Several runs of one recipe that differ in what is asked about: trained in a folder, then tested, each once.

A series is a folder: series.json (what was asked) and runs/<name> (plain run folders). It is continued from what is
found there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thetastar.defaults import completed, open_for, open_stream
from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.functional.keys import seeded
from thetastar.hardware import provenance
from thetastar.outer.folder import Slot, read
from thetastar.outer.learners import WHERE
from thetastar.outer.progress import Overall
from thetastar.outer.statistics import Array
from thetastar.protocols import Split, Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.snapshot import write_atomic
from thetastar.star import Star, load, train
from thetastar.watch import Watch

FORMAT = 1
KINDS = {"category": "classes", "number": "numbers"}


@dataclass(frozen=True)
class Piece:
    """One run: its place below runs/, and its recipe, whose data spec is complete."""

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Answers:
    """What a tested run says.

    Attributes:
        target, said: (examples,) classes, or (examples, outputs) numbers.
        probabilities: (examples, classes); None where there are none.
        train: mean error on the rows it learnt from, as it was given them: 0-1 loss, or squared error.
    """

    target: Array
    said: Array
    probabilities: Array | None
    train: float

    @property
    def errors(self) -> Array:
        """0-1 loss or squared error of every example. Shapes: (examples,)."""
        return errors(self.said, self.target)


def errors(said: Array, target: Array) -> Array:
    if target.ndim == 1:
        return (said != target).astype(np.float64)
    return np.square(said.astype(np.float64) - target).sum(-1)


def question(recipe: Recipe) -> dict[str, Any]:
    """What makes a series of this recipe this one and no other, as plain values."""
    entry = recipe.to_mapping()
    return {**entry, "engine": {key: value for key, value in entry["engine"].items() if key not in WHERE}}


def ready(recipe: Recipe, stream: Stream) -> tuple[Recipe, Recipe]:
    """The complete recipe, and what pieces are made from: theirs choose batch size and budget by their own rows."""
    whole = completed(recipe, stream)
    return whole, whole.replace(data=stream.spec, budget=recipe.budget)  # type: ignore[attr-defined]


def opened(recipe: Recipe) -> Stream:
    """The data of a recipe, which must draw training rows and hold a test split of classes or numbers."""
    stream = open_for(recipe)
    if "draw" not in getattr(stream, "spec", {}):
        raise UserError("data that draw no training rows", "rows held in memory", "choose another data set")
    target = stream.schema.target
    if target is None or target.kind not in KINDS:
        raise UserError(f"errors of a {stream.schema.task} task", "classes or numbers", "choose another target")
    if stream.size("test") < 2:
        raise UserError("the data have no test split", "a test split", "set data.test to a share such as 0.2")
    return stream


class Series:
    """Runs in flight.

    Args:
        kind: what is asked, such as "decompose".
        asked: the same for whoever goes on with it.
    """

    def __init__(self, kind: str, folder: Path, pieces: Sequence[Piece], asked: dict[str, Any], watch: Watch) -> None:
        self.kind, self.folder, self.pieces, self.asked, self.watch = kind, folder, list(pieces), asked, watch

    def answers(self) -> list[Answers]:
        """Train all, then open the test split of each, in the order of the pieces."""
        self.begin()
        progress = Overall(self.watch, len(self.pieces))
        for piece in self.pieces:
            self.train(piece, progress)
        return [self.test(piece) for piece in self.pieces]

    def begin(self) -> None:
        """Write what is asked, or refuse a folder that holds something else."""
        entry = json.loads(json.dumps(strict({"format": FORMAT, "kind": self.kind, **self.asked})))
        file = self.folder / "series.json"
        if file.is_file():
            before = read(file, *entry)
            if different := [key for key, value in entry.items() if before[key] != value]:
                got = f"{self.folder} holds another series ({', '.join(different)})"
                raise UserError(got, "the same question", "choose another --out")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.is_file() and any(self.folder.iterdir()):
                raise UserError(f"{self.folder} is not empty", "a new folder", "choose another --out")
            self.write("series.json", {**entry, "provenance": provenance()})
        except OSError as error:
            reason = f"cannot write {self.folder}: {error.strerror}"
            raise UserError(reason, "a folder one can write", "choose another --out") from None

    def slot(self, piece: Piece) -> Slot:
        return Slot(self.folder / "runs" / piece.name)

    def train(self, piece: Piece, progress: Overall) -> None:
        if not self.slot(piece).finished:
            stream = open_stream(piece.recipe.data)
            watch = progress.part(1.0, piece.name)
            train(completed(piece.recipe, stream), self.slot(piece).path, stream=stream, watch=watch)
        progress.finish(1.0)

    def test(self, piece: Piece) -> Answers:
        """The answers of a run; one that was tested before is read, not tested again."""
        place = self.slot(piece).path
        run = Run.open(place)
        if not (place / "answers.json").is_file():
            star = load(place, open_stream(piece.recipe.data))
            star.refuse_other(star.stream)
            device = torch.device(star.facts.get("device", "cpu"))
            star.program.to(device)
            star.stream.to(device)
            star.test()
            told = said_of(star, "test")
            run.write_columns("answers", told)
            given = said_of(star, "train")
            value = errors(given["said"].numpy(), given["target"].numpy()).mean()
            run.write_json("answers.json", {"train": float(value)})  # last: with it the answers are whole
        found = run.columns("answers")
        probabilities = found.get("probabilities")
        return Answers(found["target"], found["said"], probabilities, run.read_json("answers.json")["train"])

    def write(self, name: str, value: dict[str, Any]) -> None:
        write_atomic(self.folder / name, (json.dumps(strict(value), indent=1, ensure_ascii=False) + "\n").encode())


@torch.no_grad()
def said_of(star: Star, split: Split) -> dict[str, Tensor]:
    """Targets and what the star says of them, in the order in which a split is stored."""
    stream, parts = star.stream, []
    target = stream.schema.target
    assert target is not None
    wants = frozenset({"prediction", "probabilities"} if target.kind == "category" else {"prediction"})
    star.program.eval()
    rows = stream.rows[split]  # type: ignore[attr-defined]
    for start in range(0, len(rows), star.rows_at_once):
        index = torch.from_numpy(rows[start : start + star.rows_at_once]).to(star.device)
        batch = stream.gather(index)  # type: ignore[attr-defined]
        with seeded(star.recipe.seed, "outputs", start):
            said = star.program.method.predict(star.program.f, batch, wants, star.clock)
        told = {"target": batch["target"], "said": said["prediction"]}
        if target.kind == "number":
            told = {name: value.reshape(len(index), -1).double() for name, value in told.items()}
        elif "probabilities" in said:
            told["probabilities"] = said["probabilities"].float()
        parts.append({name: value.cpu() for name, value in told.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
