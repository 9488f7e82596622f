"""The default settings beside tuned ones on six data sets, by paired seeds on test rows that no choice has seen.

    python -m benchmarks.tuning FOLDER [--only digits …] [--trials 60] [--seeds 5] [--jobs 1]

FOLDER holds mnist, cifar10-jpeg and tables. `theta fit DATA` with nothing else is the default; TPE trials tune it on
valid. Both are then trained with the same fresh seeds, and only when all are trained is the test split of each run
opened, once. Everything goes on from what is found in --work, so it can be done in pieces; each data set is written to
--out as soon as it is done, beside those that were done before.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from thetastar.defaults import completed
from thetastar.hardware import provenance
from thetastar.outer.optimism import gain
from thetastar.outer.plan import plan
from thetastar.outer.study import Study, Terms
from thetastar.outer.trying import rebatched
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import load, train
from thetastar.watch import Watch

NAMES = ("digits", "mnist", "cifar10", "adult", "housing", "breast_cancer")
SUBSET = 10_000  # of CIFAR-10's training images
FIRST = 101  # of the seeds that judge; the search has used 0 and those right after it


class Lines(Watch):
    """Says where a search stands, a line a trial."""

    def __init__(self, name: str) -> None:
        self.name, self.label = name, ""

    def row(self, row: dict[str, Any]) -> None:
        if row.get("run", "") != self.label:
            self.label = row["run"]
            print(f"{self.name}: {self.label}", flush=True)

    def say(self, line: str) -> None:
        print(f"{self.name}: {line}", flush=True)


def data_of(name: str, folder: Path, work: Path) -> Any:
    """The data as a recipe names them; of CIFAR-10 a random 10,000 training images, and all test images."""
    if name != "cifar10":
        return name
    from pyarrow import parquet

    place = work / "cifar10-subset"
    place.mkdir(parents=True, exist_ok=True)
    source = folder / "cifar10-jpeg"
    if not (place / "train.parquet").is_file():
        entry = parquet.read_table(source / "train.parquet")
        rows = np.sort(np.random.default_rng(0).permutation(len(entry))[:SUBSET])
        parquet.write_table(entry.take(rows), place / "train.parquet.part")
        (place / "train.parquet.part").rename(place / "train.parquet")
        (place / "test.parquet").write_bytes((source / "test.parquet").read_bytes())
    return {"name": "parquet_images", "path": str(place.resolve()), "title": "CIFAR-10 (JPEG), 10,000 images"}


def searched(name: str, options: argparse.Namespace) -> Study:
    """The default of a data set, tuned on valid."""
    terms = Terms(trials=options.trials, jobs=options.jobs, fresh=3)
    study = plan(Recipe(data=data_of(name, options.folder, options.work)), options.work / name / "study", terms)
    study.begin()
    study.run(Lines(name))
    study.write_best()
    return study


def trained(study: Study, work: Path, seeds: int) -> dict[str, list[Path]]:
    """Both recipes with each seed, as run folders."""
    assert study.best is not None
    found: dict[str, list[Path]] = {"default": [], "tuned": []}
    for seed in range(FIRST, FIRST + seeds):
        for kind, recipe in (("default", study.default), ("tuned", study.recipe(study.best.number))):
            stream = rebatched(study.stream, recipe.data) if recipe.data != study.default.data else study.stream
            path = work / kind / f"{study.best.number if kind == 'tuned' else 0}-seed-{seed}"
            train(completed(recipe.replace(seed=seed), stream), path, stream=stream)
            found[kind].append(path)
            print(f"{study.folder.parent.name}: {kind}, seed {seed} trained", flush=True)
    return found


def opened(path: Path, measure: str) -> float:
    """The value on test; the split is opened where it was not yet."""
    if "test" not in Run.open(path).measures:
        load(path).test()
    return float(Run.open(path).measures["test"][measure])


def summary(name: str, measure: str, higher: bool, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Means, tuned − default with its interval, and whether the default is near enough.

    Near enough is within 1 point of a share, or within 3% of an error.
    """
    found = gain(pairs)
    assert found is not None
    behind = found.difference if higher else -found.difference
    within = behind <= 0.01 if higher else found.default <= 1.03 * found.tuned
    return {
        "data": name,
        "measure": measure,
        "default": found.default,
        "tuned": found.tuned,
        "tuned_minus_default": found.difference,
        "half_width": found.half,
        "tuned_at_least_default": behind >= 0,
        "default_near_enough": bool(within),
    }


def one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    study = searched(name, options)
    best = study.best
    assert best is not None
    paths = trained(study, options.work / name, options.seeds)
    values = {kind: [opened(path, study.measure) for path in places] for kind, places in paths.items()}
    pairs = list(zip(values["default"], values["tuned"], strict=True))
    return {
        **summary(name, study.measure, study.higher, pairs),
        "seeds": list(range(FIRST, FIRST + options.seeds)),
        "test": values,
        "trials": len(study.trials),
        "states": {state: sum(t.state == state for t in study.trials) for state in ("finished", "pruned", "failed")},
        "best_on_valid": best.value,
        "default_on_valid": study.trials[0].value,
        "settings": best.values,
        "searched": {label: space.described() for label, space in study.searched.items()},
        "importance": study.importance(),
        "openings": [len(load(path).facts["test_openings"]) for places in paths.values() for path in places],
        "recipe": {key: value for key, value in study.default.to_mapping().items() if key != "data"},
        "provenance": {**provenance(), "command": f"python -m benchmarks.tuning FOLDER --only {name}"},
    }


def write(out: Path, entry: dict[str, Any]) -> None:
    """The entry among those that were written before, in the order of the names."""
    before = json.loads(out.read_text())["results"] if out.is_file() else {}
    results = {**before, entry["data"]: entry}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"results": {name: results[name] for name in NAMES if name in results}}, indent=1) + "\n")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-tuning"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tuning.json"))
    options = parser.parse_args(words)
    os.environ["THETASTAR_DATA"] = str(options.folder.resolve())
    for name in options.only:
        entry = one(name, options)
        write(options.out, entry)
        print("{data}: default {default:.6g}, tuned {tuned:.6g} on test".format(**entry), flush=True)


if __name__ == "__main__":
    main()
