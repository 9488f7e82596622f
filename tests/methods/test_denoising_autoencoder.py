"""The denoising autoencoder: what is corrupted, the closed form of the linear one, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.pretexts import arrays, probed, recipe
from tests.methods.probing import assembled

from thetastar import equation
from thetastar.functional.keys import seeded
from thetastar.methods.denoising_autoencoder import denoising_autoencoder

pytestmark = pytest.mark.shows("L2")


def test_masking_takes_exactly_its_share_and_of_images_whole_pixels() -> None:
    method = denoising_autoencoder(share=0.3)
    vectors = method.corrupted(torch.ones(50, 20))
    assert ((vectors == 0).sum(1) == 6).all()
    assert (vectors.sum(0) > 20).all()  # any entry can go
    images = method.corrupted(torch.ones(50, 3, 4, 5))
    assert torch.equal(images.amin(1), images.amax(1))
    assert ((images[:, 0] == 0).sum((1, 2)) == 6).all()


def linear(width: int, **method: Any) -> tuple[np.ndarray, np.ndarray]:
    """g∘f of a linear net after training on Gaussian rows, and the covariance of these in their own deviations."""
    random = np.random.default_rng(0)
    mixed = random.standard_normal((3000, 4)) @ random.standard_normal((4, 6)) + 0.3 * random.standard_normal((3000, 6))
    data = {**arrays(mixed), "batch_size": "all", "valid": 0.0, "test": 0.0}
    model = {"name": "mlp", "widths": [width], "activation": "identity"}
    given = recipe({"name": "denoising_autoencoder", **method}, data, steps=450, model=model, lr=0.02)
    whole, stream, program = assembled(given)
    equation.fit(whole, stream=stream, start=program)
    f: Any = program.f
    method_: Any = program.method
    product = (method_.decoder.weight @ f.hidden[0].weight).detach().numpy()
    standard = (mixed - mixed.mean(0)) / mixed.std(0)
    return product, np.cov(standard.T, bias=True)


@pytest.mark.parametrize("width", [6, 2])
def test_a_linear_one_learns_shrunk_principal_components(width: int) -> None:
    """U_k Λ_k (Λ_k + σ²)^{-1} U_kᵀ: of all six the Wiener filter Σ (Σ + σ²)^{-1}, of two their part of it."""
    found, covariance = linear(width, corruption="gaussian", noise=0.7)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:width], vectors[:, ::-1][:, :width]
    expected = vectors * (values / (values + 0.49)) @ vectors.T
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_a_linear_one_under_masking_learns_the_least_squares_solution() -> None:
    """Of 6 entries 2 are masked: E x̃x̃ᵀ has Σ_ii · 2/3 and Σ_ij · (4 · 3)/(6 · 5), E xx̃ᵀ has Σ_ij · 2/3."""
    found, covariance = linear(6, corruption="masking", share=1 / 3)
    seen = np.where(np.eye(6, dtype=bool), 2 / 3, 12 / 30) * covariance
    expected = 2 / 3 * covariance @ np.linalg.inv(seen)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_without_corruption_it_learns_to_copy() -> None:
    found, _ = linear(6, corruption="gaussian", noise=0.0)
    assert np.linalg.norm(found - np.eye(6)) < 0.2 * np.linalg.norm(np.eye(6))  # slow where the data hardly vary


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    runs = [probed(recipe("denoising_autoencoder", steps=400, seed=seed))[:2] for seed in range(3)]
    assert all(after > before for before, after in runs), runs
    assert np.mean([after - before for before, after in runs]) > 0.02


def test_the_error_in_the_trace_and_the_pictures() -> None:
    _, stream, program = assembled(recipe("denoising_autoencoder"))
    batch = stream.sample("train", 8)
    with seeded("loss"):
        loss, aux = program("loss", batch, equation.Clock(0))
    method: Any = program.method
    standard = (batch["input"] - method.mean) / method.std
    np.testing.assert_allclose(aux.log["denoising_error"], loss.item() / standard.square().mean(), rtol=1e-5)
    shown = method.predict(program.f, batch, frozenset({"pictures"}), equation.Clock(0))
    assert list(shown) == ["original", "corrupted", "restored"]
    same = (shown["corrupted"] - shown["original"]).abs() < 1e-6
    assert (same.flatten(1).sum(1) >= 48).all()  # three of four pixels are as they were
