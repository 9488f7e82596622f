"""Colourisation: shares, weights and loss in NumPy, what f sees, grey images refused, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.methods.pretexts import arrays, loss_of, probed, recipe
from tests.methods.probing import assembled
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.lab import gamut, lab, srgb
from thetastar.methods.colourisation import colourisation
from thetastar.protocols import Aux, Clock

pytestmark = pytest.mark.shows("L2")
SMALL = {"name": "colourisation", "hidden": 16, "stride": 2}


def digits() -> dict[str, Any]:
    """Digits of a hue each, as grass is green: of the same lightness and chroma, so grey images do not tell it."""
    found: Any = load_digits()
    ink, angle = torch.tensor(found.images / 16), torch.tensor(2 * np.pi * found.target / 10)[:, None, None]
    colours = torch.stack([30 + 40 * ink, 30 * ink * angle.cos(), 30 * ink * angle.sin()], 1)
    return arrays(srgb(colours), found.target)


def grey(x: Tensor) -> Tensor:
    lightness = lab(x)[:, :1]
    return srgb(torch.cat([lightness, torch.zeros_like(lightness).expand(-1, 2, -1, -1)], 1))


def made(**method: Any) -> tuple[Any, colourisation, Tensor]:
    _, stream, program = assembled(recipe({**SMALL, **method}, digits()))
    assert isinstance(program.method, colourisation)
    return program.eval(), program.method, stream.sample("train", 5)["input"]


def shares_by_hand(chroma: np.ndarray, bins: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(bins - chroma, axis=1)
    nearest = np.argsort(distance)[:5]
    shares = np.zeros(len(bins))
    shares[nearest] = np.exp(-np.square(distance[nearest]) / 50)
    return shares / shares.sum()


def test_the_loss_is_the_cross_entropy_with_shared_bins_weighed_by_rarity() -> None:
    program, method, _ = made()
    x = torch.rand(5, 3, 8, 8)  # of digits some chroma lie as far from one bin as from another
    bins = gamut(10).double().numpy()
    random = np.random.default_rng(0)
    frequency = random.dirichlet(np.full(len(bins), 0.5))
    method.frequency.copy_(torch.tensor(frequency))
    loss, aux = loss_of(program, {"input": x})
    rare = 1 / (0.5 * frequency + 0.5 / len(bins))
    rare /= (frequency * rare).sum()
    colour = lab(x.double()).numpy()
    logits = method.decoder(program.f.features(grey(x))).detach().double().numpy()  # (batch, bins, 4, 4)
    losses, mean_shares, off, vivid = [], np.zeros((5, len(bins))), [], []
    for n in range(5):
        for down in range(4):
            for across in range(4):
                block = colour[n, 1:, 2 * down : 2 * down + 2, 2 * across : 2 * across + 2]
                chroma = block.mean((1, 2))
                shares, z = shares_by_hand(chroma, bins), logits[n, :, down, across]
                losses.append(-rare[shares.argmax()] * (shares * (z - np.log(np.exp(z).sum()))).sum())
                mean_shares[n] += shares / 16
                sharp = np.exp(z / 0.38)
                off.append(np.linalg.norm(sharp @ bins / sharp.sum() - chroma))
                vivid.append(np.linalg.norm(chroma))
    np.testing.assert_allclose(loss.item(), np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(aux.carry["shares"], mean_shares, atol=1e-5)
    np.testing.assert_allclose(aux.log["chroma_error"], np.mean(off) / np.mean(vivid), rtol=1e-4)


def test_frequencies_are_the_mean_of_what_was_seen_and_move_in_observe_alone() -> None:
    program, method, _ = made()
    bins = len(method.bins)
    assert torch.allclose(method.frequency, torch.full((bins,), 1 / bins))
    assert torch.allclose(method.weights(), torch.ones(bins))
    seen = [torch.rand(4, bins).softmax(1) for _ in range(5)]
    for step, shares in enumerate(seen):
        method.observe(program.f, {"loss": Aux(carry={"shares": shares})}, Clock(0, step=step, steps=5))
    torch.testing.assert_close(method.frequency, torch.cat(seen).mean(0))
    torch.testing.assert_close((method.frequency * method.weights()).sum(), torch.tensor(1.0))


def test_rare_colours_count_more_and_with_all_of_lambda_alike() -> None:
    _, method, _ = made(rebalance=1.0)
    method.frequency.copy_(torch.arange(1.0, 1 + len(method.bins)) / method.frequency.numel())
    assert torch.allclose(method.weights(), method.weights()[0])
    _, method, _ = made(rebalance=0.5)
    method.frequency.copy_(torch.arange(1.0, 1 + len(method.bins)) / method.frequency.numel())
    assert (method.weights().diff() < 0).all()


def test_a_picture_takes_neither_the_mean_nor_the_mode() -> None:
    _, method, _ = made()
    logits = torch.full((len(method.bins),), -50.0)
    logits[[3, 200]] = torch.tensor([0.6, 0.4]).log()
    share = 0.6 ** (1 / 0.38) / (0.6 ** (1 / 0.38) + 0.4 ** (1 / 0.38))
    expected = share * method.bins[3] + (1 - share) * method.bins[200]
    torch.testing.assert_close(method.decided(logits), expected, rtol=1e-4, atol=1e-3)


def test_f_never_sees_colour_and_pictures_keep_the_lightness(monkeypatch: pytest.MonkeyPatch) -> None:
    program, _, x = made()
    seen: list[Tensor] = []
    features = program.f.features

    def noted(image: Tensor) -> Tensor:
        seen.append(image)
        return features(image)

    monkeypatch.setattr(program.f, "features", noted)
    loss_of(program, {"input": x})
    (image,) = seen
    assert lab(image)[:, 1:].abs().max() < 1e-3
    torch.testing.assert_close(lab(image)[:, 0], lab(x)[:, 0], rtol=1e-4, atol=1e-3)
    shown = program.method.predict(program.f, {"input": x}, frozenset({"pictures"}), Clock(0))
    assert list(shown) == ["original", "grey", "colourised"]
    torch.testing.assert_close(shown["grey"], grey(x), rtol=1e-4, atol=1e-4)


def test_a_linear_probe_of_grey_images_reads_more_from_its_features_than_from_random_ones() -> None:
    runs = [probed(recipe(SMALL, digits(), 150, seed, lr=1e-2), 200, grey) for seed in range(2)]
    assert all(after > before + 0.05 for before, after, _, _ in runs), [run[:2] for run in runs]
    _, _, program, stream = runs[0]
    assert loss_of(program, stream.sample("valid", 200))[1].log["chroma_error"] < 0.85


def test_grey_images_are_refused() -> None:
    random = np.random.default_rng(0).random((40, 1, 8, 8))
    with pytest.raises(UserError, match="grey images: channels: 1"):
        assembled(recipe(SMALL, arrays(random)))
    with pytest.raises(UserError, match="three equal ones"):
        assembled(recipe(SMALL, arrays(random.repeat(3, 1))))
