"""Vision Transformers: published counts, the forward pass by hand, what places are for, and the distillation token."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.positions import resized
from thetastar.models.deit import Distilled, deit_tiny
from thetastar.models.vit import VisionTransformer, vit_hybrid, vit_tiny
from thetastar.protocols import Field, Schema

pytestmark = pytest.mark.shows("V8")


def schema_of(size: int = 8, classes: int = 3, channels: int = 3, moments: bool = False) -> Schema:
    mean, std = ((0.4,) * channels, (0.2,) * channels) if moments else ((), ())
    field = Field("image", (channels, size, size), mean=mean, std=std)
    return Schema(field, Field("category", (), classes=classes))


def small(kind: type[VisionTransformer] = vit_tiny, size: int = 8, **more: object) -> VisionTransformer:
    arguments = {"patch": 4, "width": 16, "depth": 2, "heads": 2, **more}
    return kind(schema_of(size, moments=True), **arguments).eval()  # pyright: ignore[reportArgumentType]


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "patch", "classes", "count"),
    [
        ("vit_tiny", 16, 1000, 5_717_416),
        ("vit_tiny", 16, 200, 5_563_016),
        ("vit_small", 16, 1000, 22_050_664),
        ("vit_small", 16, 200, 21_742_664),  # the head is 77,000 of these
        ("vit_small", 16, 10, 21_669_514),
        ("vit_base", 16, 1000, 86_567_656),
        ("vit_base", 16, 200, 85_952_456),
        ("vit_large", 16, 1000, 304_326_632),
        ("vit_huge", 14, 1000, 632_045_800),
        ("deit_tiny", 16, 1000, 5_910_800),
        ("deit_small", 16, 1000, 22_436_432),
        ("deit_base", 16, 1000, 87_338_192),
    ],
)
def test_published_counts(name: str, patch: int, classes: int, count: int) -> None:
    with torch.device("meta"):
        model = registry.build("models", {"name": name, "patch": patch}, schema_of(224, classes))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_hybrid_costs_as_much_as_the_plain_one() -> None:
    """Stem and 11 blocks, counted by hand; within 6% of ViT-S with its 12 blocks."""
    with torch.device("meta"):
        model = registry.build("models", "vit_hybrid", schema_of(224, 1000))
    widths = [3, 48, 96, 192, 384]
    stem = sum(9 * a * b + 2 * b for a, b in pairwise(widths)) + 384 * 384 + 384
    block = 4 * 384 + 4 * 384 * (384 + 1) + 2 * 4 * 384 * 384 + 5 * 384
    expected = stem + 11 * block + (1 + 197) * 384 + 2 * 384 + 385 * 1000
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == 21_002_392


def test_names_are_those_of_the_usual_checkpoints() -> None:
    names = set(dict(small(deit_tiny, depth=1).named_parameters()))
    block = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    layers = ["patch_embed.proj", *(f"blocks.0.{part}" for part in block), "norm", "head", "head_dist"]
    expected = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert names == expected | {"cls_token", "dist_token", "pos_embed"}


# --- the forward pass by hand --------------------------------------------------------------------------------------


def encoded_by_hand(state: dict[str, Tensor], x: Tensor, patch: int, heads: int) -> Tensor:
    """From the weights alone, token by token and head by head."""
    batch, _, height, width = x.shape
    x = (x - 0.4) / 0.2
    rows = x.unfold(2, patch, patch).unfold(3, patch, patch)  # (batch, channels, down, across, patch, patch)
    rows = rows.permute(0, 2, 3, 1, 4, 5).reshape(batch, height * width // patch**2, -1)
    z = rows @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    front = [state[name].expand(batch, -1, -1) for name in ("cls_token", "dist_token") if name in state]
    z = torch.cat([*front, z], 1) + state["pos_embed"]
    d = z.shape[-1] // heads
    for block in range(sum(name.endswith("norm1.weight") for name in state)):
        at = f"blocks.{block}."
        n = F.layer_norm(z, z.shape[-1:], state[f"{at}norm1.weight"], state[f"{at}norm1.bias"], 1e-6)
        w, b = state[f"{at}attn.qkv.weight"], state[f"{at}attn.qkv.bias"]
        parts: list[Tensor] = []
        for head in range(heads):
            own = slice(head * d, (head + 1) * d)
            q, k, v = (n @ w_one[own].T + b_one[own] for w_one, b_one in zip(w.chunk(3), b.chunk(3), strict=True))
            shares = torch.exp(q @ k.mT / math.sqrt(d))
            parts.append(shares / shares.sum(-1, keepdim=True) @ v)
        z = z + torch.cat(parts, -1) @ state[f"{at}attn.proj.weight"].T + state[f"{at}attn.proj.bias"]
        n = F.layer_norm(z, z.shape[-1:], state[f"{at}norm2.weight"], state[f"{at}norm2.bias"], 1e-6)
        hidden = n @ state[f"{at}mlp.fc1.weight"].T + state[f"{at}mlp.fc1.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        z = z + hidden @ state[f"{at}mlp.fc2.weight"].T + state[f"{at}mlp.fc2.bias"]
    return F.layer_norm(z, z.shape[-1:], state["norm.weight"], state["norm.bias"], 1e-6)


@pytest.mark.parametrize("kind", [vit_tiny, deit_tiny])
def test_by_hand(kind: type[VisionTransformer]) -> None:
    model = small(kind)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    state, x = model.state_dict(), torch.rand(3, 3, 8, 8)
    z = encoded_by_hand(state, x, 4, 2)
    said = z[:, 0] @ state["head.weight"].T + state["head.bias"]
    if isinstance(model, Distilled):
        distilled = z[:, 1] @ state["head_dist.weight"].T + state["head_dist.bias"]
        for ours, hand in zip(model.both(x), (said, distilled), strict=True):
            torch.testing.assert_close(ours, hand, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.features(x), (z[:, 0] + z[:, 1]) / 2, atol=1e-5, rtol=1e-5)
        said = (said + distilled) / 2
    torch.testing.assert_close(model(x), said, atol=1e-5, rtol=1e-5)


def test_weights_before_the_first_step() -> None:
    model = vit_tiny(schema_of(32), depth=1)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 or name == "pos_embed":
            assert parameter.abs().max() <= 0.04, name
            assert parameter.std().item() == pytest.approx(0.02 * 0.8796, rel=0.1), name  # of N(0, 1) cut at ±2
        elif name.endswith("bias") and "patch_embed" not in name:
            assert not parameter.any(), name


# --- what places are for -------------------------------------------------------------------------------------------


def shuffled(x: Tensor, patch: int, order: Tensor) -> Tensor:
    """The same patches elsewhere."""
    size = x.shape[-1]
    return F.fold(F.unfold(x, patch, stride=patch)[:, :, order], (size, size), patch, stride=patch)


@pytest.mark.parametrize("positions", [None, "learned", "sinusoidal"])
def test_without_places_a_shuffled_image_is_the_same(positions: str | None) -> None:
    model = small(size=16, positions=positions)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, order = torch.rand(4, 3, 16, 16), torch.randperm(16, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model(x), model(shuffled(x, 4, order)), atol=1e-4) == (positions is None)


@pytest.mark.parametrize(("positions", "learns"), [(None, False), ("learned", True), ("sinusoidal", True)])
def test_places_are_what_a_task_of_places_needs(positions: str | None, learns: bool) -> None:
    """In which half is the bright patch? Every image has the same patches, so that without places all look alike."""
    x = torch.zeros(16, 3, 8, 8)
    for place in range(16):
        down, across = 2 * (place // 4), 2 * (place % 4)
        x[place, :, down : down + 2, across : across + 2] = 1
    y = (torch.arange(16) % 4 >= 2).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = small(positions=positions, patch=2, depth=1).train()
        rule = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0)
        for _ in range(150):
            rule.zero_grad()
            F.cross_entropy(model(x), y).backward()
            rule.step()
        right = (model.eval()(x).argmax(1) == y).float().mean().item()
    assert right == (1.0 if learns else 0.5)


def test_waves_are_no_weights() -> None:
    model = small(positions="sinusoidal")
    assert "pos_embed" not in model.state_dict()
    assert model.pos_embed is not None


# --- mistakes ------------------------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="patches of 16×16 do not divide 40×40 images; expected 32×32 or 48×48"):
        vit_tiny(schema_of(40), patch=16)
    with pytest.raises(UserError, match=r"width 30 and 4 heads; .*; set model.width=32"):
        vit_tiny(schema_of(), width=30, heads=4)
    with pytest.raises(UserError, match=r"vit_hybrid with model.patch=12; expected a power of two"):
        vit_hybrid(schema_of(24), patch=12)
    mask = Schema(Field("image", (3, 8, 8)), Field("mask", (8, 8), classes=3))
    with pytest.raises(UserError, match="vit_tiny with mask targets"):
        vit_tiny(mask)


def test_one_pixel_is_an_image() -> None:
    model = small(size=1, patch="auto")
    assert model(torch.rand(2, 3, 1, 1)).shape == (2, 3)


@pytest.mark.parametrize("kind", [vit_tiny, vit_hybrid, deit_tiny])
def test_images_of_another_size_have_places_between_those_that_were_learnt(kind: type[VisionTransformer]) -> None:
    f = small(kind, 16)
    x = torch.rand(2, 3, 8, 12)
    patches = f.patch_embed(f.standardise(x))
    assert isinstance(f.pos_embed, Tensor)
    expected = torch.cat([f.front().expand(2, -1, -1), patches], 1) + resized(f.pos_embed, f.tokens, (4, 4), (2, 3))
    torch.testing.assert_close(f.embedded(x), expected)
    torch.testing.assert_close(f(F.pad(x, (0, 3, 0, 2))), f(x))  # less than a patch is left out
    f(x).sum().backward()
    assert f.pos_embed.grad is not None
    assert f.pos_embed.grad.abs().sum(-1).gt(0).all()
