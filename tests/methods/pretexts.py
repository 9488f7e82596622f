"""What tests of pretext tasks share: a short run, the linear probe before and after it, images made of parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.methods.probing import Change, assembled, probe

from thetastar import equation
from thetastar.functional.keys import seeded
from thetastar.protocols import Aux, Clock, Program
from thetastar.recipe import Recipe

CNN = {"name": "cnn", "channels": [8, 16], "hidden": 64}


def recipe(
    method: Any, data: Any = "digits", steps: int = 1, seed: int = 0, model: Any = CNN, lr: float = 3e-3
) -> Recipe:
    return Recipe(
        data=data,
        model=model,
        method=method,
        algorithm={"name": "adamw", "lr": lr},
        budget={"steps": steps},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )


def loss_of(program: Program, batch: Any, seed: int = 0) -> tuple[torch.Tensor, Aux]:
    """The loss of a batch; what it draws is a function of the seed."""
    with seeded(seed, "loss"):
        return program("loss", batch, Clock(0))


def probed(given: Recipe, rows: int = 300, change: Change | None = None) -> tuple[float, float, Program, Any]:
    """The probe on features of the net as it was drawn, and after the run."""
    whole, stream, program = assembled(given)
    before = probe(program, stream, rows, change)
    equation.fit(whole, stream=stream, start=program)
    return before, probe(program, stream, rows, change), program, stream


def arrays(inputs: Any, targets: Any = None) -> dict[str, Any]:
    source = {"name": "arrays", "inputs": np.asarray(inputs, np.float32), "targets": targets}
    return {"name": "resident", "source": source, "batch_size": 64, "test": 0.25}


def parts(rows: int = 2000, noise: float = 0.5) -> dict[str, Any]:
    """Grey 24×24 images of four things, each of nine parts at their places, under noise: 3×3 coarse patterns of 8×8."""
    random = np.random.default_rng(0)
    patterns = np.kron(random.random((4, 3, 3, 4, 4)) < 0.5, np.ones((2, 2)))
    labels = np.arange(rows) % 4
    clean = patterns[labels].transpose(0, 1, 3, 2, 4).reshape(rows, 1, 24, 24)
    images = 0.25 + 0.5 * clean + noise * random.standard_normal(clean.shape)
    return arrays(images.clip(0, 1), labels)
