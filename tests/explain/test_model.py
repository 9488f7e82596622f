"""Model anatomy: shapes are the hooks', multiply-adds the counter's, windows the gradient's, remarks to the point."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from thetastar import registry
from thetastar.errors import UserError
from thetastar.explain import anatomy
from thetastar.explain.model.anatomy import Anatomy
from thetastar.explain.model.formulas import formulas_of
from thetastar.explain.model.table import bytes_text, short
from thetastar.protocols import Field, Schema

IMAGES = Schema(Field("image", (3, 16, 16), mean=(0.5,) * 3, std=(0.2,) * 3), Field("category", classes=10))


def mixture() -> nn.Sequential:
    """One of each: plain, grouped, dilated, transposed, one axis, normed, in place, pooled, linear."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, (3, 5), stride=2, groups=4),
        nn.GroupNorm(4, 16),
        nn.Conv2d(16, 8, 3, dilation=2, padding="same", bias=False),
        nn.Sequential(nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1), nn.GELU()),
        nn.AvgPool2d(2),
        nn.AdaptiveMaxPool2d((3, None)),
        nn.Flatten(2),
        nn.Conv1d(4, 6, 3, groups=2),
        nn.Flatten(),
        nn.Linear(114, 5),
    )


class Residual(nn.Module):
    """x + f(x), then a mean over all places: what a Sequential cannot say."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.mix = nn.Parameter(torch.randn(4, 7))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.scale * self.inner(x)
        return x.mean((2, 3)) @ self.mix


def models() -> dict[str, tuple[nn.Module, Tensor]]:
    x = torch.rand(2, 3, 16, 16)
    named = {name: (registry.build("models", name, IMAGES), x) for name in ("cnn", "mlp", "softmax")}
    return {**named, "mixture": (mixture(), x), "residual": (Residual(), x)}


MODELS = models()


@pytest.mark.shows("X1")
@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_those_of_hooks(name: str) -> None:
    model, x = MODELS[name]
    seen: dict[str, tuple[int, ...]] = {}
    handles = [
        part.register_forward_hook(lambda _, __, out, path=path: seen.update({path: tuple(out.shape)}))
        for path, part in model.named_modules()
    ]
    model.eval()(x)
    for handle in handles:
        handle.remove()
    assert {row.path: row.outputs[0] for row in anatomy(model, x).rows if row.outputs} == seen


@pytest.mark.shows("X1")
@pytest.mark.parametrize("name", MODELS)
def test_multiply_adds_are_those_of_the_flop_counter(name: str) -> None:
    model, x = MODELS[name]
    found = anatomy(model, x)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(x)
    assert counter.get_total_flops() == 2 * found.macs > 0
    counts = counter.get_flop_counts()
    for row in found.rows:
        if row.leaf and row.macs:  # the arithmetic that is printed, against the counter
            [value] = [formula.value for formula in formulas_of(row) if formula.of == "multiply-adds"]
            assert 2 * value == sum(counts[f"{type(model).__name__}.{row.path}"].values())


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_once_each(name: str) -> None:
    model, x = MODELS[name]
    next(model.parameters()).requires_grad_(False)
    found = anatomy(model, x)
    next(model.parameters()).requires_grad_(True)
    assert found.trainable + found.frozen == sum(p.numel() for p in model.parameters())
    assert found.frozen == next(model.parameters()).numel()
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    tied.append(tied[0])
    assert anatomy(tied, (4,)).trainable == 20
    assert anatomy(tied, (4,)).macs == 32


def test_a_model_is_left_as_it_was() -> None:
    model = mixture().train()
    model[4].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.default_generator.get_state()
    anatomy(model, (3, 16, 16))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert not model[4].training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert torch.equal(state, torch.default_generator.get_state())


# --- what an output sees ----------------------------------------------------------------------------------------------


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    kind = draw(st.sampled_from(["conv", "conv", "avg", "act"]))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.integers(1, 2))
    if kind == "act":
        return nn.Softplus()
    if kind == "avg":
        return nn.AvgPool2d(kernel, min(stride, *kernel))
    dilation = draw(st.integers(1, 2))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    return nn.Conv2d(1, 1, kernel, stride, padding, dilation)


@pytest.mark.shows("X1")
@settings(max_examples=50, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=5))
def test_receptive_field_and_stride_are_the_support_of_the_gradient(drawn: list[nn.Module]) -> None:
    model = nn.Sequential(*drawn).double().eval()
    for p in model.parameters():
        nn.init.constant_(p, 0.3)
    size = 64
    seen = anatomy(model, (1, size, size)).rows[-1].seen
    assert seen is not None
    assume(not seen.everything and max(w.size + w.stride for w in seen.windows) < size // 2)
    x = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    out = model(x)
    centre = [n // 2 for n in out.shape[2:]]

    def support(place: list[int]) -> Tensor:
        [gradient] = torch.autograd.grad(out[0, 0, place[0], place[1]], x, retain_graph=True)
        return gradient[0, 0].nonzero()

    at = support(centre)
    beside = support([centre[0] + 1, centre[1] + 1])
    for axis, window in enumerate(seen.windows):
        assert int(at[:, axis].max() - at[:, axis].min()) + 1 == window.size
        assert int(beside[:, axis].min() - at[:, axis].min()) == window.stride


def fields(found: Anatomy) -> dict[str, Any]:
    return {entry["path"]: (entry["receptive_field"], entry["stride"]) for entry in found.to_json()["layers"]}


def test_sums_of_branches_see_what_either_does_and_means_see_all() -> None:
    found = fields(anatomy(Residual(), (3, 16, 16)))
    assert found["stem"] == ([3, 3], [1, 1])
    assert found["inner.2"] == ([7, 7], [1, 1])
    assert found[""] == ("global", None)


def test_channels_last_layers_keep_their_place_and_attention_sees_all() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.norm, self.dense = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), nn.Linear(8, 8)
            self.attention, self.after = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.dense(self.norm(self.patches(x).flatten(2).transpose(1, 2)))
            return self.after(self.attention(tokens, tokens, tokens)[0])

    found = fields(anatomy(Block(), (3, 16, 16)))
    assert found["dense"] == ([4, 4], [4, 4])
    assert found["after"] == ("global", None)


class Bridge(nn.Module):
    """Down and up again, beside a branch that stays fine."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.down = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 3, 2, 1)
        self.inner, self.up = nn.Conv2d(2, 2, 3, padding=1), nn.ConvTranspose2d(2, 2, 2, 2)
        self.out = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.fine(x), self.up(self.inner(self.down(x)))], 1))


def test_finer_places_see_whole_steps_of_the_coarser_ones() -> None:
    """7 through the coarse branch, of whose fine places three meet two coarse ones: 7 + 2; so says a gradient."""
    model = Bridge().double()
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    found = fields(anatomy(model, (1, 32, 32)))
    assert [found[path] for path in ("inner", "up", "out")] == [([7, 7], [2, 2]), ([7, 7], [1, 1]), ([9, 9], [1, 1])]
    x = torch.zeros(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    out = model(x)[0, 0]
    widths = [
        int((rows := torch.autograd.grad(out[i, i], x, retain_graph=True)[0][0, 0].any(1).nonzero()).max() - rows.min())
        for i in range(12, 20)
    ]
    assert max(widths) + 1 == 9


def test_sequences_of_vectors_have_no_places_and_parts_follow_their_owner() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = anatomy(model, (5, 8))
    assert {entry["receptive_field"] for entry in found.to_json()["layers"]} == {None}
    paths = [row.path for row in found.rows]
    assert paths.index("self_attn.out_proj") == paths.index("self_attn") + 1
    assert found.trainable == sum(p.numel() for p in model.parameters())


def test_vectors_have_no_receptive_field() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU())
    assert set(fields(anatomy(model, (5,))).values()) == {(None, None)}
    spatial = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    assert fields(anatomy(spatial, (1, 4, 4)))["2"] == ("global", None)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_outputs_and_of_what_backward_needs() -> None:
    """Dense layers keep their inputs for the weights, ReLU its output; both keep the same tensor."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    found = anatomy(model, (6,), batch=10)
    assert [row.memory for row in found.rows] == [0, 32, 32, 0, 8]
    assert [row.kept for row in found.rows] == [0, 10 * 6 * 4, 10 * 8 * 4, 0, 0]
    model[0].requires_grad_(False)  # nothing below the first trained layer is kept
    assert anatomy(model, (6,), batch=10).kept == 10 * 8 * 4
    assert (bytes_text(1_605_632), bytes_text(40), short(231_211_008), short(9_999)) == (
        *("1.53 MiB", "40 B"),
        *("231 M", "9,999"),
    )


def test_large_models_cost_nothing() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(200_000, 200_000), nn.Linear(200_000, 2))
    found = anatomy(model, (200_000,))
    assert found.trainable == 200_000 * 200_001 + 2 * 200_001
    assert found.rows[1].memory == 800_000


# --- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (3, 4), r"layer 1, Linear\(.*got \[1, 12\]; .*in_features=12"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 8, 8), r"layer 0, Conv2d.*got \[1, 1, 8, 8\]; expected 3 channels"),
        (nn.Sequential(nn.Conv2d(1, 4, 5)), (1, 4, 4), "at least 5 entries an axis, not 4"),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(9)), (1, 4, 4), "layer 1, MaxPool2d"),
        (nn.Sequential(nn.BatchNorm2d(3)), (4, 8, 8), "num_features=4"),
        (nn.Sequential(nn.LayerNorm(3)), (4,), r"normalized_shape=\[4\]"),
        (nn.Sequential(nn.GroupNorm(2, 6)), (4, 8), "num_channels=4"),
        (nn.Sequential(nn.Unflatten(1, (2, 3))), (4,), r"layer 0, Unflatten.*got \[1, 4\]"),
        (nn.Sequential(nn.Linear(2, 2)), (0,), "sizes ≥ 1"),
    ],
)
def test_shapes_that_do_not_fit_name_the_layer(model: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        anatomy(model, shape)
