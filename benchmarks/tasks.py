"""What is trained: nets and data in memory that every contender gets alike."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import loops
from benchmarks.turns import Loop
from thetastar import equation, registry
from thetastar.defaults import completed
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.watch import Watch


@dataclass(frozen=True, eq=False)
class Task:
    """A net on random data of a shape: speed does not depend on what they show.

    Attributes:
        about: in words, for the table.
        shape: of one input; images are bytes, all else are floats.
        steps: at most so many are timed in a turn.
    """

    about: str
    model: Any
    shape: tuple[int, ...]
    classes: int
    rows: int = 20_000
    steps: int = 150
    repeats: int = 9

    @property
    def pictures(self) -> bool:
        return len(self.shape) == 3


TASKS = {
    "mnist_mlp": Task("MNIST, MLP", "mlp", (1, 28, 28), 10),
    "mnist_cnn": Task("MNIST, CNN", "cnn", (1, 28, 28), 10, steps=30),
    "tabular_mlp": Task("table, MLP", {"name": "tabular_mlp", "dropout": 0.0}, (14,), 2),
    "cifar10_resnet18": Task("CIFAR-10, ResNet-18", "resnet18", (3, 32, 32), 10, rows=4_000, steps=1, repeats=3),
}


@functools.cache
def columns(task: Task) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, task.classes, (task.rows,), generator=generator)
    if not task.pictures:
        return torch.randn(task.rows, *task.shape, generator=generator), labels
    return torch.randint(0, 256, (task.rows, *task.shape), dtype=torch.uint8, generator=generator), labels


@functools.cache
def opened(task: Task, batch_size: int) -> Stream:
    inputs, targets = columns(task)
    source: dict[str, Any] = {"name": "arrays", "inputs": inputs, "targets": targets}
    if not task.pictures:  # as a table, whose columns have the quantiles that its net reads
        import pandas as pd

        frame = pd.DataFrame(inputs.numpy(), columns=[f"x{i}" for i in range(task.shape[0])])
        source = {"name": "table", "frame": frame.assign(y=targets.numpy()), "target": "y", "task": "classification"}
    around = {"name": "resident", "source": source, "batch_size": batch_size, "valid": 0.0, "test": 0.0}
    return registry.build("data", around)


def prepared(task: Task, batch_size: int, precision: str, device: str) -> equation.Training:
    """Ours, from the weights of seed 0, ready for its first step."""
    stream = opened(task, batch_size)
    recipe = Recipe(
        data=stream.spec,  # type: ignore[attr-defined]
        model=task.model,
        algorithm={"name": "adamw", "schedule": None},
        engine={"precision": precision, "device": device},
    )
    return ready(recipe, stream)


def ready(recipe: Recipe, stream: Stream) -> equation.Training:
    """Before its first step, with all settled that a run finds out by trial; not compiled, as no other contender is."""
    recipe = completed(recipe.replace(engine={**recipe.engine, "compile": False}), stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    training.begin()
    return training


def first_layer(f: nn.Module) -> nn.Module:
    return next(f.children())


def ours(training: equation.Training) -> Loop:
    """The engine's own passes, with trace, guard and watch as in any run."""

    def run(steps: int) -> None:
        training.steps = training.step + steps
        while training.step < training.steps:
            training.one_epoch()

    return run


def alike(training: equation.Training) -> nn.Module:
    """The same net from the same weights, for another contender."""
    return copy.deepcopy(training.program.f).train()


def as_floats(task: Task, stream: Stream) -> tuple[Tensor, Tensor]:
    """The training rows as floats in memory, as a peer is given them; tables as the stream prepares them."""
    if task.pictures:
        return loops.floats(columns(task)[0]), columns(task)[1]
    batch = stream.gather(torch.from_numpy(stream.rows["train"]))  # type: ignore[attr-defined]
    return batch["input"].cpu(), batch["target"].cpu()
