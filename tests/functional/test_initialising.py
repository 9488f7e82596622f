"""Initialisation: variances by formula and beside torch's, and what they do to signals in deep nets."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from thetastar import registry, star
from thetastar.functional import initialising
from thetastar.layers.initialising import rule_for
from thetastar.protocols import Field, Schema

DENSE, CONVOLUTION = (300, 500), (64, 48, 5, 5)
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
}
TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier_normal": nn.init.xavier_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "lecun_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "lecun_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="linear"),
}


@pytest.mark.shows("O7")
@pytest.mark.parametrize("shape", [DENSE, CONVOLUTION])
@pytest.mark.parametrize("name", TORCH)
def test_variances_are_those_of_the_formula_and_of_torch(name: str, shape: tuple[int, ...]) -> None:
    """In 76,800 draws or more the sample variance is within 2%: four standard errors of a normal."""
    torch.manual_seed(0)
    rule, kind = name.split("_")
    kernel = math.prod(shape[2:])
    expected = VARIANCES[rule](shape[1] * kernel, shape[0] * kernel)
    ours, theirs = initialising.RULES[name](shape), TORCH[name](torch.empty(shape))
    for weights in (ours, theirs):
        assert weights.shape == shape
        assert weights.square().mean().item() == pytest.approx(expected, rel=0.02)
        assert abs(weights.mean().item()) < 4 * math.sqrt(expected / weights.numel())
        kurtosis = weights.pow(4).mean() / weights.square().mean().square()
        assert kurtosis.item() == pytest.approx(3 if kind == "normal" else 9 / 5, rel=0.05)
    if kind == "uniform":
        assert ours.abs().max().item() == pytest.approx(math.sqrt(3 * expected), rel=1e-3)


@pytest.mark.shows("O7")
@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (16, 4, 3, 3), (64, 4, 3, 3)])
def test_orthogonal_weights_have_singular_values_of_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for weights in (initialising.orthogonal(shape), nn.init.orthogonal_(torch.empty(shape))):
        assert torch.linalg.svdvals(weights.flatten(1)).numpy() == pytest.approx(1.0, abs=1e-5)
    signs = torch.stack([initialising.orthogonal((3, 3)) for _ in range(2000)]).mean(0)
    assert signs.abs().max().item() < 0.06, "no direction is preferred"


@pytest.mark.shows("O7")
def test_constants() -> None:
    assert initialising.zeros(CONVOLUTION).count_nonzero() == 0
    assert (initialising.constant(CONVOLUTION) * 48 * 25 == 1).all()
    h = torch.randn(7, 500)
    torch.testing.assert_close(h @ initialising.constant(DENSE).T, h.mean(1, keepdim=True).expand(7, 300))


# --- claim m-init: deep nets --------------------------------------------------------------------

LAYERS, WIDTH, DRAWS, BATCH = 30, 512, 20, 32


def moments(rule: str, phi: Callable[[Tensor], Tensor], layers: int = LAYERS) -> Tensor:
    """Second moments of inputs, then of what each layer hands φ, the mean of all draws: (layers + 1,)."""
    found = torch.zeros(layers + 1)
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        z = torch.randn(BATCH, WIDTH)
        found[0] += z.square().mean() / DRAWS
        for layer in range(layers):
            h = phi(z) if layer else z
            z = h @ initialising.RULES[rule]((WIDTH, WIDTH)).T
            found[layer + 1] += z.square().mean() / DRAWS
    return found


@pytest.mark.shows("O7")
def test_through_thirty_relu_layers_he_keeps_the_second_moment_and_xavier_loses_it() -> None:
    """What layer 30 hands on relative to layer 1: about 1 with He, 2⁻²⁹ with Xavier, which halves it each time."""
    kept = moments("he_normal", torch.relu)[1:]
    assert all(0.5 <= ratio <= 2 for ratio in (kept / kept[0]).tolist())
    lost = moments("xavier_normal", torch.relu)[1:]
    assert (lost[-1] / lost[0]).log2().item() == pytest.approx(1 - LAYERS, abs=1)


@pytest.mark.shows("O7")
def test_under_tanh_and_xavier_the_variance_of_signals_decays_like_one_over_twice_the_depth() -> None:
    """E tanh²(z) = q − 2q² + … for z ~ N(0, q), so 1/q grows by 2 a layer, in the end q ≈ 1/2ℓ."""
    q = moments("xavier_normal", torch.tanh, layers=60)
    growth = (1 / q[60] - 1 / q[20]) / 40
    assert growth.item() == pytest.approx(2.0, rel=0.15)
    assert (2 * 60 * q[60]).item() == pytest.approx(1.0, rel=0.2)


@pytest.mark.shows("O7")
def test_under_tanh_and_xavier_all_layers_get_gradients_of_one_size() -> None:
    """Variances of ∂L/∂W by layer: alike with Xavier; from a third of that, a factor 3 a layer is lost."""

    def spread(scale: float) -> list[float]:
        torch.manual_seed(0)
        weights = [initialising.xavier_normal((WIDTH, WIDTH)).mul_(scale).requires_grad_() for _ in range(LAYERS)]
        h = torch.randn(BATCH, WIDTH)
        for w in weights:
            h = torch.tanh(h @ w.T)
        gradients = torch.autograd.grad((h * torch.randn_like(h)).sum(), weights)
        return [gradient.square().mean().item() for gradient in gradients]

    kept = spread(1.0)[3:]
    assert max(kept) / min(kept) < 2
    small = spread(3**-0.5)[3:]
    assert small[0] < 1e-6 * kept[0]


# --- models ---------------------------------------------------------------------------------------

SCHEMA = Schema(Field("vector", (64,)), Field("category", (), 10))
IMAGES = Schema(Field("image", (3, 16, 16)), Field("category", (), 10))


def dense(f: nn.Module) -> list[nn.Linear]:
    return [layer for layer in f.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.shows("O7")
@pytest.mark.parametrize(
    ("activation", "rule"), [("relu", "he"), ("gelu", "he"), ("tanh", "xavier"), ("selu", "lecun")]
)
def test_deep_nets_begin_by_their_activation(activation: str, rule: str) -> None:
    torch.manual_seed(0)
    f = registry.build("models", {"name": "mlp", "widths": [400, 300, 200, 300], "activation": activation}, SCHEMA)
    assert rule_for(activation).startswith(rule)
    for layer in dense(f)[:-1]:
        expected = VARIANCES[rule](layer.in_features, layer.out_features)
        assert layer.weight.var().item() == pytest.approx(expected, rel=0.06)
        assert layer.bias.count_nonzero() == 0
    head = dense(f)[-1]
    assert head.weight.var().item() == pytest.approx(1 / (3 * head.in_features), rel=0.1)


@pytest.mark.shows("O7")
def test_shallow_nets_begin_small_and_a_named_rule_holds_everywhere() -> None:
    torch.manual_seed(0)
    for spec, schema in (({"name": "mlp"}, SCHEMA), ({"name": "cnn"}, IMAGES)):
        for layer in registry.build("models", spec, schema).modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                n_in = initialising.fans(layer.weight.shape)[0]
                assert layer.weight.var().item() == pytest.approx(1 / (3 * n_in), rel=0.12)
        named = registry.build("models", {**spec, "init": "he_uniform"}, schema)
        for layer in named.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                n_in = initialising.fans(layer.weight.shape)[0]
                assert layer.weight.var().item() == pytest.approx(2 / n_in, rel=0.12)
                assert layer.bias.count_nonzero() == 0


@pytest.mark.shows("O7")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("init", ["zeros", "constant", "auto"])
def test_units_that_begin_alike_stay_alike(init: str, activation: str) -> None:
    """Claim m-symmetry: of zeros nothing learns but the last bias; of a constant, all units of a layer as one."""
    model = {"name": "mlp", "widths": [16, 8], "activation": activation, "init": init}
    f = star.fit("blobs", model=model, steps=30, algorithm={"name": "sgd", "lr": 0.1}).program.f.cpu()
    first, second, head = dense(f)
    if init == "zeros":
        assert not any(layer.weight.count_nonzero() for layer in (first, second, head))
        assert head.bias.count_nonzero() > 0
    apart = max(layer.weight.std(0).max().item() for layer in (first, second))
    moved = (second.weight - 1 / 16).abs().max().item()
    assert apart > 0.05 if init == "auto" else apart < 1e-6
    assert init != "constant" or moved > 1e-3, "they learn, but alike"
