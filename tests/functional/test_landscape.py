"""Filter-normalised slices and principal planes against closed forms and NumPy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thetastar.functional.landscape import along, filter_normalised, principal, random_direction

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (64,), generator=torch.Generator().manual_seed(2))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def slice_of(f: nn.Sequential, normalise: bool) -> Tensor:
    weights = list(f.parameters())
    direction = random_direction(weights, torch.Generator().manual_seed(3), normalise)
    places = torch.linspace(-1, 1, 11)[:, None]
    return along(lambda: nn.functional.cross_entropy(f(X), Y).item(), weights, [direction], places)


def test_filters_get_the_length_of_their_weights_and_biases_none() -> None:
    kernel, direction = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    kernel[2] = 0
    found = filter_normalised(direction, kernel)
    for own, weight, drawn in zip(found, kernel, direction, strict=True):
        assert own.norm().item() == pytest.approx(weight.norm().item(), rel=1e-5)
        torch.testing.assert_close(own, drawn * weight.norm() / drawn.norm())
    assert not filter_normalised(torch.randn(4), torch.randn(4)).any()


@pytest.mark.shows("O6")
@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_rescaling_relu_layers_leaves_the_normalised_slice_and_only_that(factor: float) -> None:
    f = net()
    scaled = copy.deepcopy(f)
    with torch.no_grad():
        scaled[0].weight.mul_(factor)
        scaled[0].bias.mul_(factor)
        scaled[2].weight.div_(factor)
    torch.testing.assert_close(f(X), scaled(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slice_of(f, True), slice_of(scaled, True), rtol=1e-4, atol=1e-5)
    plain, other = slice_of(f, False), slice_of(scaled, False)
    assert (plain - other).abs().max() > 0.1 * (plain.max() - plain.min())


@pytest.mark.shows("O6")
def test_a_quadratic_is_its_closed_form_and_the_weights_come_back() -> None:
    """½ θᵀAθ − bᵀθ at θ + s d + t e, by NumPy in float64."""
    random = np.random.default_rng(0)
    root, b, start = random.normal(size=(6, 6)), random.normal(size=6), random.normal(size=6)
    a = root @ root.T
    d, e = random.normal(size=(2, 6))
    theta, matrix, slope = torch.from_numpy(start.copy()), torch.from_numpy(a), torch.from_numpy(b)
    axis = torch.linspace(-2, 2, 5)
    places = torch.cartesian_prod(axis, axis)
    directions = [[torch.from_numpy(d)], [torch.from_numpy(e)]]
    found = along(lambda: (0.5 * theta @ matrix @ theta - slope @ theta).item(), [theta], directions, places)
    for (s, t), value in zip(places.tolist(), found.tolist(), strict=True):
        here = start + s * d + t * e
        assert value == pytest.approx(0.5 * here @ a @ here - b @ here, rel=1e-10, abs=1e-10)
    assert np.array_equal(theta.numpy(), start)


def test_an_error_on_the_way_leaves_the_weights_as_they_were() -> None:
    theta = torch.ones(3)

    def broken() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        along(broken, [theta], [[torch.ones(3)]], torch.tensor([[5.0]]))
    assert torch.equal(theta, torch.ones(3))


@pytest.mark.shows("O6")
def test_principal_directions_are_those_of_numpys_svd() -> None:
    random = np.random.default_rng(1)
    path = np.cumsum(random.normal(size=(12, 40)), 0)
    directions, places, shares = principal(torch.from_numpy(path), torch.from_numpy(path[-1]))
    _, sizes, right = np.linalg.svd(path - path[-1], full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(directions.numpy() * right[:2], 1)), 1.0, atol=1e-9)
    np.testing.assert_allclose(places.numpy(), (path - path[-1]) @ directions.numpy().T, atol=1e-9)
    np.testing.assert_allclose(shares.numpy(), sizes[:2] ** 2 / np.sum(sizes**2), atol=1e-12)
    np.testing.assert_allclose(places[-1].numpy(), 0, atol=1e-9)


def test_a_path_within_a_plane_is_drawn_true_to_scale() -> None:
    random = np.random.default_rng(2)
    plane = np.linalg.qr(random.normal(size=(30, 2)))[0].T
    way = random.normal(size=(9, 2))
    path = torch.from_numpy(way @ plane)
    _, places, shares = principal(path, path[-1])
    assert shares.sum().item() == pytest.approx(1.0)
    expected = np.linalg.norm(way[:, None] - way[None], axis=-1)
    np.testing.assert_allclose(torch.cdist(places, places).numpy(), expected, atol=1e-6)
