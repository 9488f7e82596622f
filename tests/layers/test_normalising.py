"""Normalisation by its formulas in NumPy float64, in training and afterwards, in nets and in bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.functional.normalising import local_response
from thetastar.layers.normalising import normaliser
from thetastar.protocols import Field, Schema

Array = NDArray[np.float64]
random = np.random.default_rng(0)
UNITS, GROUPS = 12, 3
ROWS: Array = 3 + 2 * random.standard_normal((10, UNITS))
IMAGES: Array = -1 + 2 * random.standard_normal((6, UNITS, 4, 5)) * np.arange(1, UNITS + 1)[:, None, None]
GAMMA, BETA = random.standard_normal((2, UNITS))
SCHEMA = Schema(Field("vector", (20,), mean=(0.0,) * 20, std=(1.0,) * 20), Field("category", (), 3))
PICTURES = Schema(Field("image", (3, 8, 8)), Field("category", (), 3))


def by_formula(kind: str, x: Array) -> Array:
    """γ (x − μ) / √(σ² + ε) + β, written out."""
    after = tuple(range(2, x.ndim))
    if kind == "batch":
        axes, parts = (0, *after), x
    elif kind == "layer":
        axes, parts = tuple(range(1, x.ndim)), x
    else:
        parts = x.reshape(len(x), GROUPS, UNITS // GROUPS, *x.shape[2:])
        axes = tuple(range(2, parts.ndim))
    mean, variance = parts.mean(axes, keepdims=True), parts.var(axes, keepdims=True)
    standard = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    shape = (-1, *(1 for _ in after))
    return GAMMA.reshape(shape) * standard + BETA.reshape(shape)


def made(kind: str, x: Array) -> nn.Module:
    layer = normaliser(kind, UNITS, GROUPS, image=x.ndim == 4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(GAMMA))
        layer.bias.copy_(torch.tensor(BETA))
    return layer


@pytest.mark.shows("O8")
@pytest.mark.parametrize("x", [ROWS, IMAGES], ids=["rows", "images"])
@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
def test_formulas(kind: str, x: Array) -> None:
    layer = made(kind, x)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach().numpy(), by_formula(kind, x), atol=1e-12)


@pytest.mark.shows("O8")
@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
def test_only_gamma_and_beta_are_learnt(kind: str) -> None:
    layer = normaliser(kind, UNITS, GROUPS)
    assert {name: p.shape for name, p in layer.named_parameters()} == {"weight": (UNITS,), "bias": (UNITS,)}
    assert (layer.weight == 1).all()
    assert (layer.bias == 0).all()
    buffers = {name for name, _ in layer.named_buffers()}
    assert buffers == ({"running_mean", "running_var", "num_batches_tracked"} if kind == "batch" else set())


@pytest.mark.shows("O8")
@pytest.mark.parametrize("x", [ROWS, IMAGES], ids=["rows", "images"])
def test_batch_norm_keeps_running_moments_and_is_then_an_affine_map(x: Array) -> None:
    """After a step m ← 0.9 m + 0.1 μ and v ← 0.9 v + 0.1 σ² (unbiased); in eval γ (x − m) / √(v + ε) + β."""
    layer = made("batch", x)
    axes = (0, *range(2, x.ndim))
    mean, variance = np.zeros(UNITS), np.ones(UNITS)
    for part in (x[:4], x[4:]):
        layer(torch.tensor(part))
        mean, variance = 0.9 * mean + 0.1 * part.mean(axes), 0.9 * variance + 0.1 * part.var(axes, ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean)
    np.testing.assert_allclose(layer.running_var, variance)
    layer.eval()
    slope = GAMMA / np.sqrt(variance + 1e-5)
    shape = (-1, *(1 for _ in x.shape[2:]))
    expected = x * slope.reshape(shape) + (BETA - mean * slope).reshape(shape)
    found = layer(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(layer(torch.tensor(x[:1])).detach().numpy(), found[:1], err_msg="rows are independent")
    np.testing.assert_allclose(layer.running_mean, mean, err_msg="eval writes nothing")


@pytest.mark.shows("O8")
@pytest.mark.parametrize("x", [ROWS, IMAGES], ids=["rows", "images"])
@pytest.mark.parametrize("kind", ["layer", "group"])
def test_layer_and_group_norm_know_no_batch_and_no_training(kind: str, x: Array) -> None:
    layer = made(kind, x)
    whole = layer(torch.tensor(x)).detach()
    np.testing.assert_allclose(layer(torch.tensor(x[2:3])).detach().numpy(), whole[2:3].numpy(), atol=1e-12)
    assert torch.equal(layer.eval()(torch.tensor(x)), whole)
    torch.testing.assert_close(layer(torch.tensor(7 * x)).detach(), whole, atol=1e-4, rtol=0)


@pytest.mark.shows("O8")
@pytest.mark.parametrize("x", [ROWS, IMAGES], ids=["rows", "images"])
@pytest.mark.parametrize("size", [1, 3, 5, 15])
def test_local_response_by_its_formula(x: Array, size: int) -> None:
    k, alpha, beta = 2.0, 0.3, 0.75
    expected = np.empty_like(x)
    for c in range(UNITS):
        near = range(max(0, c - size // 2), min(UNITS - 1, c + size // 2) + 1)
        expected[:, c] = x[:, c] / (k + alpha * sum(x[:, j] ** 2 for j in near)) ** beta
    found = local_response(torch.tensor(x), size=size, k=k, alpha=alpha, beta=beta)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    if x.ndim == 4:
        theirs = F.local_response_norm(torch.tensor(x), size, alpha=alpha * size, beta=beta, k=k)
        np.testing.assert_allclose(found, theirs, rtol=1e-12)


@pytest.mark.shows("O8")
def test_groups_that_do_not_divide_are_refused() -> None:
    for spec, schema, said in (
        (
            {"name": "mlp", "widths": [32, 30], "groups": 8},
            SCHEMA,
            "30 units in 8 groups; expected groups of equal size",
        ),
        (
            {"name": "cnn", "channels": [9, 18], "groups": 4},
            PICTURES,
            "9 channels in 4 groups; .*; set model.groups to",
        ),
        ({"name": "mlp", "widths": [8], "groups": 8}, SCHEMA, "8 units in 8 groups; .* two units or more"),
    ):
        with pytest.raises(UserError, match=said):
            registry.build("models", {**spec, "norm": "group"}, schema)
    with pytest.raises(UserError, match="norm"):
        registry.build("models", {"name": "mlp", "norm": "local_response"}, SCHEMA)


NETS = [("mlp", kind) for kind in ("batch", "layer", "group")]
NETS += [("cnn", kind) for kind in ("batch", "layer", "group", "local_response")]


@pytest.mark.shows("O8")
@pytest.mark.parametrize(("model", "kind"), NETS)
def test_in_nets_it_adds_gamma_and_beta_alone_and_bears_bfloat16(model: str, kind: str) -> None:
    torch.manual_seed(0)
    schema = SCHEMA if model == "mlp" else PICTURES
    sizes = {"widths": [32, 16]} if model == "mlp" else {"channels": [8, 16], "hidden": 24}
    f = registry.build("models", {"name": model, **sizes, "norm": kind, "groups": 4}, schema)
    bare = registry.build("models", {"name": model, **sizes}, schema)
    added = sum(p.numel() for p in f.parameters()) - sum(p.numel() for p in bare.parameters())
    assert added == (0 if kind == "local_response" else 2 * (48 if model == "mlp" else 8 + 16 + 24))
    x = torch.randn(64, *schema.input.shape)
    exact = f(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = f(x).float()
    assert (rounded - exact).square().mean().sqrt() < 0.03 * exact.std()
    rounded.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in f.parameters())
    scaled = f.eval()(x)
    assert torch.equal(f(x[:7]), scaled[:7]) or torch.allclose(f(x[:7]), scaled[:7], atol=1e-5)


@pytest.mark.shows("O8")
def test_with_it_a_net_learns_at_a_rate_at_which_it_would_not() -> None:
    """Ten layers that begin with too small weights: 100 steps lower the loss with batch norm alone."""
    losses = {}
    for norm in (None, "batch"):
        model = {"name": "mlp", "widths": [16] * 10, "init": "lecun_uniform", "activation": "sigmoid", "norm": norm}
        found = star.fit("blobs", model=model, algorithm={"name": "sgd", "lr": 0.3}, steps=100, measures=["nll"])
        losses[norm] = found.measures["valid"]["nll"]
    assert losses["batch"] < 0.5 * losses[None]
