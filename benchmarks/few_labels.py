"""Every semi-supervised method against its supervised twin with few labels: same net, changes, averaging and steps.

    python -m benchmarks.few_labels FOLDER [--only mnist …] [--methods …] [--seeds 5] [--out FILE]

FOLDER holds mnist and cifar10-jpeg. A job has some thousand training images, a few of them with labels, and the whole
test split. Seed s draws the labels that are kept, the first weights and all else. All settings stand in this file; they
were chosen on valid, with a seed that does not judge (100). Nothing is tuned in a run.

The twin is the same run without the unlabelled images. It and all methods see the labelled ones under the strong
changes, so that no method wins by changes that the twin had to do without; unlabelled images are seen under weak ones,
and second views of FixMatch under strong ones. The test split of a run is opened once, when all runs are trained.
Differences are paired by seed and test image; Holm's correction is over the methods of a job. Runs are kept in --work
and continued; a job is written to --out when it is done. --steps 20 rehearses, measures nothing and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetastar.defaults import completed, open_stream
from thetastar.hardware import provenance
from thetastar.outer import statistics
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import load, train

CHOICES = 2_000  # images of the training split, beside those that are learnt from, to choose settings by
CROP = {"name": "crop", "share": 0.07}
CUTOUT = {"name": "cutout", "share": 0.4}
FLIP = {"name": "flip"}
TWIN = "supervised"
METHODS: dict[str, dict[str, Any]] = {  # in a run of so few epochs an old target holds back: less weight, later
    TWIN: {"name": "supervised"},
    "pseudo_labels": {"name": "pseudo_labels", "weight": 1.0},
    "entropy_minimisation": {"name": "entropy_minimisation"},
    "pi_model": {"name": "pi_model"},
    "temporal_ensembling": {"name": "temporal_ensembling", "weight": 2.0, "ramp": 0.8},
    "mean_teacher": {"name": "mean_teacher", "momentum": 0.95, "weight": 3.0, "ramp": 0.8},
    "vat": {"name": "vat"},
    "mixmatch": {"name": "mixmatch"},
    "fixmatch": {"name": "fixmatch"},
}


@dataclass(frozen=True)
class Job:
    """Data, labels, net and length of a run."""

    about: str
    folder: str
    images: int
    labels: int
    model: Mapping[str, Any]
    steps: int
    weak: Sequence[Mapping[str, Any]]
    rate: float = 2e-3
    batch_size: int = 64
    labelled_batch: int = 32
    ema: float = 0.99

    @property
    def strong(self) -> list[Mapping[str, Any]]:
        return [*self.weak, {"name": "rand_augment"}, CUTOUT]


SMALL = {"name": "cnn", "channels": [16, 32], "hidden": 64}
NARROW = {"name": "resnet9", "width": 8}
JOBS = {
    "mnist": Job("MNIST, 100 labels", "mnist", 5_000, 100, SMALL, 1_200, [CROP]),
    "cifar10_250": Job("CIFAR-10 (JPEG), 250 labels", "cifar10-jpeg", 10_000, 250, NARROW, 1_500, [FLIP, CROP]),
    "cifar10_1000": Job("CIFAR-10 (JPEG), 1,000 labels", "cifar10-jpeg", 10_000, 1_000, NARROW, 1_500, [FLIP, CROP]),
}


def subset(job: Job, folder: Path, work: Path) -> Path:
    """A folder with a random part of the training images, others as valid, and the whole test split."""
    from pyarrow import parquet

    place = work / f"{job.folder}-{job.images}"
    if not (place / "test.parquet").is_file():
        place.mkdir(parents=True, exist_ok=True)
        entry = parquet.read_table(folder / job.folder / "train.parquet")
        order = np.random.default_rng(0).permutation(len(entry))
        for name, rows in (("train", order[: job.images]), ("valid", order[job.images :][:CHOICES])):
            parquet.write_table(entry.take(np.sort(rows)), place / f"{name}.parquet")
        (place / "test.parquet.part").write_bytes((folder / job.folder / "test.parquet").read_bytes())
        (place / "test.parquet.part").rename(place / "test.parquet")
    return place.resolve()


def recipe_of(job: Job, name: str, seed: int, place: Path, steps: int | None = None) -> Recipe:
    """The run of a method with a seed."""
    data: dict[str, Any] = {
        "name": "few_labels",
        "source": {"name": "parquet_images", "path": str(place), "title": job.about},
        "labels": job.labels,
        "augment": list(job.weak),
        "labelled_augment": job.strong,
        "strong": job.strong if name == "fixmatch" else None,
        "batch_size": job.batch_size,
        "labelled_batch": job.labelled_batch,
        "label_seed": seed,
    }
    return Recipe(
        data=data,
        model=dict(job.model),
        method=METHODS[name],
        algorithm={"name": "adamw", "lr": job.rate, "ema": job.ema},
        measures=["accuracy"],
        budget={"steps": steps or job.steps},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )


def trained(
    job: Job, work: Path, place: Path, names: Sequence[str], seeds: int, steps: int | None
) -> dict[str, list[Path]]:
    """The folders of all runs: every method's first seed, then every second."""
    paths: dict[str, list[Path]] = {name: [] for name in names}
    for seed in range(seeds):
        for name in names:
            path = work / name.replace(" ", "_") / f"seed-{seed}"
            paths[name].append(path)
            if not (path / "provenance.json").is_file() or not Run.open(path).finished:
                recipe = recipe_of(job, name, seed, place, steps)
                stream = open_stream(recipe.data)
                star = train(completed(recipe, stream), path, stream=stream)
                valid, seconds = star.measures["valid"]["accuracy"], star.facts["seconds"]
                print(f"{job.about}: {name}, seed {seed}: {valid:.4f} on valid, {seconds:.0f} s", flush=True)
    return paths


def tested(path: Path, streams: dict[str, Stream]) -> np.ndarray[Any, Any]:
    """Right or wrong of each test image; the split is opened where it was not yet."""
    if "test" not in Run.open(path).measures:
        recipe = Run.open(path).recipe
        key = json.dumps(recipe.data, sort_keys=True)
        if key not in streams:
            streams.clear()
            streams[key] = open_stream(recipe.data)
        load(path, streams[key]).test()
    return Run.open(path).columns("test")["accuracy"].astype(np.float64)


def judged(columns: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Every method against the twin, by (seeds, images) of right and wrong of each."""
    found: dict[str, Any] = {}
    for name in columns:
        if name != TWIN:
            d = columns[name] - columns[TWIN]
            spread = statistics.fixed_spread(d, statistics.is_binary(d))
            found[name] = {"difference": float(d.mean()), "half_width": float(spread.half())}
            found[name] |= {"per_seed": d.mean(1).tolist(), "p": float(spread.p(d.mean()))}
    adjusted = statistics.holm(np.array([entry["p"] for entry in found.values()]))
    for entry, p in zip(found.values(), adjusted.tolist(), strict=True):
        decided = p <= statistics.ALPHA
        entry |= {"p_holm": p, "verdict": ("wins" if entry["difference"] > 0 else "loses") if decided else "open"}
    return found


def one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A job: all runs trained, then all tested, then judged."""
    job = JOBS[name]
    rehearsed = f"-{options.steps}-steps" if options.steps else ""
    place, work = subset(job, options.folder, options.work), options.work / f"{name}{rehearsed}"
    names = [TWIN, *(options.methods or [each for each in METHODS if each != TWIN])]
    paths = trained(job, work, place, names, options.seeds, options.steps)
    streams: dict[str, Stream] = {}
    columns = {each: np.stack([tested(paths[each][seed], streams) for seed in range(options.seeds)]) for each in names}
    cells = {
        each: {
            "accuracy": columns[each].mean(1).tolist(),
            "mean": float(columns[each].mean()),
            "seconds": [Run.open(path).measures["facts"]["seconds"] for path in paths[each]],
            "recipe": Run.open(paths[each][0]).recipe.to_yaml().replace(str(options.work.resolve()), "WORK"),
        }
        for each in names
    }
    told = {key: value for key, value in asdict(job).items() if key not in ("about", "folder")}
    terms = {"settings": told, "methods": {each: METHODS[each] for each in names}}
    here = {**provenance(), "command": f"python -m benchmarks.few_labels FOLDER --only {name}"}
    seeds = list(range(options.seeds))
    return {
        "job": name,
        "about": job.about,
        "seeds": seeds,
        "terms": terms,
        "cells": cells,
        "methods": judged(columns),
        "provenance": here,
    }


def table(entry: Mapping[str, Any]) -> str:
    """A row a method: accuracy on test, and by how much it is ahead of the twin."""
    lines = [
        f"{entry['about']}: {len(entry['seeds'])} seeds, accuracy on test, differences to {TWIN}",
        f"{'':22s}{'mean':>8s}{'lowest':>8s}{'highest':>8s}{'difference':>12s}{'95%':>8s}{'p (Holm)':>10s}  verdict",
    ]
    for name, cell in sorted(entry["cells"].items(), key=lambda item: -item[1]["mean"]):
        row = f"{name:22s}{cell['mean']:8.2%}{min(cell['accuracy']):8.2%}{max(cell['accuracy']):8.2%}"
        if name in entry["methods"]:
            found = entry["methods"][name]
            row += f"{100 * found['difference']:+12.2f}{'±' + format(100 * found['half_width'], '.2f'):>8s}"
            row += f"{found['p_holm']:10.2g}  {found['verdict']}"
        lines.append(row)
    wins = sum(found["verdict"] == "wins" for found in entry["methods"].values())
    return "\n".join([*lines, f"{wins} of {len(entry['methods'])} methods win"])


def write(out: Path, entry: dict[str, Any]) -> None:
    """The entry among those that were written before."""
    before = json.loads(out.read_text())["results"] if out.is_file() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"results": {**before, entry["job"]: entry}}, indent=1, ensure_ascii=False) + "\n")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--methods", nargs="+", choices=[name for name in METHODS if name != TWIN])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="rehearse so many steps")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-few-labels"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/few_labels.json"))
    options = parser.parse_args(words)
    os.environ["THETASTAR_DATA"] = str(options.folder.resolve())
    for name in options.only:
        entry = one(name, options)
        print(table(entry), flush=True)
        if not options.steps:
            write(options.out, entry)


if __name__ == "__main__":
    main()
