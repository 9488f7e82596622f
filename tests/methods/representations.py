"""What the tests of methods that learn features share: a short run, a linear probe, nets by hand in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.methods.probing import assembled, probe
from torch import Tensor, nn

from thetastar import equation
from thetastar.functional.collapse import spread
from thetastar.layers.frozen import scratch
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

CNN = {"name": "cnn", "channels": [8, 16], "hidden": 64}
MLP = {"name": "mlp", "widths": [16], "norm": "batch"}
PLAIN = {"name": "mlp", "widths": [32]}
Array = NDArray[np.float64]


def recipe(method: Any, data: str = "bars", steps: int = 1, seed: int = 0, model: Any = MLP, **engine: Any) -> Recipe:
    return Recipe(
        data={"name": "views", "source": data},
        model=model,
        method=method,
        algorithm={"name": "adamw", "lr": 3e-3},
        budget={"steps": steps},
        engine={"evaluations": 0, **engine},
        seed=seed,
    )


def first_batch(stream: Any) -> Any:
    return next(stream.batches("train", Clock(0)))


def encoded(f: Any, x: Tensor) -> Array:
    """Features of an MLP in training, in float64."""
    standard = (x.double() - f.standardise.mean.double()) * f.standardise.scale.double()
    return by_hand(f.hidden, standard.flatten(1).numpy())


def by_hand(layers: Any, x: Array) -> Array:
    """Linear layers, batch norm with the moments of the batch, and ReLU, in float64."""
    for layer in layers:
        parameters = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
        if isinstance(layer, nn.Linear):
            x = x @ parameters["weight"].T + parameters.get("bias", 0.0)
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(0)) / np.sqrt(x.var(0) + layer.eps) * parameters["weight"] + parameters["bias"]
        else:
            assert isinstance(layer, nn.ReLU) or str(layer) == "Elementwise(relu)"
            x = np.maximum(x, 0)
    return x


def unit(z: Array) -> Array:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def pure_and_reached(given: Recipe) -> None:
    """A loss writes nothing but running moments, and its gradient reaches what is declared and nothing else."""
    _, stream, program = assembled(given)
    program.train()
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch = first_batch(stream)
    with scratch(program):
        torch.manual_seed(0)
        first, _ = program("loss", batch, Clock(0))
        torch.manual_seed(0)
        assert torch.equal(program("loss", batch, Clock(0))[0], first)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    first.backward()
    (move,) = program.method.moves(program.f)
    reached = {name for name, p in program.named_parameters() if p.grad is not None}
    assert reached == set(move.parameters)
    assert not any(".head." in name for name in reached)


def gains(method: Any, steps: int, seeds: int = 3) -> list[float]:
    """By how much the probe of digits is better after training than before, of each seed's weights."""
    found: list[float] = []
    for seed in range(seeds):
        whole, stream, program = assembled(recipe(method, "digits", steps, seed, CNN))
        random = probe(program, stream)
        equation.fit(whole, stream=stream, start=program)
        found.append(probe(program, stream) - random)
    return found


def projected(given: Recipe, change: Any = lambda method: None) -> Tensor:
    """Projections of the valid split after training with a changed method."""
    whole, stream, program = assembled(given)
    change(program.method)
    equation.fit(whole, stream=stream, start=program)
    projector: Any = program.method.projector
    with torch.no_grad():
        return projector(program.f.features(stream.sample("valid", 270)["input"]))


def projected_spread(given: Recipe, change: Any = lambda method: None) -> float:
    return float(spread(projected(given, change)))
