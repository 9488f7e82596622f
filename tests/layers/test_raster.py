"""Nets in raster order: nothing that follows is seen, and everything that came before is, where it should be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.functional.raster import digitised, intensities, raster_mask, skewed, straightened
from thetastar.layers.raster import MaskedConv2d, Raster
from thetastar.protocols import Field, Schema

MODELS = {
    "pixelcnn": {"depth": 4, "first": 5},
    "image_gpt": {"depth": 1, "heads": 2},
    "row_lstm": {"depth": 1},
    "diagonal_lstm": {"depth": 1},
}
LEVELS = 3


def schema(channels: int, height: int, width: int, classes: int = 3) -> Schema:
    image = Field("image", (channels, height, width), mean=(0.4,) * channels, std=(0.3,) * channels)
    return Schema(image, Field("category", (), classes))


def build(name: str, shape: tuple[int, int, int], conditional: bool = False, **changes: Any) -> tuple[Raster, Any]:
    """f and the method around it in float64, the weights large enough that what is far away still counts."""
    with seeded("raster", name):
        spec = {"name": name, "levels": LEVELS, "width": 16, "conditional": conditional, **MODELS[name], **changes}
        f, method = registry.build("models", spec, schema(*shape)), registry.build("methods", "autoregressive")
        method.attach(f, schema(*shape))
        for parameter in (*f.parameters(), *method.parameters()):
            nn.init.normal_(parameter.detach(), std=0.3)
    return f.double().eval(), method.double()


def influence(f: Raster, method: Any, shape: tuple[int, int, int]) -> Tensor:
    """(places, places) True where another value at the second place changes logits at the first, in raster order."""
    channels, height, width = shape
    with seeded("codes"):
        base = torch.randint(LEVELS, (height * width * channels,))
    places = len(base)
    others = torch.stack([(base + shift * torch.eye(places).long()) % LEVELS for shift in range(LEVELS)])
    codes = torch.cat([base[None], *others[1:]]).view(-1, height, width, channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = method.logits(f, codes).permute(0, 2, 3, 1, 4).reshape(len(codes), places, LEVELS)
    change = (logits[1:] - logits[:1]).abs().amax(-1).view(LEVELS - 1, places, places).amax(0)  # (changed, seen at)
    assert ((change < 1e-14) | (change > 1e-12)).all(), "in between is neither nothing nor something"
    return (change > 1e-12).T


@pytest.mark.shows("L5")
@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 3)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", ["pixelcnn", "image_gpt", "diagonal_lstm"])
def test_every_place_sees_exactly_what_came_before(name: str, shape: tuple[int, int, int]) -> None:
    seen = influence(*build(name, shape), shape)
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.shows("L5")
def test_of_three_colours_a_row_lstm_sees_none_that_follows() -> None:
    shape = (3, 4, 3)
    seen = influence(*build("row_lstm", shape), shape)
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))  # so narrow that the triangle covers all


@pytest.mark.shows("L5")
@pytest.mark.parametrize("depth", [1, 2])
def test_a_row_lstm_sees_a_triangle_and_no_more(depth: int) -> None:
    """The set of every place by recursion: the square, then (self and left, three of the row above), layer by layer."""
    height, width = 5, 16
    seen = influence(*build("row_lstm", (1, height, width), depth=depth), (1, height, width))

    def within(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(r, c) for r, c in places if r >= 0 and 0 <= c < width]

    grid = list(itertools.product(range(height), range(width)))
    known: dict[tuple[int, int], set[tuple[int, int]]] = {
        (r, c): set(within([(r - d, c + e) for d in (1, 2, 3) for e in range(-3, 4)] + [(r, c - e) for e in (1, 2, 3)]))
        for r, c in grid
    }
    for _ in range(depth):
        state: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for r, c in grid:
            sources = [known[place] for place in within([(r, c), (r, c - 1)])]
            sources += [state[place] for place in within([(r - 1, c - 1), (r - 1, c), (r - 1, c + 1)])]
            state[r, c] = set().union(*sources)
        known = {place: known[place] | state[place] for place in grid}
    expected = torch.tensor([[other in known[place] for other in grid] for place in grid])
    assert torch.equal(seen, expected)
    assert not seen[-1, 0]  # the far end of the first row is out of sight


@pytest.mark.shows("L5")
def test_two_gated_layers_see_the_rectangles_of_their_kernels() -> None:
    """Rows above by the reach of both, columns to both sides by the sum; in its own row to the left by the sum."""
    height, width = 6, 12
    seen = influence(*build("pixelcnn", (1, height, width), depth=2, first=5, size=3), (1, height, width))
    grid = list(itertools.product(range(height), range(width)))
    expected = [
        [(1 <= r - s <= 3 and abs(c - d) <= 3) or (r == s and 1 <= c - d <= 3) for s, d in grid] for r, c in grid
    ]
    assert torch.equal(seen, torch.tensor(expected))


class Squares(nn.Module):
    """The PixelCNN before gates: one stack of masked squares."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        inner = [MaskedConv2d(1, 2, 2, 1, above=True, own=True) for _ in range(depth)]
        self.layers = nn.Sequential(MaskedConv2d(1, 1, 2, 1, above=True, own=False), *inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.shows("L5")
def test_one_stack_of_masked_squares_has_the_blind_spot_that_two_stacks_have_not() -> None:
    """By r rows above it sees at most r columns to the right: of rows that lie next to it almost half is hidden."""
    with seeded("squares"):
        net = Squares(8).double()
    x = torch.zeros(1, 1, 4, 9, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x)[0, :, 3, 4].sum(), x)
    seen = slope[0, 0] != 0
    expected = [[(r < 3 and c - 4 <= 3 - r) or (r == 3 and c < 4) for c in range(9)] for r in range(4)]
    assert torch.equal(seen, torch.tensor(expected))
    assert influence(*build("pixelcnn", (1, 4, 9), depth=8, first=3), (1, 4, 9))[3 * 9 + 4, 8]  # upper right corner


@pytest.mark.shows("L5")
@pytest.mark.parametrize("name", ["pixelcnn", "row_lstm", "diagonal_lstm"])
def test_with_mask_b_in_the_first_layer_a_place_sees_itself(name: str) -> None:
    shape = (1, 3, 4)
    f, method = build(name, shape)
    net: Any = f
    first = net.layers[0].horizontal if name == "pixelcnn" else net.first
    first.mask[:, :, -1, first.margin[0]] = 1.0
    assert influence(f, method, shape).diagonal().all()


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 3, 2)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", MODELS)
def test_place_after_place_is_the_same_as_all_at_once(
    name: str, shape: tuple[int, int, int], conditional: bool
) -> None:
    f, _ = build(name, shape, conditional)
    channels, height, width = shape
    codes = torch.randint(LEVELS, (3, *shape), generator=torch.Generator().manual_seed(0))
    given = torch.tensor([2, 0, 1]) if conditional else None
    memory: dict[str, Any] = {}
    with torch.no_grad():
        whole, known = f.places(codes, given), torch.zeros_like(codes)
        for row, column, channel in itertools.product(range(height), range(width), range(channels)):
            one = f.place(known, (row, column, channel), given, memory).view(3, channels, -1)[:, channel]
            torch.testing.assert_close(one, whole.unflatten(1, (channels, -1))[:, channel, :, row, column])
            known[:, channel, row, column] = codes[:, channel, row, column]


@pytest.mark.parametrize("name", MODELS)
def test_a_conditional_net_hears_the_class_at_every_place(name: str) -> None:
    f, method = build(name, (1, 3, 4), conditional=True)
    with torch.no_grad():
        logits = method.logits(f, torch.zeros(3, 1, 3, 4, dtype=torch.long), torch.tensor([0, 1, 2]))
    for one, other in itertools.combinations(logits, 2):
        assert ((one - other).abs().amax(-1) > 1e-6).all()


# --- parts ------------------------------------------------------------------------------------------------------------


def test_masks_are_those_of_the_paper() -> None:
    """Three channels, one feature each, a 3×3 square of which the last row is left out."""
    groups = torch.arange(3)
    a, b = (raster_mask(groups, groups, 1, 1, 1, own) for own in (False, True))
    assert a[:, :, 0].all()
    assert a[:, :, 1, 0].all()
    assert not a[:, :, 1, 2].any()
    assert a[:, :, 1, 1].tolist() == [[False, False, False], [True, False, False], [True, True, False]]
    assert b[:, :, 1, 1].tolist() == [[True, False, False], [True, True, False], [True, True, True]]


def test_skewed_rows_hold_diagonals_in_columns() -> None:
    x = torch.arange(1.0, 13).view(1, 1, 3, 4)
    wide = skewed(x)[0, 0]
    assert wide.tolist() == [[1, 2, 3, 4, 0, 0], [0, 5, 6, 7, 8, 0], [0, 0, 9, 10, 11, 12]]
    assert torch.equal(straightened(wide[None, None], 4), x)


def test_digitising_keeps_bytes_and_takes_the_nearest_level() -> None:
    grey = torch.arange(256) / 255
    assert torch.equal(digitised(grey, 256), torch.arange(256))
    codes = digitised(grey, 4)
    gaps = np.abs(grey.numpy()[:, None] - np.linspace(0, 1, 4))
    assert np.array_equal(codes.numpy(), gaps.argmin(1))
    assert torch.equal(intensities(digitised(torch.linspace(0, 1, 17), 17), 17), torch.linspace(0, 1, 17))
    assert digitised(torch.tensor([-0.5, 1.5]), 8).tolist() == [0, 7]


def test_what_does_not_fit_is_refused() -> None:
    image = Field("image", (1, 4, 4))
    with pytest.raises(UserError, match=r"conditional on number targets.*leave conditional out"):
        registry.build("models", {"name": "pixelcnn", "conditional": True}, Schema(image, Field("number")))
    with pytest.raises(UserError, match="change heads"):
        registry.build("models", {"name": "image_gpt", "heads": 3}, Schema(image))
    with pytest.raises(UserError, match="levels"):
        registry.build("models", {"name": "pixelcnn", "levels": 257}, Schema(image))
    with pytest.raises(UserError, match="images"):
        registry.build("models", "row_lstm", Schema(Field("vector", (4,))))
