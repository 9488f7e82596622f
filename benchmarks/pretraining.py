"""Pre-training speed: SimCLR beside a bare hand-written loop that makes the same two views on the device.

    python -m benchmarks.pretraining [--tasks …] [--batches 256] [--repeats 9] [--device auto] [--out FILE]

Both train the same net and projector from the same weights on the same bytes in memory by the same fused AdamW, and
call the same changes of images for their views: resized crop, flip, colour, greyscale. "bare" is a loop as one writes
it; "kept" is the same where the allocator keeps freed memory, as it does under ours, so that ours to "kept" is the
overhead of the engine alone. Each contender has a process of its own; whole steps are timed, from one forward pass to
another. Images a second are examples, each of which is seen twice.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import loops
from benchmarks.tasks import Task, columns, first_layer, ours, ready
from benchmarks.throughput import watched
from benchmarks.turns import Case, Pair, Stopwatch, apart, in_turns, said, written
from thetastar import equation, registry
from thetastar.data.augment.moving import joined
from thetastar.hardware import choose_device, provenance
from thetastar.recipe import Recipe

BAR = 0.95  # of ours to the bare loop with the same allocator
TEMPERATURE = 0.5
AUGMENT: tuple[Any, ...] = ("resized_crop", "flip", "colour", {"name": "greyscale", "p": 0.2})
TASKS = {
    "cifar10_cnn": Task("CIFAR-10, CNN", "cnn", (3, 32, 32), 10, rows=8_000, steps=8),
    "cifar10_resnet18": Task("CIFAR-10, ResNet-18", "resnet18", (3, 32, 32), 10, rows=4_000, steps=1, repeats=3),
}
Change = Callable[[Tensor], Tensor]


def prepared(
    task: Task, batch_size: int, precision: str, device: str, augment: Sequence[Any] = AUGMENT
) -> equation.Training:
    """Ours, from the weights of seed 0, ready for its first step."""
    inputs, targets = columns(task)
    source = {"name": "arrays", "inputs": inputs, "targets": targets}
    data = {"name": "views", "source": source, "augment": list(augment), "batch_size": batch_size}
    data |= {"valid": 0.0, "test": 0.0}
    recipe = Recipe(
        data=data,
        model=task.model,
        method={"name": "simclr", "temperature": TEMPERATURE},
        algorithm={"name": "adamw", "schedule": None},
        engine={"precision": precision, "device": device},
    )
    return ready(recipe, registry.build("data", data))


def changed(augment: Sequence[Any]) -> Change:
    """The changes of a view, neighbours that move things at once, as ours makes them."""
    changes = joined([registry.build("data/augment", spec) for spec in augment])

    def view(x: Tensor) -> Tensor:
        for change in changes:
            x = change(x)
        return x

    return view


def bare(f: Any, projector: nn.Module, x: Tensor, batch_size: int, view: Change, precision: str) -> loops.Loop:
    """Shuffle, index, two views, forward, NT-Xent, backward, step."""
    device = next(f.parameters()).device
    x = x.to(device).to(memory_format=torch.channels_last)
    optimiser = loops.rule(nn.ModuleList([f, projector]))
    own = torch.arange(2 * batch_size, device=device).roll(batch_size)

    def batches() -> Iterator[Tensor]:
        while True:
            for index in torch.randperm(len(x), device=device).split(batch_size):
                if len(index) == batch_size:
                    yield x[index].float().mul_(1 / 255)

    def run(steps: int) -> None:
        for rows in islice(batches(), steps):
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                z = projector(f.features(torch.cat([view(rows), view(rows)])))
            z = F.normalize(z.float(), dim=1)
            logits = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
            F.cross_entropy(logits, own).backward()
            optimiser.step()

    return run


def contender(name: str, key: str, batch_size: int, steps: int, device: str) -> Callable[[], float]:
    """What takes the turns of one contender, in its process."""
    task, (kind, precision) = TASKS[name], key.split()
    if kind == "bare":
        os.environ["MALLOC_ARENA_TEST"] = "8"  # as it is; whoever has set such a variable keeps the system's allocator
    training = prepared(task, batch_size, precision, device)
    f, loop = training.program.f, ours(training)
    if kind != "ours":
        f, projector = beside(training)
        loop = bare(f, projector, columns(task)[0], batch_size, changed(AUGMENT), precision)
    act = watched(first_layer(f), loop, steps, device)
    act()
    return act


def beside(training: equation.Training) -> tuple[Any, nn.Module]:
    """The same net and projector from the same weights, for another contender."""
    program = copy.deepcopy(training.program).train()
    projector = program.method.projector
    assert isinstance(projector, nn.Module)
    return program.f, projector


def measured(name: str, batch_size: int, options: argparse.Namespace, device: str) -> Case:
    task = TASKS[name]
    default = prepared(task, batch_size, "auto", device).precision
    precisions = list(dict.fromkeys(["float32", default]))
    steps = options.steps or max(1, min(task.steps, task.rows // batch_size - Stopwatch.LEAD - 1))
    keys = [f"{kind} {precision}" for precision in precisions for kind in ("ours", "bare", "kept")]
    with apart(contender, {key: (name, key, batch_size, steps, device) for key in keys}) as acts:
        taken = in_turns(acts, min(options.repeats, task.repeats))
    case = Case(f"SimCLR, {task.about}, batch {batch_size}", taken, [], steps * batch_size)
    for precision in precisions:
        case.pairs.append(Pair(f"ours {precision}", f"kept {precision}", BAR))
        case.pairs.append(Pair(f"ours {precision}", f"bare {precision}"))
    case.facts = {"task": name, "batch": batch_size, "steps": steps, "device": device, "default": default}
    return case


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--batches", nargs="+", type=int, default=[256])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, help="a turn, in place of the task's own")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    cases: list[Case] = []
    for name in options.tasks:
        for batch_size in options.batches:
            cases.append(measured(name, batch_size, options, device))
            print(said(cases[-1].lines()), flush=True)
            print("images a second: " + ", ".join(f"{key} {speed:,.0f}" for key, speed in cases[-1].speeds().items()))
            if options.out:
                written(options.out, cases, provenance())


if __name__ == "__main__":
    main()
