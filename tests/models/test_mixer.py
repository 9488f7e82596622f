"""The MLP-Mixer: published counts and the forward pass by hand; the plain perceptron of the lecture table."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.models.mixer import mixer_small
from thetastar.protocols import Field, Schema

pytestmark = pytest.mark.shows("V8")


def schema_of(size: int, classes: int, channels: int = 3) -> Schema:
    return Schema(Field("image", (channels, size, size)), Field("category", (), classes=classes))


@pytest.mark.parametrize(
    ("name", "schema", "count"),
    [
        ("mixer_small", schema_of(224, 1000), 18_528_264),
        ("mixer_base", schema_of(224, 1000), 59_880_472),
        ("mlp", schema_of(28, 10, 1), 535_818),
    ],
)
def test_published_counts(name: str, schema: Schema, count: int) -> None:
    with torch.device("meta"):
        model = registry.build("models", name, schema)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_by_hand() -> None:
    model = mixer_small(schema_of(8, 3), patch=4, width=16, depth=2).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    state, x = model.state_dict(), torch.rand(5, 3, 8, 8)

    def normal(z: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = z.mean(-1, keepdim=True), z.var(-1, keepdim=True, correction=0)
        return (z - mean) / (variance + 1e-6).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]

    def mixed(z: torch.Tensor, name: str) -> torch.Tensor:
        hidden = F.gelu(z @ state[f"{name}.fc1.weight"].T + state[f"{name}.fc1.bias"])
        return hidden @ state[f"{name}.fc2.weight"].T + state[f"{name}.fc2.bias"]

    rows = F.unfold(x, 4, stride=4).transpose(1, 2)
    z = rows @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    for block in range(2):
        z = z + mixed(normal(z, f"blocks.{block}.norm1").mT, f"blocks.{block}.mlp_tokens").mT
        z = z + mixed(normal(z, f"blocks.{block}.norm2"), f"blocks.{block}.mlp_channels")
    hand = normal(z, "norm").mean(1) @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(model(x), hand, atol=1e-5, rtol=1e-5)


def test_mixing_patches_needs_their_places() -> None:
    """What `mlp_tokens` does is all that tells places apart: without it a shuffled image is the same."""
    model = mixer_small(schema_of(8, 3), patch=4, width=16, depth=2).eval()
    x, order = torch.rand(2, 3, 8, 8), torch.tensor([2, 0, 3, 1])
    moved = F.fold(F.unfold(x, 4, stride=4)[:, :, order], (8, 8), 4, stride=4)
    assert not torch.allclose(model(x), model(moved), atol=1e-4)
    for block in model.blocks:
        torch.nn.init.zeros_(block.mlp_tokens.fc2.weight)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    assert torch.allclose(model(x), model(moved), atol=1e-5)


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="mixer_small: patches of 16×16 do not divide 40×40 images"):
        mixer_small(schema_of(40, 3), patch=16)
