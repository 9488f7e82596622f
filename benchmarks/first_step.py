"""Seconds from the shell to the end of a first step: whole commands, each a new process.

    python -m benchmarks.first_step [--repeats 7] [--out FILE]

Ours is `theta fit digits --steps 1`, which also splits, prepares, judges on valid and writes the run folder. The others
import their library, read the same digits, build the same net and take one step, and do nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def step(name: str) -> None:
    """One step of a contender, in this process; nothing is imported that it does not need."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    from benchmarks import loops

    data = load_digits()
    x = torch.from_numpy(data.images).float()[:, None] / 16
    y = torch.from_numpy(data.target).long()
    f = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    if name == "bare":
        loops.bare(f, x, y, 64)(1)
    elif name == "loader":
        loops.loader(f, loops.Examples(x, y), 64)(1)
    else:
        importlib.import_module("benchmarks.peers").PEERS[name](f, x, y, 64)(1)


def command(name: str) -> Callable[[], None]:
    def run() -> None:
        with tempfile.TemporaryDirectory() as place:
            words = [sys.executable, "-m", "benchmarks.first_step", "--step", name]
            if name == "ours":
                theta = "import sys; from thetastar.cli import main; sys.exit(main())"
                fit = ["fit", "digits", "--model", "mlp", "--steps", "1", "--out", f"{place}/run"]
                words = [sys.executable, "-c", theta, *fit]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")

    return run


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", metavar="NAME", help="take one step, as a contender, and measure nothing")
    parser.add_argument("--peers", nargs="*", metavar="PEER", help="by default those that are installed")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    if options.step:
        step(options.step)
        return
    from benchmarks import peers
    from benchmarks.turns import Case, Pair, in_turns, said, timed, written
    from thetastar.hardware import provenance

    others = ["bare", "loader", *(peers.installed() if options.peers is None else options.peers)]
    acts = {name: timed(command(name)) for name in ("ours", *others)}
    for act in acts.values():
        act()  # files come into the system's memory
    taken = in_turns(acts, options.repeats)
    case = Case("shell to first step, digits", taken, [Pair("ours", name) for name in others])
    print(said(case.lines()))
    if options.out:
        written(options.out, [case], {**provenance(), **peers.versions()})


if __name__ == "__main__":
    main()
