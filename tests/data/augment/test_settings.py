"""Two thousand random settings: what every chain of augmentations keeps, whatever its arguments and the images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar import registry
from thetastar.data.resident import augmented
from thetastar.functional.keys import generator
from thetastar.protocols import Augment

NAMES = sorted(registry.entries("data/augment"))
FORMATS = (torch.contiguous_format, torch.channels_last)
FLOATS = (torch.float32, torch.float32, torch.float64, torch.bfloat16)
share, amount = st.floats(0, 1), st.floats(0, 3)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("p", "vertical", "share", "translate"), share),
    **dict.fromkeys(("brightness", "contrast", "saturation", "amount", "std"), amount),
    "hue": st.floats(0, 0.5),
    "degrees": st.floats(0, 44.9),
    "shear": st.floats(0, 44.9),
    "aspect": st.floats(1, 5),
    "n": st.integers(1, 3),
    "m": st.floats(0, 30),
}
LIMITS = {  # of least and most, where a component has them
    **dict.fromkeys(("affine", "scale"), st.floats(0.05, 5)),
    **dict.fromkeys(("resized_crop", "erase"), share),
    "blur": st.floats(0.01, 4),
    "solarise": share,
    "posterise": st.integers(1, 8),
    "colour_shift": share,
}


@st.composite
def changes(draw: st.DrawFn) -> Augment:
    name = draw(st.sampled_from(NAMES))
    component = registry.load("data/augment", name)
    arguments = registry.arguments(component)
    values = {key: draw(ARGUMENTS[key]) for key in arguments if key in ARGUMENTS}
    limits = sorted(draw(LIMITS[name]) for key in ("least", "most") if key in arguments)
    values |= dict(zip((key for key in ("least", "most") if key in arguments), limits, strict=True))
    if "fill" in arguments:
        values["fill"] = draw(st.sampled_from(arguments["fill"].annotation.__args__))
    assert values.keys() == arguments.keys()
    full = registry.complete("data/augment", {"name": name, **values})
    return component(**{key: value for key, value in full.items() if key != "name"})


def images(channels: int, dtype: torch.dtype, last: bool, key: int) -> torch.Tensor:
    x = torch.rand(4, channels, 9, 11, generator=generator("images", key)).to(dtype)
    return x.contiguous(memory_format=FORMATS[last])


@pytest.mark.shows("O10")
@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(
    chain=st.lists(changes(), min_size=1, max_size=3),
    channels=st.sampled_from((1, 3, 3)),
    dtype=st.sampled_from(FLOATS),
    last=st.booleans(),
    key=st.integers(0, 10**6),
    kept=st.integers(0, 3),
)
def test_shape_type_range_and_independence(
    chain: list[Augment], channels: int, dtype: torch.dtype, last: bool, key: int, kept: int
) -> None:
    x = images(channels, dtype, last, key)
    before = x.clone()
    y = augmented(x, tuple(chain), key, "draws")
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.is_contiguous(memory_format=FORMATS[last])
    assert y.min() >= 0
    assert y.max() <= 1
    assert torch.equal(x, before)
    others = 1 - images(channels, dtype, last, key + 1)
    others[kept] = x[kept]
    assert torch.equal(augmented(others, tuple(chain), key, "draws")[kept], y[kept])
