"""The net for signals: both published counts, its arithmetic by hand, and that places are worth less than patterns."""

from __future__ import annotations

import pytest
import torch

from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.models.conv1d import conv1d
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe

TWIN = {"name": "mlp", "widths": [285, 135, 60]}


def schema(entries: int = 40) -> Schema:
    return Schema(Field("vector", (entries,)), Field("category", classes=10))


@pytest.mark.shows("V10")
def test_parameters_of_both_nets() -> None:
    """As many hidden units in each, 19 · 15, 9 · 15 and 4 · 15; a twenty-ninth of the weights."""
    counts = []
    for spec in ("conv1d", TWIN):
        f = registry.build("models", spec, schema())
        counts.append(sum(parameter.numel() for parameter in f.parameters()))
    assert counts == [2_050, 59_065]
    assert TWIN["widths"] == [19 * 15, 9 * 15, 4 * 15]


@pytest.mark.shows("V10")
def test_forward_by_hand() -> None:
    torch.manual_seed(0)
    f, x = conv1d(schema()), torch.randn(5, 40)
    weights, h = f.state_dict(), x[:, None]
    for layer, places in ((0, 19), (2, 9), (4, 4)):
        windows = h.unfold(2, 3, 2)  # (batch, channels, places, 3)
        weight, bias = weights[f"convolutions.{layer}.weight"], weights[f"convolutions.{layer}.bias"]
        h = (torch.einsum("bcpk,ock->bop", windows, weight) + bias[:, None]).clamp_min(0)
        assert h.shape == (5, 15, places)
    by_hand = h.flatten(1) @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(f(x), by_hand, atol=1e-5, rtol=1e-5)
    assert f.features(x).shape == (5, f.width) == (5, 60)


@pytest.mark.shows("V10")
def test_a_pattern_means_the_same_a_stride_further_on() -> None:
    torch.manual_seed(0)
    f, x = conv1d(schema(48)), torch.randn(2, 56)
    here, there = (f.features(x[:, start : start + 48]).unflatten(1, (15, -1)) for start in (0, 8))
    torch.testing.assert_close(here[..., 1:], there[..., :-1])


@pytest.mark.shows("V10")
def test_it_errs_far_less_than_the_perceptron_on_mnist1d() -> None:
    """Fifteen epochs at one rate: fewer than half of the errors, for each of two seeds."""
    for seed in range(2):
        errors = []
        for model in ("conv1d", TWIN):
            entry = {
                "data": {"name": "mnist1d", "rows": 4000},
                "model": model,
                "algorithm": {"name": "adamw", "lr": 0.03},
                "budget": {"epochs": 15},
                "seed": seed,
                "engine": {"precision": "float32", "device": "cpu"},
            }
            errors.append(1 - equation.fit(Recipe.from_mapping(entry)).values["accuracy"])
        assert errors[0] < 0.5 * errors[1], errors


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (schema(14), r"vectors of 14: convolution 3 of 3 gets 2 and leaves nothing; expected vectors of at least 15"),
        (Schema(Field("image", (1, 8, 8)), Field("category", classes=2)), r"image inputs.*choose cnn"),
        (Schema(Field("words", (8,)), Field("category", classes=2)), r"words inputs.*choose mlp"),
    ],
)
def test_what_does_not_fit_is_refused(given: Schema, words: str) -> None:
    with pytest.raises(UserError, match=words):
        conv1d(given)
