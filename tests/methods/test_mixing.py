"""Mixup, cutmix and penalties: their formulas, what mixup is for, and what breaks without a part of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import Ridge
from torch.nn import functional as F

import thetastar as ts
from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.functional.keys import reseed
from thetastar.functional.mixing import beta_shares, rectangles
from thetastar.methods.mixup import mixup
from thetastar.protocols import Clock, Program
from thetastar.recipe import Recipe
from thetastar.star import Star

PLAIN = {"evaluations": 0, "precision": "float32"}
WRAPPERS: list[tuple[str, dict[str, Any]]] = [
    ("mixup", {"alpha": 0.0}),
    ("cutmix", {"alpha": 0.0}),
    ("weight_noise", {"sigma": 0.0}),
    ("penalised", {"l1": 0.0, "l2": 0.0}),
]


def program(method: Any, model: Any = "softmax", data: str = "digits") -> tuple[Program, dict[str, Any]]:
    stream = ts.defaults.open_stream({"name": data, "batch_size": 64})
    made = equation.assemble(Recipe(data=data, model=model, method=method), stream.schema)
    return made, next(stream.batches("train", Clock(0)))


@pytest.mark.parametrize(("name", "off"), WRAPPERS)
def test_switched_off_it_is_the_inner_method(name: str, off: dict[str, Any]) -> None:
    model = {"name": "cnn", "channels": [4, 4], "hidden": 8}
    plain, batch = program("supervised", model)
    wrapped, _ = program({"name": name, **off}, model)
    for made in (plain, wrapped):
        reseed(5)
        made.method.loss(made.f, batch, Clock(0))[0].backward()  # type: ignore[operator]
    for one, other in zip(plain.f.parameters(), wrapped.f.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.shows("O10")
@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha: float) -> None:
    torch.manual_seed(0)
    drawn = beta_shares(4000, alpha, torch.zeros(1)).numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert np.isfinite(beta_shares(4000, 1e-3, torch.zeros(1)).numpy()).all()


@pytest.mark.shows("O10")
def test_mixup_is_the_expected_mixed_loss() -> None:
    """The soft cross-entropy of mixed inputs is λ CE(yᵢ) + (1 − λ) CE(yⱼ), recomputed from the same draws."""
    made, batch = program({"name": "mixup", "alpha": 1.0})
    reseed(3)
    value, _ = made.method.loss(made.f, batch, Clock(0))  # type: ignore[operator]
    reseed(3)
    partner = torch.randperm(64)
    share = beta_shares(64, 1.0, torch.zeros(1))
    x, y = batch["input"], batch["target"]
    mixed = share.view(-1, 1, 1, 1) * x + (1 - share).view(-1, 1, 1, 1) * x[partner]
    logits = made.f(mixed)
    by_hand = share * F.cross_entropy(logits, y, reduction="none")
    by_hand = by_hand + (1 - share) * F.cross_entropy(logits, y[partner], reduction="none")
    torch.testing.assert_close(value, by_hand.mean())
    assert 0.1 < share.mean() < 0.9


@pytest.mark.shows("O10")
def test_rectangles_have_the_area_asked_for_where_the_edge_does_not_cut_them() -> None:
    torch.manual_seed(0)
    share = torch.linspace(0, 1, 2000)
    masks = rectangles(2000, 32, 32, share)
    assert masks.shape == (2000, 1, 32, 32)
    rows, columns = masks.amax((1, 3)), masks.amax((1, 2))
    torch.testing.assert_close(masks[:, 0], rows[:, :, None] * columns[:, None, :])  # one rectangle each
    whole = (rows[:, 0] + rows[:, -1] + columns[:, 0] + columns[:, -1]) == 0
    assert whole.sum() > 100
    assert (masks.mean((1, 2, 3)) - share)[whole].abs().max() < 0.06  # a pixel's width around the edge
    assert (masks.mean((1, 2, 3)) <= share + 0.06).all()


@pytest.mark.shows("O10")
def test_cutmix_weighs_targets_by_the_pixels_that_are_there() -> None:
    made, batch = program({"name": "cutmix", "alpha": 1.0})
    kept = torch.zeros(())
    seen: dict[str, torch.Tensor] = {}
    inner = made.method.inner

    def loss(f: Any, batch: Any, t: Any) -> Any:
        seen.update(input=batch["input"], target=batch["target"])
        return kept, ts.protocols.Aux()

    object.__setattr__(inner, "loss", loss)
    x, y = torch.zeros_like(batch["input"]), batch["target"]
    x += torch.arange(64.0).view(-1, 1, 1, 1)  # each image is its number
    reseed(1)
    made.method.loss(made.f, {**batch, "input": x, "target": y}, Clock(0))  # type: ignore[operator]
    for i in range(64):
        values, counts = seen["input"][i].unique(return_counts=True)
        expected = torch.zeros(10)
        for value, count in zip(values, counts, strict=True):
            expected[y[int(value)]] += count / counts.sum()
        torch.testing.assert_close(seen["target"][i], expected)
    assert (seen["target"].max(1).values < 1).float().mean() > 0.5


def trained(method: Any, seed: int) -> Star:
    return ts.fit(
        {"name": "mnist1d", "rows": 600, "test": 0.6, "valid": 0.0},
        {"name": "mlp", "widths": [128]},
        method,
        {"name": "adamw", "lr": 0.01},
        epochs=30,
        seed=seed,
        engine=PLAIN,
    )


class inputs_alone(mixup):
    """Mixup without its key part: the target stays that of the first example."""

    def loss(self, f: Any, batch: Any, t: Any) -> Any:
        inner, mine = self.inner.loss, F.one_hot(batch["target"], 10).float()
        object.__setattr__(self.inner, "loss", lambda f, mixed, t: inner(f, {**mixed, "target": mine}, t))
        try:
            return super().loss(f, batch, t)
        finally:
            object.__setattr__(self.inner, "loss", inner)


@pytest.mark.shows("O10")
def test_mixup_calibrates_where_few_examples_are_memorised() -> None:
    """A far lower test NLL than its twin's, on every seed."""
    for seed in range(3):
        plain, mixed = (trained(m, seed).test()["nll"] for m in ("supervised", {"name": "mixup", "alpha": 1.0}))
        assert mixed < plain - 0.1


@pytest.mark.shows("O10")
def test_without_mixed_targets_nine_tenths_of_an_image_count_no_more_than_one() -> None:
    """Seen from 0.9 a + 0.1 b, (a, λ = 0.9) and (b, λ = 0.1) are equally likely: so says f untold.

    With mixed targets it says nine tenths: the class of a gets clearly more.
    """
    for seed in range(3):
        star = trained({"name": "mixup", "alpha": 1.0}, seed)
        told = share_of_the_larger(star.program, star.stream)
        untold = share_of_the_larger(without_targets(star.recipe), star.stream)
        assert told > untold + 0.1, (told, untold)


def share_of_the_larger(program: Program, stream: Any) -> float:
    """Mean p(a) / (p(a) + p(b)) at 0.9 a + 0.1 b, over training pairs of two classes."""
    batch = stream.examples("train")
    x, y = batch["input"], batch["target"]
    other = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    pairs = y != y[other]
    with torch.no_grad():
        p = program.f(0.9 * x + 0.1 * x[other]).softmax(1)
    first, second = p.gather(1, y[:, None])[pairs], p.gather(1, y[other][:, None])[pairs]
    return (first / (first + second)).mean().item()


def without_targets(recipe: Recipe) -> Program:
    stream = ts.defaults.open_for(recipe)
    start = equation.assemble(recipe, stream.schema)
    method = inputs_alone(inner=registry.build("methods", "supervised"), alpha=1.0)
    method.attach(start.f, stream.schema)
    start.method = method
    return equation.fit(recipe, stream=stream, start=start).program


@pytest.mark.shows("O9")
def test_the_l2_penalty_is_ridge_regression() -> None:
    """The minimum of the penalised risk, by the bound α = n λ / 2 of its docstring, is scikit-learn's ridge."""
    recipe = Recipe(
        data={"name": "diabetes", "valid": 0.0, "batch_size": "all"},
        model="linear",
        method={"name": "penalised", "l2": 0.1},
        algorithm={"name": "newton", "damping": 0.0},
        budget={"steps": 3},
    )
    outcome = equation.fit(recipe)
    stream = outcome.stream
    batch = stream.examples("train")  # type: ignore[attr-defined]
    x, y = batch["input"].double(), batch["target"].double()
    field, target = stream.schema.input, stream.schema.target
    x = (x - torch.tensor(field.mean)) / torch.tensor(field.std)  # type: ignore[union-attr]
    assert target is not None
    reference = Ridge(alpha=len(x) * 0.1 / 2).fit(x.numpy(), (y.numpy() - target.mean[0]) / target.std[0])
    predicted = torch.tensor(reference.predict(x.numpy())) * target.std[0] + target.mean[0]
    with torch.no_grad():
        torch.testing.assert_close(outcome.program.f(batch["input"]).double(), predicted, rtol=1e-3, atol=0.05)


def test_mixing_without_targets_is_refused() -> None:
    for name in ("mixup", "cutmix"):
        method = registry.build("methods", name)
        with pytest.raises(UserError, match="without a target"):
            method.attach(None, ts.protocols.Schema(ts.protocols.Field("image", (1, 8, 8)), None))
