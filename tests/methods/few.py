"""What tests of methods that learn from few labels share: a small program, and its answers worked out in NumPy."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch

from thetastar import equation
from thetastar.defaults import completed, open_for
from thetastar.functional.keys import keyed, reseed
from thetastar.protocols import Aux, Batch, Clock, Program
from thetastar.recipe import Recipe

Array = np.ndarray[Any, Any]
BARS = {"name": "few_labels", "source": "bars", "labels": 16}


def recipe(method: Any, data: Any = BARS, model: Any = None, **more: Any) -> Recipe:
    return Recipe(data=data, model=model or {"name": "mlp", "widths": [16]}, method=method, **more)


def assembled(method: Any, data: Any = BARS, model: Any = None) -> tuple[Any, Any]:
    """A stream and a program in float64, in training."""
    given = recipe(method, data, model)
    stream = open_for(given)
    program = equation.assemble(completed(given, stream), stream.schema)
    return stream, program.double().train()


def first_batch(stream: Any) -> Any:
    return doubled(next(stream.batches("train", Clock(0))))


def doubled(batch: Batch) -> Batch:
    """In float64, what is not a number of something."""
    return {
        name: doubled(value) if isinstance(value, dict) else value.double() if value.is_floating_point() else value
        for name, value in batch.items()
    }


def said(program: Program, batch: Batch, t: Clock, key: int = 5) -> tuple[torch.Tensor, Aux]:
    """The loss with the randomness of a key."""
    reseed(key)
    with keyed(key):
        return program("loss", batch, t)


def logits(f: Any, x: torch.Tensor) -> Array:
    """Of an mlp without norm and dropout, in float64."""
    h = ((x.double() - f.standardise.mean) * f.standardise.scale).flatten(1).numpy()
    for layer in (*f.hidden, f.head):
        if not isinstance(layer, torch.nn.Linear):
            h = np.maximum(h, 0)
            continue
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    return h


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def probabilities(f: Any, x: torch.Tensor) -> Array:
    return softmax(logits(f, x))


def surprise(p: Array, y: Array) -> float:
    """The mean of −log p_y."""
    return float(np.mean([-np.log(p[row, c]) for row, c in enumerate(y)]))


def slope_of_bias(f: Any, loss: Any, step: float = 1e-6) -> Array:
    """∂ loss(f) / ∂ the head's bias, by central differences of a function that is worked out by hand."""
    found = []
    for c in range(len(f.head.bias)):
        values = []
        for sign in (1, -1):
            moved = copy.deepcopy(f)
            with torch.no_grad():
                moved.head.bias[c] += sign * step
            values.append(loss(moved))
        found.append((values[0] - values[1]) / (2 * step))
    return np.array(found)


# few steps suffice to see the gain: eight labels of bars at random places; one label each of three clouds that touch
LITTLE = {
    "bars": ({"source": {"name": "bars", "rows": 400}, "labels": 8}, 250),
    "blobs": ({"source": {"name": "blobs", "rows": 400, "spread": 0.7}, "labels": 3}, 200),
}


def gains(method: Any, data: str, seeds: range = range(10, 16)) -> Array:
    """What a method has over its supervised twin in accuracy on valid, seed by seed; it draws data and labels too."""
    own = method if isinstance(method, str) else tuple(method.items())
    return np.array([accuracy(own, data, seed) - accuracy("supervised", data, seed) for seed in seeds])


@cache
def accuracy(method: Any, data: str, seed: int) -> float:
    spec, steps = LITTLE[data]
    spec = {**spec, "source": {**spec["source"], "seed": seed}, "split_seed": seed, "valid": 0.4, "name": "few_labels"}
    given = recipe(
        method if isinstance(method, str) else dict(method),
        spec,
        {"name": "mlp", "widths": [32]},
        algorithm={"name": "adamw", "lr": 1e-2},
        measures=["accuracy"],
        budget={"steps": steps},
        engine={"evaluations": 0},
        seed=seed,
    )
    return equation.fit(given).values["accuracy"]


def clear(gain: Array) -> bool:
    """Whether a gain is no loss at any seed, and its mean at least two and a half standard errors above 0."""
    return bool(gain.min() >= 0 and gain.mean() > 2.5 * gain.std(ddof=1) / len(gain) ** 0.5)
