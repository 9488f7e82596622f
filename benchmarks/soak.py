"""Many short runs in one process: memory, file handles and threads must not grow.

    python -m benchmarks.soak [--runs 2000] [--out FILE]

Recipes take turns: nets of several kinds, a teacher, populations, data from disk with workers, run folders that are
written, loaded and asked. After every round of them the process is looked at: resident memory, open files, threads,
processes, and tensors and other objects that are alive. Growth is the slope of a straight line through the second half
of the rounds, as caches fill in the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thetastar import star
from thetastar.hardware import provenance
from thetastar.recipe import Recipe

MIB = 2**20
MOST = {"resident": 16 * 1024, "files": 0.001, "threads": 0.001, "children": 0.001, "tensors": 0.01}  # a run
Looked = dict[str, float]


def streamed(place: Path) -> dict[str, Any]:
    """Images on disk, decoded by a worker."""
    from benchmarks.decoding import jpegs, saved

    file = saved(place, *jpegs(96), group=32)
    return {"name": "streamed", "path": str(file), "batch_size": 16, "buffer": 32, "workers": 1}


def recipes(place: Path) -> list[Recipe]:
    """What takes turns; a few steps each."""
    mlp = {"name": "mlp", "widths": [16]}
    kinds: list[dict[str, Any]] = [
        {"data": "digits", "model": mlp},
        {"data": "digits", "model": {"name": "cnn", "channels": [4, 8], "hidden": 16}},
        {"data": "digits", "model": "softmax", "algorithm": "sgd"},
        {"data": "blobs", "model": mlp, "method": {"name": "population", "members": 3, "execution": "stacked"}},
        {"data": "blobs", "model": mlp, "method": {"name": "population", "members": 3, "execution": "threads"}},
        {"data": "digits", "model": mlp, "method": "mixup"},
        {"data": {"name": "few_labels", "source": "digits"}, "model": mlp, "method": "mean_teacher"},
        {"data": "blobs", "model": "decision_tree"},
        {"data": streamed(place), "model": mlp},
    ]
    return [Recipe(budget={"steps": 3}, engine={"evaluations": 1}, **kind) for kind in kinds]


def one(recipe: Recipe, seed: int, place: Path) -> None:
    """Train, keep, load and ask."""
    learnt = "tree" in str(recipe.model)  # absorbs, and takes no number of steps
    recipe = recipe.replace(seed=seed, budget={} if learnt else recipe.budget)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        trained = star.train(recipe, Path(folder, "run"))
        loaded = star.load(Path(folder, "run"))
        shape = trained.schema.input.shape  # type: ignore[union-attr]
        raw = np.zeros((2, *shape), np.float32)
        assert np.array_equal(loaded.predict(raw), trained.predict(raw))


def looked() -> Looked:
    """What this process holds; cycles are collected first."""
    gc.collect()
    alive = gc.get_objects()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    tasks = Path("/proc/self/task")
    return {
        "resident": float(pages * os.sysconf("SC_PAGE_SIZE")),
        "files": float(len(os.listdir("/proc/self/fd"))),
        "threads": float(len(list(tasks.iterdir()))),
        "python_threads": float(threading.active_count()),
        "children": float(sum(len((task / "children").read_text().split()) for task in tasks.iterdir())),
        "tensors": float(sum(issubclass(type(thing), torch.Tensor) for thing in alive)),
        "objects": float(len(alive)),
    }


def soaked(runs: int, place: Path, tell: Callable[[int, Looked], None]) -> list[tuple[int, Looked]]:
    """After every round of all recipes: how many runs there have been, and what the process holds."""
    kinds, found = recipes(place), []
    for number in range(1, runs + 1):
        one(kinds[number % len(kinds)], number, place)
        if number % len(kinds) == 0:
            found.append((number, looked()))
            tell(*found[-1])
    return found


def slopes(found: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Growth a run in the second half."""
    half = found[len(found) // 2 :]
    runs = [float(number) for number, _ in half]
    names = found[0][1]
    return {name: statistics.linear_regression(runs, [seen[name] for _, seen in half]).slope for name in names}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)

    def tell(number: int, seen: Mapping[str, float]) -> None:
        if number % 90 == 0:
            counts = ", ".join(f"{value:,.0f} {name}" for name, value in seen.items() if name != "resident")
            print(f"{number} runs: {seen['resident'] / MIB:.0f} MiB, {counts}", flush=True)

    with tempfile.TemporaryDirectory() as place:
        found = soaked(options.runs, Path(place), tell)
    growth = slopes(found)
    grown = [name for name, most in MOST.items() if growth[name] > most]
    print("growth a run: " + ", ".join(f"{name} {value:.4g}" for name, value in growth.items()))
    print(f"grows: {', '.join(grown)}" if grown else "nothing grows")
    if options.out:
        rounds = [{"runs": number, **seen} for number, seen in found]
        result = {"runs": options.runs, "growth": growth, "grown": grown, "rounds": rounds, "provenance": provenance()}
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
