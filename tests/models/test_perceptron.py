"""The perceptron converges exactly where it is proved to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import star
from thetastar.defaults import completed, open_stream
from thetastar.equation import assemble
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

XOR = (np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]] * 8, np.float32), np.array([0, 1, 1, 0] * 8))


def whole(x: np.ndarray, y: np.ndarray, **more: object) -> dict[str, object]:
    given = {"train": np.arange(len(x)), "valid": [], "test": []}
    return {"name": "arrays", "inputs": x, "targets": y, "given": given, **more}


def separable() -> tuple[np.ndarray, np.ndarray]:
    """Points at least 0.1 from the line x₀ + x₁/2 = 0.1."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (120, 2))
    distance = (x @ [1, 0.5] - 0.1) / np.hypot(1, 0.5)
    keep = np.abs(distance) > 0.1
    return x[keep].astype(np.float32), (distance[keep] > 0).astype(np.int64)


def test_one_step_is_rosenblatts_rule() -> None:
    """On a mistake w_y += x and w_ŷ −= x; on a right answer nothing."""
    x, y = separable()
    recipe = Recipe(data=whole(x, y, batch_size=1), model="perceptron")
    stream = open_stream(recipe.data)
    recipe = completed(recipe, stream)
    program = assemble(recipe, stream.schema)
    w, b = program.f.head.weight, program.f.head.bias
    with torch.no_grad():
        w.zero_()
        b.zero_()
    for seen, batch in enumerate(stream.batches("train", Clock(0))):
        z = program.f.features(batch["input"])[0]
        label = int(batch["target"])
        scores, other = w.detach() @ z + b.detach(), 1 - label
        mistaken = scores[label] <= scores[other]
        program.zero_grad()
        program.method.loss(program.f, batch, Clock(0))[0].backward()
        expected = torch.zeros_like(w)
        if mistaken:
            expected[label], expected[other] = -z, z
        assert torch.allclose(w.grad, expected)
        with torch.no_grad():
            w -= w.grad
            b -= b.grad
        if seen == 20:
            break


@pytest.mark.shows("F4")
def test_converges_on_separable_data_and_never_on_exclusive_or() -> None:
    engine, found = {"evaluations": 0}, {}
    for name, (x, y) in {"separable": separable(), "exclusive or": XOR}.items():
        found[name] = star.fit(whole(x, y, batch_size=1), model="perceptron", epochs=15, engine=engine)
    assert losses(found["separable"]).max() == 0  # no mistake and no tie is left, so no further step changes anything
    assert losses(found["exclusive or"]).max() > 0
    assert found["separable"].evaluate("train")[0]["accuracy"] == 1.0
    assert found["exclusive or"].evaluate("train")[0]["accuracy"] <= 0.75


def losses(found: star.Star) -> torch.Tensor:
    program = found.program
    with torch.no_grad():
        parts = [program.method.loss(program.f, b, Clock(0))[0] for b in found.stream.batches("train", Clock(0))]
    return torch.stack(parts)


def test_mistakes_are_bounded_by_the_margin() -> None:
    """Novikoff: from w = 0, one example after the other, at most (R/γ)² mistakes."""
    x, y = separable()
    stream = open_stream(whole(x, y, batch_size=1))
    recipe = completed(Recipe(data=None, model="perceptron"), stream)
    program = assemble(recipe, stream.schema)
    f = program.f
    sign = 2.0 * y - 1
    points = np.hstack([f.features(torch.tensor(x)).double().numpy(), np.ones((len(x), 1))])
    # any separating direction gives a valid margin; this one separates by construction, up to standardisation
    scale, mean = f.standardise.scale.double().numpy(), f.standardise.mean.double().numpy()
    line = np.array([1, 0.5])
    direction = np.append(line / scale, line @ mean - 0.1)
    margin = (sign * (points @ direction)).min() / np.linalg.norm(direction)
    assert margin > 0
    bound = (np.linalg.norm(points, axis=1).max() / margin) ** 2
    with torch.no_grad():
        f.head.weight.zero_()
        f.head.bias.zero_()
    mistakes, clean = 0, False
    for epoch in range(100):
        before = mistakes
        for batch in stream.batches("train", Clock(0, epoch=epoch)):
            program.zero_grad()
            program.method.loss(f, batch, Clock(0))[0].backward()
            mistakes += int(f.head.weight.grad.abs().sum() > 0)
            with torch.no_grad():
                f.head.weight -= f.head.weight.grad
                f.head.bias -= f.head.bias.grad
        if clean := mistakes == before:
            break
    assert clean
    assert mistakes <= bound
