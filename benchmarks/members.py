"""A population trained as one beside its members one after the other, and how members are computed.

    python -m benchmarks.members [--sizes …] [--members 128] [--repeats 20] [--out FILE]

First, nets 64-64-10 at batch 64, as the digits have them: a population beside lone runs of the same members, each by
the engine as any run is. Then, for nets of five sizes, the members of a population stacked, in turn and in threads; the
execution that a run takes by itself is held against the fastest of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks.tasks import Task, opened, ours, ready
from benchmarks.throughput import waiting
from benchmarks.turns import Case, Pair, in_turns, said, timed, written
from thetastar import equation
from thetastar.errors import UserError
from thetastar.hardware import choose_device, provenance
from thetastar.methods.population import Mode
from thetastar.recipe import Recipe


@dataclass(frozen=True)
class Size:
    """Members of a net, and steps of all of them in a turn."""

    task: Task
    members: int
    batch: int
    steps: int


def mlp(*widths: int) -> dict[str, Any]:
    return {"name": "mlp", "widths": list(widths)}


TINY = Task("64-64-10", mlp(64), (1, 8, 8), 10, rows=8_192)
SMALL_CNN = {"name": "cnn", "channels": [8, 16], "hidden": 32}
RESNET = {"name": "resnet18", "width": 16}
SIZES = {
    "tiny": Size(TINY, 128, 64, 20),
    "small": Size(Task("784-128-10", mlp(128), (1, 28, 28), 10, rows=8_192), 16, 64, 20),
    "medium": Size(Task("784-512-256-10", "mlp", (1, 28, 28), 10, rows=8_192), 8, 128, 10),
    "cnn": Size(Task("CNN of 8 and 16 channels", SMALL_CNN, (1, 28, 28), 10, rows=8_192), 8, 64, 5),
    "resnet": Size(Task("ResNet-18 of width 16", RESNET, (3, 32, 32), 10, rows=1_024), 4, 32, 1),
}
TOGETHER, NEAR = 8.0, 0.95  # the bars: to lone runs; to the fastest execution


def prepared(task: Task, batch_size: int, method: Any, seed: int, device: str) -> equation.Training:
    stream = opened(task, batch_size)
    engine = {"device": device, "precision": "float32"}
    spec = stream.spec  # type: ignore[attr-defined]
    return ready(Recipe(data=spec, model=task.model, method=method, engine=engine, seed=seed), stream)


def together(size: Size, device: str, execution: str = "auto") -> equation.Training:
    """A population, not yet compared with anything."""
    method = {"name": "population", "seeds": list(range(size.members)), "execution": execution}
    return prepared(size.task, size.batch, method, 0, device)


def beside_lone(members: int, options: argparse.Namespace, device: str) -> Case:
    size = Size(TINY, members, SIZES["tiny"].batch, SIZES["tiny"].steps)
    wait, steps, loop = waiting(device), options.steps or size.steps, ours(together(size, device))
    lone = [ours(prepared(TINY, size.batch, "supervised", seed, device)) for seed in range(members)]
    acts = {
        "population": timed(lambda: (loop(steps), wait())),
        "one after the other": timed(lambda: ([one(steps) for one in lone], wait())),
    }
    taken = warmed(acts, options.repeats)
    pairs = [Pair("population", "one after the other", TOGETHER)]
    case = Case(f"{members} members {TINY.about}, batch {size.batch}", taken, pairs, steps * members, "member steps")
    case.facts = {"members": members, "steps": steps, "device": device}
    return case


def executions(name: str, options: argparse.Namespace, device: str) -> Case:
    """What is possible of stacked, in turn and threads; what is not is told in the facts."""
    size, wait = SIZES[name], waiting(device)
    steps = options.steps or size.steps
    chosen: str = together(size, device).program.method.mode  # type: ignore[attr-defined, assignment]
    acts: dict[str, Callable[[], float]] = {}
    refused: dict[str, str] = {}
    for mode in get_args(Mode):
        try:
            loop = ours(together(size, device, mode))
        except UserError as error:
            refused[mode] = str(error)
        else:
            acts[mode] = timed(lambda loop=loop: (loop(steps), wait()))
    what = f"{size.members} members {size.task.about}, batch {size.batch}"
    case = Case(what, warmed(acts, options.repeats), [], steps * size.members, "member steps")
    case.pairs = [Pair(chosen, case.best(list(acts)), NEAR)]
    case.pairs += [Pair(chosen, mode) for mode in acts if mode not in (chosen, case.pairs[0].other)]
    case.facts = {"size": name, "chosen": chosen, "refused": refused, "steps": steps, "device": device}
    return case


def warmed(acts: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    for act in acts.values():
        act()
    return in_turns(acts, repeats)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES), metavar="SIZE")
    parser.add_argument("--members", type=int, default=128, help="beside lone runs")
    parser.add_argument("--steps", type=int, help="a turn")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    cases = [beside_lone(options.members, options, device)]
    print(said(cases[0].lines()), flush=True)
    for name in options.sizes:
        cases.append(executions(name, options, device))
        print(said(cases[-1].lines()), flush=True)
    if options.out:
        written(options.out, cases, provenance())


if __name__ == "__main__":
    main()
