"""What tests of methods that learn features share: a recipe opened, and what a linear probe reads off the features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thetastar import equation
from thetastar.defaults import completed, open_for
from thetastar.protocols import Clock, Program
from thetastar.recipe import Recipe

Change = Callable[[torch.Tensor], torch.Tensor]


def assembled(given: Recipe) -> tuple[Recipe, Any, Program]:
    stream = open_for(given)
    whole = completed(given, stream)
    return whole, stream, equation.assemble(whole, stream.schema)


def probe(program: Program, stream: Any, rows: int = 300, change: Change | None = None) -> float:
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
