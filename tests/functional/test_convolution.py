"""The arithmetic of convolutions agrees with torch's layers, and windows with what outputs really hear."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from thetastar.functional.convolution import (
    Window,
    convolve,
    convolve_transposed,
    laid,
    output_size,
    patches,
    span,
    transposed_output_size,
    unread,
)

SIZES = st.integers(1, 30)


@st.composite
def settings_of(draw: st.DrawFn) -> dict[str, int]:
    kernel = draw(st.integers(1, 5))
    return {
        "kernel": kernel,
        "stride": draw(st.integers(1, 4)),
        "padding": draw(st.integers(0, kernel // 2)),
        "dilation": draw(st.integers(1, 3)),
    }


def conv(kernel: int, stride: int, padding: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(1, 1, kernel, stride, padding, dilation, bias=False)


@settings(max_examples=150, deadline=None)
@given(SIZES, settings_of())
def test_sizes_are_those_of_convolutions(size: int, given: dict[str, int]) -> None:
    expected = output_size(size, **given)
    assume(expected > 0)
    assert conv(**given)(torch.zeros(1, 1, size)).shape[-1] == expected


@settings(max_examples=150, deadline=None)
@given(SIZES, settings_of(), st.integers(0, 3))
def test_sizes_are_those_of_transposed_convolutions(size: int, given: dict[str, int], extra: int) -> None:
    expected = transposed_output_size(size, **given, extra=extra)
    assume(expected > 0 and extra < max(given["stride"], given["dilation"]))
    layer = nn.ConvTranspose1d(
        1, 1, given["kernel"], given["stride"], given["padding"], extra, 1, False, given["dilation"]
    )
    assert layer(torch.zeros(1, 1, size)).shape[-1] == expected


@settings(max_examples=150, deadline=None)
@given(SIZES, settings_of())
def test_sizes_rounded_up_are_those_of_poolings(size: int, given: dict[str, int]) -> None:
    assume(output_size(size, **given) > 0)
    layer = nn.MaxPool1d(*given.values(), ceil_mode=True)
    assert layer(torch.zeros(1, 1, size)).shape[-1] == output_size(size, **given, ceil=True)


LAYERS: dict[str, Callable[[dict[str, int]], nn.Module]] = {
    "conv": lambda setting: conv(**setting),
    "max": lambda setting: nn.MaxPool1d(*setting.values()),
    "avg": lambda setting: nn.AvgPool1d(setting["kernel"], setting["stride"], setting["padding"]),
}


def heard(stack: nn.Module, size: int) -> Tensor:
    """(outputs, inputs): whether an impulse at an input moves an output; weights are positive, so nothing cancels."""
    for p in stack.parameters():
        nn.init.constant_(p, 0.5)
    quiet = torch.zeros(1, 1, size, dtype=torch.float64)
    impulses = torch.eye(size, dtype=torch.float64)[:, None]
    with torch.no_grad():
        stack = stack.double()
        return (stack(impulses) != stack(quiet))[:, 0].T


@settings(max_examples=80, deadline=None)
@given(st.integers(8, 60), st.lists(st.tuples(st.sampled_from(["conv", "max", "avg"]), settings_of()), max_size=4))
def test_windows_are_what_outputs_hear(size: int, drawn: list[tuple[str, dict[str, int]]]) -> None:
    window, layers, left = Window(), list[nn.Module](), size
    for kind, options in drawn:
        setting = {**options, "dilation": 1} if kind == "avg" else options
        left = output_size(left, **setting)
        assume(left > 0)
        window = window.through(**setting)
        layers.append(LAYERS[kind](setting))
    effects = heard(nn.Sequential(*layers), size)
    dilated = any(chosen["dilation"] > 1 or chosen["stride"] > chosen["kernel"] for _, chosen in drawn)
    for place in range(left):
        at = effects[place].nonzero().flatten()
        first, last = window.seen(place, size)
        if dilated:  # an impulse in the padding or in a gap: what is heard may end earlier
            assert len(at) == 0 or (at[0] >= first and at[-1] <= last)
        if not dilated and len(at):
            assert (at[0].item(), at[-1].item()) == (first, last)
    inner = [p for p in range(left) if window.start + p * window.stride >= 0]
    inner = [p for p in inner if window.start + p * window.stride + window.reach <= size - 1]
    for place in inner:  # nothing of the padding: the receptive field to the entry
        at = effects[place].nonzero().flatten()
        assert int(at[-1] - at[0]) + 1 == window.size
        assert int(at[0]) == window.start + place * window.stride


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 12), settings_of(), settings_of())
def test_transposed_windows_hold_what_outputs_hear(size: int, up: dict[str, int], then: dict[str, int]) -> None:
    left = transposed_output_size(size, **up)
    assume(left > 0 and output_size(left, **then) > 0)
    layer = nn.ConvTranspose1d(1, 1, up["kernel"], up["stride"], up["padding"], 0, 1, False, up["dilation"])
    window = Window().transposed(**up)
    alone, both = heard(layer, size), heard(nn.Sequential(layer, conv(**then)), size)
    for effects, seen in ((alone, window), (both, window.through(**then))):
        for at in (row.nonzero().flatten() for row in effects):
            assert len(at) == 0 or at[-1] - at[0] + 1 <= seen.size
    if up["dilation"] == 1 and left >= up["kernel"] + up["stride"] and size > window.size + 1:
        assert max(int(row.sum()) for row in alone) == window.size


@settings(max_examples=100, deadline=None)
@given(SIZES, settings_of())
def test_unread_entries_reach_nothing(size: int, given: dict[str, int]) -> None:
    given = {**given, "dilation": 1, "stride": min(given["stride"], given["kernel"])}
    assume(output_size(size, **given) > 0)
    reached = heard(conv(**given), size).any(0)
    assert int((~reached).sum()) == unread(size, **given)
    assert reached[: size - unread(size, **given)].all()


def test_numbers_of_the_lecture() -> None:
    """64×3×32×32 → convolution 5, stride 2 → 14 → pooling 2, stride 2, padding 1 → 8; a dilated 3 spans 5."""
    assert output_size(32, 5, 2) == 14
    assert output_size(14, 2, 2, 1) == 8
    assert span(3, 2) == 5
    assert Window().through(3).through(3).size == 5  # two stacked 3×3 see 5×5


@pytest.mark.parametrize(("size", "places"), [(7, 1), (14, 7), (7, 3), (10, 4), (9, 9)])
def test_adaptive_windows_hold_the_widest(size: int, places: int) -> None:
    effects = heard(nn.AdaptiveAvgPool1d(places), size)
    assert int(effects.sum(1).max()) <= Window().adaptive(size, places).size
    if size % places == 0:
        assert int(effects.sum(1).max()) == Window().adaptive(size, places).size


# --- as products of matrices ----------------------------------------------------------------------------------------

Drawn = tuple[Tensor, Tensor, Tensor, dict[str, tuple[int, int]], int]


@st.composite
def convolutions(draw: st.DrawFn) -> Drawn:
    """Images, weights, bias, stride and so on for each axis, groups."""
    groups = draw(st.integers(1, 3))
    batch, inputs, outputs = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    pairs = {
        name: (draw(st.integers(least, most)), draw(st.integers(least, most)))
        for name, least, most in (("kernel", 1, 4), ("stride", 1, 3), ("padding", 0, 3), ("dilation", 1, 3))
    }
    kernel = pairs.pop("kernel")
    reach = [span(k, d) - 2 * p for k, d, p in zip(kernel, pairs["dilation"], pairs["padding"], strict=True)]
    height, width = (max(least, 1) + draw(st.integers(0, 6)) for least in reach)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 20)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weight = normal(outputs, inputs // groups, *kernel)
    return normal(batch, inputs, height, width), weight, normal(outputs), pairs, groups


@pytest.mark.shows("V1")
@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_a_convolution_is_a_product_of_matrices(drawn: Drawn) -> None:
    x, weight, bias, pairs, groups = drawn
    ours = convolve(x, weight, bias, **pairs, groups=groups)
    torch.testing.assert_close(ours, functional.conv2d(x, weight, bias, **pairs, groups=groups), atol=1e-10, rtol=0)
    single = convolve(x.float(), weight.float(), bias.float(), **pairs, groups=groups)
    reference = functional.conv2d(x.float(), weight.float(), bias.float(), **pairs, groups=groups)
    torch.testing.assert_close(single, reference, atol=1e-5, rtol=1e-5)
    assert (convolve(x, weight, **pairs, groups=groups) + bias[:, None, None] - ours).abs().max() < 1e-12


@pytest.mark.shows("V1")
@settings(max_examples=150, deadline=None)
@given(convolutions(), st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_a_transposed_convolution_is_torchs_and_the_adjoint(drawn: Drawn, extra: tuple[int, int]) -> None:
    x, weight, _, pairs, groups = drawn
    forward = convolve(x, weight, **pairs, groups=groups)
    y = torch.randn_like(forward)
    rest = [
        unread(n, k, s, 0, d)
        for n, k, s, d in zip(
            (x.shape[2] + 2 * pairs["padding"][0], x.shape[3] + 2 * pairs["padding"][1]),
            weight.shape[2:],
            pairs["stride"],
            pairs["dilation"],
            strict=True,
        )
    ]
    back = convolve_transposed(y, weight, **pairs, extra=(rest[0], rest[1]), groups=groups)
    assert back.shape == x.shape
    torch.testing.assert_close((forward * y).sum(), (x * back).sum(), atol=1e-9, rtol=1e-9)
    assume(all(e < max(s, d) for e, s, d in zip(extra, pairs["stride"], pairs["dilation"], strict=True)))
    bias = torch.randn(x.shape[1], dtype=torch.float64)
    known = {"stride": pairs["stride"], "padding": pairs["padding"], "dilation": pairs["dilation"], "groups": groups}
    sizes = [
        transposed_output_size(n, k, s, p, d, e)
        for n, k, s, p, d, e in zip(
            y.shape[2:],
            weight.shape[2:],
            pairs["stride"],
            pairs["padding"],
            pairs["dilation"],
            extra,
            strict=True,
        )
    ]
    assume(min(sizes) > 0)
    expected = functional.conv_transpose2d(y, weight, bias, output_padding=extra, **known)
    ours = convolve_transposed(y, weight, bias, **known, extra=extra)
    torch.testing.assert_close(ours, expected, atol=1e-10, rtol=0)


@pytest.mark.shows("V1")
def test_a_kernel_of_one_is_a_dense_layer_at_every_pixel_and_patches_are_counted_back() -> None:
    x, weight = torch.randn(2, 3, 4, 5), torch.randn(6, 3, 1, 1)
    torch.testing.assert_close(convolve(x, weight), torch.einsum("bchw,oc->bohw", x, weight[:, :, 0, 0]))
    ones = laid(patches(torch.ones(1, 1, 4, 4), (3, 3), padding=(1, 1)), (4, 4), padding=(1, 1))
    times = torch.tensor([2.0, 3, 3, 2])  # how many places of a kernel of 3 touch an entry of 4
    assert torch.equal(ones[0, 0], times[:, None] * times)
