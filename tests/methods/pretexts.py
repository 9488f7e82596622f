"""What tests of pretext tasks share: a short run, the linear probe before and after it, images made of parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thetastar import equation
from thetastar.defaults import completed, open_for
from thetastar.functional.keys import seeded
from thetastar.protocols import Aux, Clock, Program
from thetastar.recipe import Recipe

Change = Callable[[torch.Tensor], torch.Tensor]
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


def assembled(given: Recipe) -> tuple[Recipe, Any, Program]:
    stream = open_for(given)
    whole = completed(given, stream)
    return whole, stream, equation.assemble(whole, stream.schema)


def loss_of(program: Program, batch: Any, seed: int = 0) -> tuple[torch.Tensor, Aux]:
    """The loss of a batch; what it draws is a function of the seed."""
    with seeded(seed, "loss"):
        return program("loss", batch, Clock(0))


def probe(program: Program, stream: Any, rows: int, change: Change | None = None) -> float:
    """Test accuracy of logistic regression on frozen, standardised features of some, perhaps changed, examples."""
    program.eval()
    parts = []
    for split, count in (("train", rows), ("test", 500)):
        batch = stream.sample(split, count)
        batch["input"] = change(batch["input"]) if change else batch["input"]
        with torch.no_grad():
            features = program.method.predict(program.f, batch, frozenset({"features"}), Clock(0))["features"]
        parts += [features.numpy(), batch["target"].numpy()]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return float(classifier.fit(*parts[:2]).score(*parts[2:]))


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
