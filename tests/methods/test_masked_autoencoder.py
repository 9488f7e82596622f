"""The masked autoencoder: visible patches alone are encoded, masked ones alone are in the loss; what that saves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.pretexts import CNN, loss_of, probed, recipe
from tests.methods.probing import assembled
from torch.utils.flop_counter import FlopCounterMode

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.attention import in_plain_products
from thetastar.functional.keys import seeded
from thetastar.functional.patches import rows_of_patches
from thetastar.methods.masked_autoencoder import masked_autoencoder
from thetastar.protocols import Clock, Field, Schema

pytestmark = pytest.mark.shows("L2")
VIT = {"name": "vit_tiny", "patch": 2, "width": 16, "depth": 2, "heads": 2}
MAE = {"name": "masked_autoencoder", "width": 16, "depth": 1}


def made(**method: Any) -> tuple[Any, masked_autoencoder, Any]:
    """f, the method and a batch."""
    _, stream, program = assembled(recipe({**MAE, **method}, model=VIT))
    method_ = program.method
    assert isinstance(method_, masked_autoencoder)
    return program.eval().f, method_, stream.sample("train", 6)


# --- what is encoded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vit_tiny", "deit_tiny"])
def test_kept_patches_are_encoded_as_by_the_full_net_that_sees_only_them(name: str) -> None:
    """Token by token: the net's own embedding and places, then its blocks on these rows alone."""
    schema = Schema(Field("image", (1, 8, 8), mean=(0.3,), std=(0.2,)), Field("category", (), 10))
    f = registry.build("models", {**VIT, "name": name}, schema).eval()
    x = torch.rand(3, 1, 8, 8)
    kept = torch.tensor([[5, 0, 11], [15, 3, 2], [7, 8, 9]])
    found = f.encoded(x, kept)
    embedded = f.embedded(x)
    for row in range(3):
        places = [*range(f.tokens), *(f.tokens + kept[row]).tolist()]
        expected = f.norm(f.blocks(embedded[row : row + 1, places]))
        torch.testing.assert_close(found[row : row + 1], expected)


def test_all_patches_kept_are_the_full_net_and_masked_ones_are_not_seen() -> None:
    f, method, batch = made()
    x = batch["input"]
    everything = torch.arange(16).expand(6, -1)
    torch.testing.assert_close(f.encoded(x, everything), f.encoded(x))
    kept, masked = method.drawn(x)
    hidden = torch.nn.functional.interpolate(masked.view(6, 1, 4, 4), scale_factor=2)
    changed = x + hidden * torch.rand_like(x)
    assert not torch.equal(x, changed)
    assert torch.equal(f.encoded(x, kept), f.encoded(changed, kept))


@pytest.mark.parametrize(("share", "count"), [(0.75, 12), (0.5, 8), (0.1, 2), (0.99, 15)])
def test_the_share_of_masked_patches_is_exact(share: float, count: int) -> None:
    _, method, batch = made(share=share)
    with seeded("masks"):
        kept, masked = method.drawn(batch["input"].repeat(50, 1, 1, 1))
    assert (masked.sum(1) == count).all()
    assert kept.shape == (300, 16 - count)
    assert all(masked[row, kept[row]].sum() == 0 for row in range(300))
    assert (masked.mean(0) - count / 16).abs().max() < 0.12  # each patch as often as any other


# --- the loss ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalised", [True, False])
def test_the_loss_is_the_mean_square_over_masked_patches(normalised: bool) -> None:
    f, method, batch = made(normalised=normalised)
    loss, aux = loss_of_method(method, f, batch)
    with seeded("loss"):
        kept, masked = method.drawn(batch["input"])
    found = method.decoded(f, batch["input"], kept).detach().double().numpy()
    standard = ((batch["input"] - method.mean) / method.std).double().numpy()
    errors, blind = [], []
    for n, place in zip(*np.nonzero(masked.numpy()), strict=True):
        down, across = divmod(int(place), 4)
        patch = standard[n, 0, 2 * down : 2 * down + 2, 2 * across : 2 * across + 2].flatten()
        if normalised:
            patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 1e-6)
        errors.append(np.mean((found[n, place] - patch) ** 2))
        blind.append(np.mean(patch**2))
    np.testing.assert_allclose(loss.item(), np.mean(errors), rtol=1e-5)
    np.testing.assert_allclose(aux.log["reconstruction_error"], np.mean(errors) / np.mean(blind), rtol=1e-5)


def loss_of_method(method: masked_autoencoder, f: Any, batch: Any) -> Any:
    with seeded("loss"):
        return method.loss(f, batch, Clock(0))


def test_visible_patches_are_not_in_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other targets there change nothing; where patches are masked they do."""
    f, method, batch = made()
    loss, _ = loss_of_method(method, f, batch)
    with seeded("loss"):
        _, masked = method.drawn(batch["input"])
    told = method.told
    for where, same in ((1 - masked, True), (masked, False)):
        monkeypatch.setattr(method, "told", lambda patches, where=where: told(patches) + 9.0 * where[..., None])
        assert torch.equal(loss_of_method(method, f, batch)[0], loss) == same


def test_pictures_keep_what_is_visible() -> None:
    f, method, batch = made()
    with seeded("pictures"):
        shown = method.predict(f, batch, frozenset({"pictures"}), Clock(0))
    with seeded("pictures"):
        _, masked = method.drawn(batch["input"])
    assert list(shown) == ["original", "masked", "reconstructed"]
    original, hidden, again = (rows_of_patches(image, 2) for image in shown.values())
    visible = masked == 0
    torch.testing.assert_close(again[visible], original[visible])
    torch.testing.assert_close(hidden[visible], original[visible])
    assert (hidden[~visible] - method.mean).abs().max() < 1e-6
    assert not torch.allclose(again[~visible], original[~visible])


# --- what it is good for -----------------------------------------------------------------------------------------


def test_visible_patches_alone_cost_a_quarter() -> None:
    """Floating point operations of the encoder on 32×32 images with 64 patches, by torch's own count."""
    schema = Schema(Field("image", (3, 32, 32)), None)
    f: Any = registry.build("models", {"name": "vit_tiny", "depth": 2}, schema)
    x, kept = torch.rand(2, 3, 32, 32), torch.arange(16).expand(2, -1)

    def operations(*inputs: Any) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), in_plain_products():
            f.encoded(*inputs)
        return counter.get_total_flops()

    whole, part = operations(x), operations(x, kept)
    embedding = 2 * 2 * 64 * 48 * 192
    block = {tokens: 2 * tokens * (12 * 192**2) + 4 * tokens**2 * 192 for tokens in (65, 17)}  # dense, then attention
    assert whole == embedding + 2 * 2 * block[65]
    assert part == embedding + 2 * 2 * block[17]
    assert whole / part > 3.7


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    bars = {"name": "resident", "source": {"name": "bars", "rows": 1500}, "batch_size": 64}
    method = {**MAE, "normalised": False}
    runs = [probed(recipe(method, bars, steps=300, seed=seed, model=VIT, lr=5e-3), 100)[:2] for seed in range(3)]
    assert all(after > before for before, after in runs), runs
    assert np.mean([after - before for before, after in runs]) > 0.03


@pytest.mark.parametrize(
    ("model", "method", "message"),
    [
        (CNN, {}, "cannot leave patches out"),
        ({**VIT, "name": "vit_hybrid"}, {}, "convolutions tell"),
        (VIT, {"share": 0.01}, "masks none"),
        (VIT, {"width": 18}, "a width that the heads divide"),
    ],
)
def test_what_it_cannot_do_is_refused(model: Any, method: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        assembled(recipe({**MAE, **method}, model=model))


def test_the_loss_is_a_function_of_the_seed() -> None:
    _, stream, program = assembled(recipe(MAE, model=VIT))
    batch = stream.sample("train", 6)
    first, again, other = (loss_of(program, batch, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
