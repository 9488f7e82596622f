"""Speed and memory under one command, as one table of ratios.

    python -m benchmarks [NAME …] --out benchmarks/results     run all that measure speed, or some
    python -m benchmarks NAME --repeats 21 …                   one of them, with words of its own
    python -m benchmarks --list                                what there is
    python -m benchmarks --table                               the table of what is recorded; nothing runs
    python -m benchmarks --quick                               a rehearsal of a few steps, which measures nothing

Each runs in a process of its own, on a machine that should do nothing else. With --out the results are kept, a file for
each. A ratio above 1 is in favour of what stands first; it is the median over turns, with quartiles. A bar is what a
ratio must reach.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.turns import Line, read, said

ROOT, RESULTS = Path(__file__).parents[1], Path(__file__).with_name("results")
SPEED = {  # what is run when none is named, with the words of a rehearsal
    "throughput": "--tasks mnist_mlp --batches 512 --steps 1 --repeats 1 --peers",
    "decoding": "--models mlp --rows 96 --batch 16 --steps 1 --repeats 1",
    "first_step": "--repeats 1 --peers",
    "memory": "--tasks mnist_mlp --steps 1 --repeats 1 --peers",
    "streaming": "--rows 600 --repeats 1",
    "growth": "--largest 2 --repeats 1",
    "members": "--sizes small --members 3 --steps 1 --repeats 1",
    "augmentation": "--repeats 1",
    "architectures": "--models resnet50 --size 32 --batch 2 --steps 1 --repeats 1",
    "pretraining": "--tasks cifar10_cnn --batches 64 --steps 1 --repeats 1",
}
APART = (
    "soak",
    "precision",
    "tables",
    "tuning",
    "reduced",
    "few_labels",
    "cross_modal",
    "probes",
    "gpu",
)  # other questions


def about(name: str) -> str:
    return (importlib.import_module(f"benchmarks.{name}").__doc__ or "").partition("\n")[0]


def listed() -> str:
    width = max(map(len, (*SPEED, *APART)))
    lines = [f"{name:{width}s}  {about(name)}" for name in SPEED]
    apart = [f"{name:{width}s}  {about(name)}" for name in APART]
    return "\n".join([*lines, "", "not of speed, by python -m benchmarks.NAME:", *apart])


def lines_of(name: str, found: Mapping[str, Any]) -> list[Line]:
    """The lines of one benchmark's file."""
    if "cases" in found:
        return [line for case in read(found) for line in case.lines()]
    own = getattr(importlib.import_module(f"benchmarks.{name}"), "lines", None)
    return own(found) if own else []


def table(files: Mapping[str, Path]) -> str:
    """All ratios that the files hold; how seconds grow stands below."""
    lines: list[Line] = []
    below: list[str] = []
    for name, file in files.items():
        found = json.loads(file.read_text(encoding="utf-8"))
        if "growth" in found:
            below += importlib.import_module("benchmarks.growth").told(found["growth"])
        lines += lines_of(name, found)
    return "\n".join([said(lines), *below])


def run(name: str, file: Path, words: Sequence[str]) -> bool:
    print(f"\n{name}: {about(name)}", flush=True)
    whole = [sys.executable, "-m", f"benchmarks.{name}", *words, "--out", str(file)]
    return subprocess.run(whole, cwd=ROOT, check=False).returncode == 0


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SPEED))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    options, more = parser.parse_known_args(words)
    if unknown := set(options.names) - set(SPEED):
        parser.error(f"unknown {', '.join(sorted(unknown))}; expected some of {', '.join(SPEED)}")
    if more and len(options.names) != 1:
        parser.error(f"unknown {' '.join(more)}: name one benchmark to give it words of its own")
    if options.quick and options.out:
        parser.error("a rehearsal measures nothing: leave --quick or --out out")
    if options.list:
        print(listed())
        return 0
    names = options.names or list(SPEED)
    with tempfile.TemporaryDirectory() as place:
        folder: Path = (options.out or (RESULTS if options.table else Path(place))).resolve()
        files = {name: folder / f"{name}.json" for name in names}
        failed: list[str] = []
        if not options.table:
            folder.mkdir(parents=True, exist_ok=True)
            own = {name: [*(SPEED[name].split() if options.quick else ()), *more] for name in names}
            failed = [name for name in names if not run(name, files[name], own[name])]
        present = {name: file for name, file in files.items() if name not in failed and file.is_file()}
        print("\n" + table(present))
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
