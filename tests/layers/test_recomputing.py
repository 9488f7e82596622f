"""Activations computed again are the same activations: gradients, moments, masks; and fewer of them are kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from thetastar import equation, registry
from thetastar.defaults import completed, open_stream
from thetastar.functional.keys import keyed
from thetastar.layers.dropout import Dropout, StochasticDepth
from thetastar.layers.recomputing import parts_of, recomputed
from thetastar.recipe import Recipe
from thetastar.watch import Watch

DEEP = {"name": "mlp", "widths": [32] * 6, "dropout": 0.3, "norm": "batch"}
MODELS = [DEEP, "cnn", "resnet18", "googlenet", "vit_small", "unet", "deeplabv3_resnet50"]


def prepared(model: Any, data: Any, **engine: Any) -> equation.Training:
    engine = {"precision": "float32", "device": "cpu", **engine}
    asked = Recipe(data=data, model=model, measures=[], budget={"steps": 2}, engine=engine)
    stream = open_stream(asked.data)
    full = completed(asked, stream)
    training = equation.Training(full, stream, equation.assemble(full, stream.schema), None, Watch())
    training.begin()
    training.program.train()
    return training


def taken(training: equation.Training) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """The loss of the first batch, its gradients, and the bytes that were kept for them."""
    batch, kept = next(iter(training.stream.batches("train", training.clock()))), [0]

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value, _ = training.loss(training.moves[0], training.clock())(batch, 0)
    value.backward()
    parameters = training.moves[0].parameters
    return value, {name: p.grad for name, p in parameters.items() if p.grad is not None}, kept[0]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model if isinstance(model, str) else "deep mlp")
def test_gradients_masks_and_moments_are_those_of_a_pass_that_keeps_everything(model: Any) -> None:
    example = registry.load("models", model).example() if isinstance(model, str) else {"data": "bars", "model": model}
    data = example["data"] if isinstance(example["data"], dict) else {"name": example["data"]}
    plain, frugal = (prepared(example["model"], {**data, "batch_size": 16}, recompute=again) for again in (False, True))
    (value, grads, kept), (other, again, less) = taken(plain), taken(frugal)
    assert torch.equal(value, other)
    assert grads.keys() == again.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(again[name], grad, rtol=1e-6, atol=1e-8)
    for name, buffer in plain.program.named_buffers():
        assert torch.equal(buffer, frugal.program.get_buffer(name)), f"{name}: moments count a batch once"
    assert less < kept / 2


def test_a_run_ends_in_the_same_bits() -> None:
    asked = Recipe(data="bars", model=DEEP, budget={"epochs": 2}, engine={"precision": "bf16", "device": "cpu"}, seed=1)
    plain, frugal = (equation.fit(asked.replace(engine={**asked.engine, "recompute": r})) for r in (False, True))
    ended, again = plain.program.state_dict(), frugal.program.state_dict()
    assert all(torch.equal(ended[name], again[name]) for name in ended)
    assert plain.values == frugal.values
    assert "forward" not in {name for module in frugal.program.modules() for name in vars(module)}


class Block(nn.Module):
    """Draws masks from the key and from the generator."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh(), Dropout(0.4), nn.Dropout(0.4))
        self.depth = StochasticDepth(0.4)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return x + scale * self.depth(self.inner(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, scale=0.5)
        return self.head(x)


def made() -> tuple[Net, torch.Tensor]:
    torch.manual_seed(0)
    return Net(), torch.randn(12, 6)


def passed(net: Net, x: torch.Tensor, again: bool) -> torch.Tensor:
    torch.manual_seed(5)
    with keyed(7), recomputed(parts_of(net) if again else []):
        value = net(x).square().mean()
        torch.rand(3)  # what is drawn later is not drawn by the backward pass
    return value


def test_what_has_changed_between_the_passes_does_not_matter() -> None:
    """Flags, other keys, other draws: the second pass sees what the first saw, and leaves what it found."""
    (plain, x), (frugal, _) = made(), made()
    assert len(parts_of(frugal)) == 3
    passed(plain, x, False).backward()
    value = passed(frugal, x, True)
    frugal.eval()
    state = torch.get_rng_state()
    with keyed(99):
        value.backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(layer.training for layer in frugal.modules())
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-6, atol=1e-9)
    for one, other in zip(plain.buffers(), frugal.buffers(), strict=True):
        assert torch.equal(one, other)


def test_other_tensors_in_place_of_its_own_are_the_ones_that_are_seen_again() -> None:
    """As an inner loop or a noisy copy of the weights puts them there for one call."""
    (plain, x), (frugal, _) = made(), made()
    found: list[list[torch.Tensor]] = []
    for net, again in ((plain, False), (frugal, True)):
        moved = {name: (1.5 * p.detach()).requires_grad_() for name, p in net.named_parameters()}
        torch.manual_seed(5)
        with keyed(7), recomputed(parts_of(net) if again else []):
            value = functional_call(net, moved, (x,)).square().mean()
        found.append(list(torch.autograd.grad(value, list(moved.values()))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9)


def test_gradients_of_gradients_agree() -> None:
    found: list[list[torch.Tensor]] = []
    for again in (False, True):
        net, x = made()
        first = torch.autograd.grad(passed(net, x, again), list(net.parameters()), create_graph=True)
        penalty = torch.stack([grad.square().sum() for grad in first]).sum()
        second = torch.autograd.grad(penalty, list(net.parameters()), allow_unused=True)
        found.append([grad for grad in second if grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-8)


def test_a_plain_row_of_layers_is_kept_at_the_ends_of_its_pieces() -> None:
    row = nn.Sequential(*(nn.Linear(4, 4) for _ in range(9)))
    net = nn.ModuleDict({"row": row, "head": nn.Linear(4, 1)})
    (part,) = parts_of(net)
    assert part.owner is row
    assert [len(modules) for _, modules in part.pieces] == [4, 4, 4], "three layers each, and the piece itself"


@pytest.mark.parametrize(
    ("model", "method", "why"),
    [("softmax", None, "the model has no blocks"), (DEEP, "population", "members are trained together")],
    ids=["no blocks", "members"],
)
def test_where_nothing_changes_it_is_said(model: Any, method: str | None, why: str) -> None:
    said: list[str] = []

    class Ear(Watch):
        def say(self, line: str) -> None:
            said.append(line)

    asked = Recipe(data="bars", model=model, method=method, budget={"steps": 1}, engine={"recompute": True})
    equation.fit(asked, watch=Ear())
    assert f"engine.recompute changes nothing: {why}" in said
