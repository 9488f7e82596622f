"""Everything that waits for a GPU, under one command.

    python -m benchmarks.gpu [NAME …] [--minutes 9]      run what is unmeasured; the same command goes on
    python -m benchmarks.gpu --list                      what is measured and what is not
    python -m benchmarks.gpu --pack FOLDER [--limit 56]  the data that it needs, in parts of so many MiB
    python -m benchmarks.gpu --steps 3 --device cpu      a rehearsal of a few steps, which measures nothing

The jobs are in gpu.yaml beside this file. A comparison is kept in --work and continued there, to the same bits; what is
finished is written to benchmarks/results/gpu-NAME.json with the recipes, seeds, commit and hardware. Where the data do
not travel with the code, copy the parts of --pack over one another and name that folder in THETASTAR_DATA.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.tuning import opened
from thetastar import cli
from thetastar.data.named import located
from thetastar.defaults import completed, open_for
from thetastar.hardware import provenance
from thetastar.outer.folder import load_verdict
from thetastar.outer.published import standing
from thetastar.outer.verdict import Row, Verdict
from thetastar.recipe import Recipe, parse_yaml
from thetastar.star import train
from thetastar.terminal.words import recipe_file

JOBS = Path(__file__).with_name("gpu.yaml")
RESULTS = Path(__file__).with_name("results")
MIB = 2**20


class OutOfTime(BaseException):
    """The minutes are over. Not an error of a learner, and not a wish to see what is finished: no test split opens."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One entry of gpu.yaml: words for `theta compare`, a recipe to train with several seeds, or a module."""

    name: str
    about: str
    compare: str = ""
    fit: str = ""
    seeds: int = 3
    python: str = ""
    rehearse: str = ""
    data: list[str] = field(default_factory=list[str])
    bar: Any = None

    def result(self, out: Path) -> Path:
        return out / f"gpu-{self.name}.json"


def jobs(file: Path = JOBS) -> list[Job]:
    return [Job(name=name, **entry) for name, entry in parse_yaml(file.read_text(encoding="utf-8")).items()]


def present() -> bool:
    return torch.cuda.is_available()


def run(job: Job, options: argparse.Namespace) -> dict[str, Any] | None:
    """What the job found; None where it failed, which its own words have said."""
    place = options.work / job.name
    rehearsed = options.steps is not None
    began = time.time()
    if job.python:
        place.mkdir(parents=True, exist_ok=True)
        module, file = importlib.import_module(job.python), place / "found.json"
        module.main([*(job.rehearse.split() if rehearsed else ()), "--out", str(file)])
        found = {"found": json.loads(file.read_text())}
    else:
        found = trained(job, place, options) if job.fit else compared(job, place, options)
    if found is None:
        return None
    here = {**provenance(), "command": f"python -m benchmarks.gpu {job.name}"}
    took = round(time.time() - began, 1)
    return {"name": job.name, "about": job.about, **found, "seconds_of_last_call": took, "provenance": here}


def compared(job: Job, place: Path, options: argparse.Namespace) -> dict[str, Any] | None:
    """A comparison, from its folder; None where no learner finished."""
    words = ["compare", *job.compare.split(), "--out", str(place), f"engine.device={options.device}"]
    if options.steps is not None:  # of an option that is given twice the last counts
        words += ["--steps", str(options.steps), "--trials", "0", "--seeds", "1", "data.batch_size=4"]
    if cli.main(words):
        return None
    verdict = load_verdict(place)
    terms = {"seeds": verdict.question.seeds, "trials": verdict.question.trials, "said": verdict.sentences()}
    if job.bar == "published":
        bars = [(row.quality, row.published["value"]) for row in verdict.rows if row.published]
    else:
        bars = [(row.test.get(name), value) for row in verdict.rows for name, value in (job.bar or {}).items()]
    return {"learners": {row.name: learner(row, verdict) for row in verdict.ranked}, **terms, **reached(job, bars)}


def trained(job: Job, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A recipe with several seeds; when all are trained, the test split of each run is opened once."""
    recipe = Recipe.from_yaml(recipe_file(Path(job.fit))).override([f"engine.device={options.device}"])
    seeds = range(job.seeds)
    if options.steps is not None:
        recipe = recipe.replace(budget={"steps": options.steps})
        recipe, seeds = recipe.override(["data.batch_size=4", *job.rehearse.split()]), range(1)
    stream = open_for(recipe)
    paths = [place / f"seed-{seed}" for seed in seeds]
    stars = [train(completed(recipe.replace(seed=seed), stream), paths[seed], stream=stream) for seed in seeds]
    values = [{m["name"]: opened(path, m["name"]) for m in stars[0].recipe.measures} for path in paths]
    test = {name: [value[name] for value in values] for name in values[0]}
    bars = [(statistics.mean(test[name]), value) for name, value in (job.bar or {}).items()]
    seconds = [star.facts["seconds"] for star in stars]
    return {
        "test": test,
        "train_seconds": seconds,
        "recipe": recipe.to_yaml(),
        "seeds": len(paths),
        **reached(job, bars),
    }


def learner(row: Row, verdict: Verdict) -> dict[str, Any]:
    """One learner: its quality on test with the 95% interval, seconds of a training, and the recipe behind it."""
    entry = {name: getattr(row, name) for name in ("quality", "low", "high", "per_seed", "test", "parameters")}
    losses = [seed[-1][2] for seed in row.losses if seed]
    beside = {"published": row.published, "standing": standing(row)} if row.published else {}
    return {
        "measure": verdict.question.measure,
        **entry,
        "training_loss": losses,
        "train_seconds": row.train_seconds,
        "memory": row.memory,
        "tuned": row.tuned,
        **beside,
        "recipe": row.recipe,
    }


def reached(job: Job, bars: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    """Whether all of ours are at or above what the job must reach; {} where it has no bar."""
    good = all(ours is not None and ours >= wanted for ours, wanted in bars)
    return {} if job.bar is None else {"reached": good, "bar": job.bar}


@contextlib.contextmanager
def within(minutes: float | None) -> Iterator[None]:
    """Leave with OutOfTime when the minutes are over; what is kept so far lets the same command go on."""

    def leave(*_: object) -> None:
        raise OutOfTime

    if minutes is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def listed(known: Sequence[Job], out: Path) -> list[str]:
    """A line a job: measured when and on what, or unmeasured."""
    lines: list[str] = []
    for job in known:
        state = "unmeasured"
        if job.result(out).is_file():
            entry = json.loads(job.result(out).read_text())
            state = f"measured {entry['provenance']['started'][:10]} on {entry['provenance']['gpu']}"
            state += {True: ", bar reached", False: ", bar missed"}.get(entry.get("reached"), "")
        lines.append(f"{job.name:14s} {state}: {job.about}")
    return lines


def pack(wanted: Sequence[Job], folder: Path, limit: float) -> list[Path]:
    """The data of the jobs, copied in parts of at most `limit` MiB; a file that is larger is a part of its own."""
    names = dict.fromkeys(name for job in wanted for name in job.data)
    files = [file for name in names for file in sorted(located(name, "*.parquet").iterdir()) if file.is_file()]
    parts: list[tuple[Path, int]] = []
    for file in sorted(files, key=lambda file: -file.stat().st_size):  # large ones first leave small ones to fill up
        size = file.stat().st_size
        place = next((number for number, (_, held) in enumerate(parts) if held + size <= limit * MIB), len(parts))
        if place == len(parts):
            parts.append((folder / f"part-{place + 1}", 0))
        target = parts[place][0] / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
        parts[place] = (parts[place][0], parts[place][1] + size)
    return [part for part, _ in parts]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = jobs()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(job.name for job in known))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--pack", type=Path, metavar="FOLDER")
    parser.add_argument("--limit", type=float, default=56.0, help="MiB of a part")
    parser.add_argument("--minutes", type=float, help="of this call; the next goes on")
    parser.add_argument("--steps", type=int, help="rehearse so many steps, and measure nothing")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(words)
    unknown = set(options.names) - {job.name for job in known}
    if unknown:
        parser.error(f"unknown {', '.join(sorted(unknown))}; expected some of {', '.join(job.name for job in known)}")
    wanted = [job for job in known if not options.names or job.name in options.names]
    if options.list:
        print("\n".join(listed(wanted, options.out)))
        return 0
    left = wanted if options.names else [job for job in wanted if not job.result(options.out).is_file()]
    if options.pack:
        parts = pack(left, options.pack, options.limit)
        print(f"{len(parts)} parts: {', '.join(map(str, parts))}")
        return 0
    if options.steps is None and not present():
        print(f"no GPU here; unmeasured: {', '.join(job.name for job in left)}; rehearse with --steps 3 --device cpu")
        return 1
    options.work = options.work or Path("runs") / ("gpu" if options.steps is None else "gpu-rehearsal")
    return measure(left, options)


def measure(left: Sequence[Job], options: argparse.Namespace) -> int:
    """Run the jobs in turn; a result is written only by a full run on a GPU."""
    failed: list[str] = []
    try:
        with within(options.minutes):
            for job in left:
                print(f"{job.name}: {job.about}", flush=True)
                found = run(job, options)
                if found is None:
                    failed.append(job.name)
                elif options.steps is None:
                    options.out.mkdir(parents=True, exist_ok=True)
                    job.result(options.out).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    except OutOfTime:
        print(f"{options.minutes:g} minutes are over; the same command goes on", flush=True)
        return 3
    print(f"failed: {', '.join(failed)}" if failed else "rehearsed" if options.steps is not None else "measured")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
