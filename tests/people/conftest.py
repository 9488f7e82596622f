"""What is asked of every data set of people: the task is said, a comparison ends, predictions repeat the test score."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from thetastar import cli
from thetastar.defaults import default_model, open_stream
from thetastar.run import Run


@pytest.fixture
def theta(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command line that must succeed, in an empty folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THETASTAR_CACHE", str(tmp_path / "cache"))

    def run(*words: str | Path) -> str:
        capfd.readouterr()
        code = cli.main([str(word) for word in words])
        said = capfd.readouterr()
        assert code == 0, said.err
        return said.out

    return run


@pytest.fixture
def repeats(theta: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Compares learners on data, predicts the held-out rows of a run from a file, and recomputes its test score."""

    def check(
        data: str,
        *words: str,
        task: str,
        truth: Any,
        write: Callable[[Any], Path | list[Path]],
        models: Sequence[str] = (),
    ) -> dict[str, Any]:
        """
        Args:
            data: name or path as on the command line; with `words`.
            task: how a line that is said of it must begin.
            truth: (rows,) or (rows, outputs): the answer of every row, as predictions give it.
            write: rows by their numbers → a file that holds them as the data did, or a file each.
            models: beside the default one.
        """
        cheap = list(models) or ["knn"]
        verdict = json.loads(
            theta("compare", data, *words, "--models", ",".join([*cheap, default(data, words)]), *BRIEF, "--json")
        )
        assert any(line.startswith(task) for line in verdict["question"]["said"]), verdict["question"]["said"]
        assert [row["state"] for row in verdict["rows"]] == ["finished"] * len(verdict["rows"]), verdict["rows"]
        assert len(verdict["pairs"]) == 1
        assert verdict["sentences"]
        for row in verdict["rows"]:
            first, run = (
                Run.open(Path(verdict["report"]).parent / "runs" / row["name"] / f"seed-{seed}") for seed in (0, 1)
            )
            test = open_stream(run.recipe.data).rows["test"]  # type: ignore[attr-defined]
            files = write(test)
            printed = pd.concat(
                pd.read_csv(io.StringIO(theta("predict", run.path, file)), dtype=str, keep_default_na=False)
                for file in (files if isinstance(files, list) else [files])
            )
            assert len(printed) == len(test)
            answers = np.asarray(truth).reshape(len(truth), -1)
            units = answers[open_stream(first.recipe.data).rows["train"]]  # type: ignore[attr-defined]
            name, value = score(printed, answers[test], units, task)
            assert value == pytest.approx(run.measures["test"][name], rel=1e-6, abs=1e-6), row["name"]
        return verdict

    return check


BRIEF = ("--seeds", "2", "--epochs", "2", "engine.device=cpu")


def default(data: str, words: Sequence[str]) -> str:
    """The model that is the data's own."""
    spec: dict[str, Any] = {"name": data}
    options = iter(words)
    for word in options:
        if word.startswith("--"):
            spec[word[2:].replace("-", "_")] = next(options)
        else:
            key, _, value = word.removeprefix("data.").partition("=")
            spec[key] = value
    return default_model(open_stream(spec).schema)


def score(printed: pd.DataFrame, right: np.ndarray[Any, Any], units: Any, task: str) -> tuple[str, float]:
    """The measure that a comparison judges by, of what is printed, in float64.

    Root mean squared error of a number; of several, the mean square in units of the deviation of the training rows of
    the first split; else the share of rows of which all is right.
    """
    found = printed.filter(regex="^prediction").to_numpy(str)  # without what tells rows apart, such as a file's name
    if not task.startswith("regression"):
        return "accuracy", float((found == right.astype(str)).all(1).mean())
    squares = (found.astype(np.float32).astype(float) - right) ** 2  # printed with the digits that tell float32 apart
    if right.shape[1] == 1:
        return "rmse", float(np.sqrt(squares.mean()))
    return "mse", float((squares / units.std(0) ** 2).mean())
