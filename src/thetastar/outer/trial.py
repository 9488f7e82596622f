"""One run of a comparison: trained and measured, later tested once, then read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thetastar.errors import UserError
from thetastar.outer.cost import Cost, Memory, prediction_ms
from thetastar.outer.learners import COLUMN_OF
from thetastar.outer.noise import noisy_quality
from thetastar.outer.statistics import Array
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import load, train
from thetastar.watch import Watch


@dataclass(frozen=True)
class Trial:
    """What a tested run says: values on test, the column that is compared, quality under noise, cost, curve."""

    test: dict[str, float]
    column: Array
    noisy: float | None
    cost: dict[str, Any]
    curve: list[list[float]]
    losses: list[list[float]]


def train_trial(recipe: Recipe, path: Path, stream: Stream, watch: Watch) -> None:
    """Train into a run folder and write what it cost beside it."""
    with Memory() as memory:
        star = train(recipe, path, stream=stream, watch=watch)
    cost = Cost(star.facts["seconds"], prediction_ms(star), memory.rise, star.parameters)
    Run(path).write_json("cost.json", dataclasses.asdict(cost))


def open_test(path: Path, stream: Stream) -> None:
    """Test a finished run, clean and under noise."""
    star = load(path, stream)
    device = torch.device(star.facts.get("device", "cpu"))
    star.program.to(device)
    stream.to(device)
    star.test()
    Run(path).write_json("robustness.json", {star.recipe.measures[0]["name"]: noisy_quality(star, stream)})


def load_trial(path: Path, measures: Sequence[Mapping[str, Any]]) -> Trial:
    """A tested run, from its files."""
    run = Run.open(path)
    primary: str = measures[0]["name"]
    # files say null where a value is not finite
    values = {name: math.nan if value is None else value for name, value in run.measures["test"].items()}
    compared = COLUMN_OF.get(primary) or primary
    column = run.columns("test").get(compared)
    if column is None:
        raise UserError(
            f"{primary} has no per-example values to compare", "a measure that is a mean", "put another one first"
        )
    column = column.reshape(len(column), -1).mean(1).astype("float64")
    if not (math.isfinite(values.get(primary, math.nan)) and math.isfinite(column.mean())):
        raise UserError(f"{primary} on test is not finite", "predictions that are numbers", "lower the learning rate")
    shown = [
        measure["name"]
        for measure in measures
        if measure["name"] in values and measure["name"] != COLUMN_OF.get(primary)
    ]
    cost = run.read_json("cost.json") if (path / "cost.json").is_file() else {}
    return Trial(
        {name: values[name] for name in shown},
        column,
        run.read_json("robustness.json").get(primary),
        cost,
        curve_of(run, primary),
        [[row["step"], row["seconds"], row["loss"]] for row in run.trace() if row.get("loss") is not None],
    )


def curve_of(run: Run, measure: str) -> list[list[float]]:
    """[[step, value on valid], …] while training, and where it ended."""
    name = f"valid.{measure}"
    curve = [[row["step"], row[name]] for row in run.trace() if row.get(name) is not None]
    end = run.measures.get("valid", {}).get(measure)
    return [*curve, [run.measures["facts"]["steps"], end]] if curve and end is not None else curve
