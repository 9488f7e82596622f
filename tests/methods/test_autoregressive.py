"""Autoregressive images: a distribution over all images, drawn from as it says, better than pixels one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from thetastar import equation, registry, star
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.functional.raster import digitised
from thetastar.measures.bits_per_dim import bits_per_dim
from thetastar.protocols import Clock, Field, Schema
from thetastar.recipe import Recipe

MODELS: dict[str, dict[str, Any]] = {
    "pixelcnn": {"depth": 1, "first": 3},
    "image_gpt": {"depth": 1, "heads": 2},
    "row_lstm": {"depth": 1},
    "diagonal_lstm": {"depth": 1},
}
IMAGES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(16, 1, 2, 2)  # all binary images of 2×2
COUNTS = torch.tensor([6, 0, 1, 2, 0, 3, 1, 0, 4, 0, 0, 2, 1, 0, 0, 5])  # how often each is in the tiny set


def build(name: str, schema: Schema, **changes: Any) -> tuple[Any, Any]:
    with seeded("autoregressive", name):
        f = registry.build("models", {"name": name, "width": 8, **MODELS[name], **changes}, schema)
        method = registry.build("methods", "autoregressive")
        method.attach(f, schema)
    return f.eval(), method


@pytest.fixture(scope="module", params=list(MODELS))
def tiny(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A model that was trained on the tiny set until it has nothing more to learn."""
    f, method = build(request.param, Schema(Field("image", (1, 2, 2), mean=(0.5,), std=(0.5,))), levels=2, width=16)
    steps, rate = (350, 0.01) if request.param == "image_gpt" else (200, 0.02)
    parameters = [p for p in (*f.parameters(), *method.parameters()) if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, rate)
    batch = {"input": IMAGES.repeat_interleave(COUNTS, 0)}
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.zero_grad()
        method.loss(f, batch, Clock(0))[0].backward()
        optimiser.step()
    return f, method


def log_likelihood(f: Any, method: Any, batch: Mapping[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return method.predict(f, batch, frozenset({"log_likelihood"}), Clock(0))["log_likelihood"]


# --- independent references -------------------------------------------------------------------------------------------


@pytest.mark.shows("L5")
@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_images_sum_to_one(name: str) -> None:
    """All 64 binary images of 2×3, and all 27 colour pixels in three levels; untrained."""
    for shape, levels in (((1, 2, 3), 2), ((3, 1, 1), 3)):
        f, method = build(
            name, Schema(Field("image", shape, mean=(0.5,) * shape[0], std=(0.3,) * shape[0])), levels=levels
        )
        values = [value / (levels - 1) for value in range(levels)]
        images = torch.tensor(list(itertools.product(values, repeat=math.prod(shape)))).view(-1, *shape)
        assert log_likelihood(f, method, {"input": images}).double().exp().sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.shows("L5")
def test_a_tiny_set_is_learnt_down_to_its_entropy(tiny: tuple[Any, Any]) -> None:
    """The likelihood has its greatest value where p is the share of each image in the set; it still sums to 1."""
    shares = (COUNTS / COUNTS.sum()).double()
    log_p = log_likelihood(*tiny, {"input": IMAGES}).double()
    assert log_p.exp().sum() == pytest.approx(1, abs=1e-5)
    entropy = torch.special.entr(shares).sum()
    assert entropy <= -(shares * log_p).sum() + 1e-6 <= entropy + 0.02
    np.testing.assert_allclose(log_p.exp(), shares, atol=0.02)


@pytest.mark.shows("L5")
def test_samples_come_as_often_as_their_probability_says(tiny: tuple[Any, Any]) -> None:
    f, method = tiny
    count = 4000
    with seeded("samples"):
        samples = method.predict(f, {"input": torch.zeros(count, 1, 2, 2)}, frozenset({"samples"}), Clock(0))["samples"]
    places = (samples.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    found = torch.bincount(places, minlength=16).double()
    expected = count * log_likelihood(f, method, {"input": IMAGES}).double().exp()
    often = expected >= 5  # the others are counted as one kind
    found, expected = (torch.cat([x[often], x[~often].sum()[None]]) for x in (found, expected))
    statistic = ((found - expected).square() / expected.clamp_min(1e-9)).sum().item()
    assert chi2.sf(statistic, len(found) - 1) > 1e-3


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 2, 3)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", MODELS)
def test_the_likelihood_is_the_sum_of_each_value_given_those_before(name: str, shape: tuple[int, int, int]) -> None:
    """Value by value in NumPy, each from logits of an image in which nothing after it is filled in."""
    levels = 5
    f, method = build(name, Schema(Field("image", shape)), levels=levels)
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    codes = digitised(x, levels)
    total = np.zeros(2)
    for row, column, channel in itertools.product(range(shape[1]), range(shape[2]), range(shape[0])):
        known = codes.clone()
        for later in itertools.product(range(shape[1]), range(shape[2]), range(shape[0])):
            if later >= (row, column, channel):
                known[:, later[2], later[0], later[1]] = 0
        with torch.no_grad():
            logits = method.logits(f, known)[:, channel, row, column].double().numpy()
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        total += np.log(p[range(2), codes[:, channel, row, column]])
    np.testing.assert_allclose(log_likelihood(f, method, {"input": x}), total, rtol=1e-5)
    loss, _ = method.loss(f, {"input": x}, Clock(0))
    assert loss.item() == pytest.approx(-total.mean() / math.prod(shape), rel=1e-5)
    bits = bits_per_dim()
    bits.update({"log_likelihood": torch.tensor(total), "levels": torch.full((2,), levels)}, {"input": x})
    found = bits.compute()
    assert found["bits_per_dim"] == pytest.approx(-total.mean() / math.prod(shape) / math.log(2), rel=1e-5)
    assert list(found) == ["bits_per_dim", "bits_per_dim_at_5_levels"]


def test_even_odds_among_256_levels_cost_eight_bits_under_one_name() -> None:
    f, method = build("pixelcnn", Schema(Field("image", (1, 3, 3))))
    for parameter in method.parameters():
        torch.nn.init.zeros_(parameter)
    star_bits, x = bits_per_dim(), torch.rand(4, 1, 3, 3)
    star_bits.update(method.predict(f, {"input": x}, star_bits.wants, Clock(0)), {"input": x})
    assert star_bits.compute() == {"bits_per_dim": pytest.approx(8)}


# --- behaviour --------------------------------------------------------------------------------------------------------


def recipe(model: Mapping[str, Any], seed: int, steps: int = 100) -> Recipe:
    return Recipe(
        data={"name": "digits", "batch_size": 16},
        model={"levels": 4, **model},
        method="autoregressive",
        algorithm={"name": "adamw", "lr": 2e-2, "weight_decay": 0.0, "schedule": "cosine"},
        measures=["bits_per_dim"],
        budget={"steps": steps},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )


def pixel_by_pixel(stream: Any) -> float:
    """Bits per value of the baseline: at every place the training split's histogram, each level counted once more."""
    train, valid = (digitised(stream.sample(split, 10_000)["input"], 4).numpy() for split in ("train", "valid"))
    counts = 1 + np.stack([(train == level).sum(0) for level in range(4)])  # (levels, 1, 8, 8)
    shares = counts / counts.sum(0)
    return float(-np.log2(np.take_along_axis(shares, valid.reshape(-1, 1, 8, 8), 0)).mean())


@pytest.mark.shows("L5")
@pytest.mark.parametrize(
    "model",
    [
        {"name": "pixelcnn", "width": 12, "depth": 2, "first": 5},
        {"name": "image_gpt", "width": 32, "depth": 1},
        {"name": "row_lstm", "width": 16, "depth": 1},
        {"name": "diagonal_lstm", "width": 12, "depth": 1},
    ],
    ids=lambda model: model["name"],
)
def test_on_digits_it_beats_pixels_one_by_one(model: dict[str, Any]) -> None:
    steps = 140 if model["name"] == "image_gpt" else 70  # it must find out first what is beside what
    runs = [equation.fit(recipe(model, seed, steps)) for seed in range(2)]
    pairs = [(run.values["bits_per_dim"], pixel_by_pixel(run.stream)) for run in runs]
    assert all(own < 0.93 * baseline for own, baseline in pairs), pairs


@pytest.mark.shows("L5")
def test_told_the_class_it_needs_fewer_bits_and_samples_of_it() -> None:
    model = {"name": "pixelcnn", "width": 16, "depth": 3, "first": 5}
    plain, told = (equation.fit(recipe({**model, "conditional": how}, 0)) for how in (False, True))
    assert told.values["bits_per_dim"] < plain.values["bits_per_dim"]
    judge = star.fit("digits", {"name": "mlp", "widths": [64]}, steps=150)
    classes = torch.arange(10).repeat_interleave(8)
    with seeded("samples"):
        batch = {"input": torch.zeros(80, 1, 8, 8), "target": classes}
        made = told.program.method.predict(told.program.f, batch, frozenset({"samples"}), Clock(0))["samples"]
    right = (judge.predict(made.numpy()).astype(int) == classes.numpy()).mean()
    assert right > 0.2  # of ten classes


# --- known failure ----------------------------------------------------------------------------------------------------


@pytest.mark.shows("L5")
def test_a_net_that_sees_the_pixel_itself_needs_hardly_any_bits() -> None:
    """Mask B in the first layer: the figure is absurd, and samples are not what it speaks of."""
    full = recipe({"name": "pixelcnn", "width": 16, "depth": 2, "first": 3}, 0)
    stream = open_stream(full.data)
    program = equation.assemble(completed(full, stream), stream.schema)
    first: Any = program.f.layers[0]  # type: ignore[index]
    first.horizontal.mask[:, :, -1, -1] = 1.0
    cheat = equation.fit(full, stream=stream, start=program)
    assert cheat.values["bits_per_dim"] < 0.01 * pixel_by_pixel(stream)


# --- use --------------------------------------------------------------------------------------------------------------


def test_samples_are_keyed_and_survive_the_run_folder(tmp_path: Path) -> None:
    model = {"name": "pixelcnn", "levels": 4, "width": 8, "depth": 2, "first": 3}
    made = star.fit("bars", model, steps=5, out=tmp_path / "run")
    wants, raw = frozenset({"samples", "features"}), np.zeros((6, 1, 8, 8), np.float32)
    torch.manual_seed(0)
    first = made.outputs(raw, wants, batch_size=3)
    torch.manual_seed(1)
    again = star.load(tmp_path / "run").outputs(raw, wants, batch_size=3)["samples"]
    assert torch.equal(first["samples"], again)
    assert len(again.unique(dim=0)) == 6
    assert first["features"].shape == (6, 8)
    assert torch.equal((3 * again).round() / 3, again)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"cnn, which sees all.*choose pixelcnn"):
        star.fit("bars", "cnn", "autoregressive", steps=1)
    with pytest.raises(UserError, match="autoregressive on vector inputs"):
        star.fit("blobs", "pixelcnn", steps=1)
    with pytest.raises(UserError, match="no likelihood"):
        star.fit("bars", "cnn", steps=1, measures=["bits_per_dim"])
