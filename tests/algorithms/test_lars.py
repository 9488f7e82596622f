"""LARS: steps that follow the length of a tensor, alone and in a stack of members."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.protocols import Aux, Batch, Clock, Move
from thetastar.recipe import Recipe

ACTIVE = torch.ones(3, dtype=torch.bool)


def stepped(theta: list[Tensor], slopes: list[list[Tensor]], stacked: bool = False, **more: Any) -> list[Tensor]:
    """After steps with these gradients."""
    parameters = {f"f.{n}": Parameter(p.clone()) for n, p in enumerate(theta)}
    move = Move("loss", parameters, stacked=stacked, active=ACTIVE if stacked else None, **more)
    algorithm = registry.build("algorithms", {"name": "lars", "weight_decay": 0.1, "schedule": None})
    state = algorithm.init(move)
    for step, gradients in enumerate(slopes):

        def loss(batch: Batch, part: int, gradients: list[Tensor] = gradients) -> tuple[Tensor, Aux]:
            pairs = list(zip(parameters.values(), gradients, strict=True))
            each = torch.stack([(p * g).flatten(1).sum(1) for p, g in pairs]).sum(0) if stacked else None
            value = sum((p * g).sum() for p, g in pairs)
            assert isinstance(value, Tensor)
            return value, Aux(each=None if each is None else each.detach())

        algorithm.update(move, loss, [{}], state, Clock(0, step, len(slopes)))
    return [p.detach() for p in parameters.values()]


@pytest.mark.shows("L3")
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_matrix_moves_by_a_share_of_its_length_whatever_its_gradient(scale: float) -> None:
    """Without decay by exactly trust · η of it; a bias moves by η times its gradient."""
    theta = [torch.randn(5, 4, generator=generator("matrix")).double(), torch.ones(4).double()]
    slope = [scale * torch.randn(5, 4, generator=generator("slope")).double(), torch.full((4,), 0.01).double()]
    algorithm = registry.build("algorithms", {"name": "lars", "weight_decay": 0.0, "schedule": None, "lr": 2.0})
    parameters = {f"f.{n}": Parameter(p.clone()) for n, p in enumerate(theta)}
    move = Move("loss", parameters)

    def loss(batch: Batch, part: int) -> tuple[Tensor, Aux]:
        return sum((p * g).sum() for p, g in zip(parameters.values(), slope, strict=True)), Aux()  # type: ignore[return-value]

    algorithm.update(move, loss, [{}], algorithm.init(move), Clock(0, 0, 1))
    moved = [theta[n] - p.detach() for n, p in enumerate(parameters.values())]
    assert moved[0].norm().item() == pytest.approx(2e-3 * theta[0].norm().item(), rel=1e-9)
    torch.testing.assert_close(moved[1], 2.0 * slope[1])


def test_a_tensor_of_zeros_can_leave_them() -> None:
    theta = [torch.zeros(2, 3)]
    (moved,) = stepped(theta, [[torch.ones(2, 3)]])
    torch.testing.assert_close(moved, -torch.ones(2, 3))


@pytest.mark.parametrize("own", [{}, {"lr": [1.0, 0.5, 0.1]}])
def test_members_of_a_stack_move_as_each_would_alone(own: dict[str, list[float]]) -> None:
    shapes, random = [(3, 5, 4), (3, 4)], generator("members")
    sizes = torch.tensor([1.0, 10.0, 0.1])

    def drawn(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64) * sizes.view(-1, *[1] * (len(shape) - 1))

    theta, slopes = [drawn(shape) for shape in shapes], [[drawn(shape) for shape in shapes] for _ in range(4)]
    together = stepped(theta, slopes, stacked=True, own={name: torch.tensor(v) for name, v in own.items()})
    for k in range(3):
        rate = own["lr"][k] if own else 1.0
        alone = [p[k].clone() for p in theta]
        v = [torch.zeros_like(p) for p in alone]
        for gradients in slopes:
            for i, g in enumerate(g[k] for g in gradients):
                matrix = alone[i].ndim == 2
                share = 1e-3 * alone[i].norm() / (g.norm() + 0.1 * alone[i].norm()) if matrix else 1.0
                v[i] = 0.9 * v[i] + rate * share * (g + (0.1 * alone[i] if matrix else 0))
                alone[i] = alone[i] - v[i]
        for stack, p in zip(together, alone, strict=True):
            torch.testing.assert_close(stack[k], p, rtol=1e-6, atol=1e-9)


def test_decay_that_varies_in_a_population_is_refused() -> None:
    method = {"name": "population", "vary": {"algorithm.weight_decay": [0.1, 0.2]}, "execution": "stacked"}
    with pytest.raises(UserError, match="lars with weight_decay that varies in a population"):
        equation.fit(Recipe(data="bars", model="mlp", method=method, algorithm="lars", budget={"steps": 1}))


def test_a_population_is_its_members_trained_alone() -> None:
    """Whole runs of two seeds, by the last loss of each."""
    model, data = {"name": "mlp", "widths": [8]}, "bars"
    base = {"data": data, "model": model, "algorithm": {"name": "lars", "lr": 5.0}, "budget": {"steps": 12}}
    method = {"name": "population", "seeds": [3, 7], "execution": "stacked"}
    together = equation.fit(Recipe(**base, method=method, seed=3)).program.method.members.state_dict()  # type: ignore[union-attr]
    alone = equation.fit(Recipe(**base, seed=3)).program.state_dict()
    for name, value in alone.items():
        if value.is_floating_point():
            torch.testing.assert_close(together[name][0], value, rtol=1e-4, atol=1e-5)
    assert math.isfinite(sum(float(value.sum()) for value in alone.values()))
