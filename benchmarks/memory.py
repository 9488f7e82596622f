"""Peak memory of a training beside loops and peers: each contender in a process of its own.

    python -m benchmarks.memory [--tasks …] [--repeats 3] [--out FILE]

Counted is what a training takes beyond libraries and raw data: its net, what it makes of the data, gradients, the
state of the rule, and activations. On a CPU that is the highest resident size less the size before, as Linux has them;
on a GPU the most that was allocated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks import peers
from benchmarks.tasks import TASKS, prepared
from benchmarks.throughput import contenders
from benchmarks.turns import Case, Pair, in_turns, said, written
from thetastar.hardware import choose_device, provenance

ROOT = Path(__file__).parents[1]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MIB = 2**20


def resident(field: str) -> int:
    """Bytes of VmRSS, the resident size, or of VmHWM, its highest."""
    known = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return 1024 * int(known[field].split()[0])


def taken(name: str, task: str, batch_size: int, steps: int, device: str) -> int:
    """Bytes of a training of this contender, in this process."""
    kind, _, precision = name.partition(" ")
    others = [kind] if kind in peers.PEERS else []
    make = contenders(TASKS[task], precision or "float32", batch_size, device, others)[name]
    if not device.startswith("cuda"):
        CLEAR.write_text("5")  # the highest size counts from here
    before = resident("VmRSS")
    _, loop = make()
    loop(steps)
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else resident("VmHWM") - before


def child(name: str, task: str, options: argparse.Namespace, device: str) -> Callable[[], float]:
    words = [sys.executable, "-m", "benchmarks.memory", "--child", name, "--tasks", task, "--device", device]

    def run() -> float:
        more = ["--batch", str(options.batch), "--steps", str(options.steps)]
        done = subprocess.run([*words, *more], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
        return float(json.loads(done.stdout.splitlines()[-1]))

    return run


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", metavar="NAME", help="train as this contender, and say the bytes")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=["mnist_mlp", "mnist_cnn"])
    parser.add_argument("--peers", nargs="*", choices=peers.installed(), default=peers.installed())
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    if options.child:
        print(json.dumps(taken(options.child, options.tasks[0], options.batch, options.steps, device)))
        return
    if not STATUS.exists():
        print("memory is measured on Linux")
        return
    cases: list[Case] = []
    for task in options.tasks:
        default = prepared(TASKS[task], options.batch, "auto", device).precision
        own = [f"{kind} {p}" for p in dict.fromkeys(("float32", default)) for kind in ("ours", "bare")]
        names = [*own, "tensors float32", *options.peers]
        found = in_turns({name: child(name, task, options, device) for name in names}, options.repeats)
        pairs = [Pair(mine, mine.replace("ours", "bare")) for mine in own if mine.startswith("ours")]
        pairs += [Pair("ours float32", name) for name in ("tensors float32", *options.peers)]
        facts = {"task": task, "batch": options.batch, "device": device}
        cases.append(Case(f"memory, {TASKS[task].about}, batch {options.batch}", found, pairs, unit="B", facts=facts))
        print(said(cases[-1].lines()))
        print(", ".join(f"{name} {min(values) / MIB:.1f} MiB" for name, values in found.items()), flush=True)
    if options.out:
        written(options.out, cases, {**provenance(), **peers.versions()})


if __name__ == "__main__":
    main()
