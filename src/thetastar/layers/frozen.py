"""Teachers and scratch work: forward passes that leave no trace."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from thetastar.functional.gradients import follow
from thetastar.functional.wrapping import uncached_casts
from thetastar.protocols import Model

if TYPE_CHECKING:
    from typing import Self


@contextlib.contextmanager
def scratch(*modules: nn.Module) -> Iterator[None]:
    """Forward passes inside write no buffers: for attacks, inner loops, line searches, vmap.

    Batch norm in training mode keeps using batch statistics but leaves its running moments alone.
    """
    touched: list[Any] = [
        layer
        for module in modules
        for layer in module.modules()
        if getattr(layer, "track_running_stats", False) and layer.training
    ]
    for layer in touched:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in touched:
            layer.track_running_stats = True


@contextlib.contextmanager
def untraced(*modules: nn.Module) -> Iterator[None]:
    """Forward passes inside write no buffers and keep no gradients: what a network, as it is, says of its targets."""
    with torch.no_grad(), scratch(*modules), uncached_casts():
        yield


class Frozen(nn.Module):
    """A teacher: a copy without gradients, deaf to `train()`. Attributes of the module inside are reached through it.

    Args:
        module: copied deeply.
        batch_statistics: keep batch norm on the statistics of the batch (BYOL's target), running moments untouched.
    """

    def __init__(self, module: nn.Module, *, batch_statistics: bool = False) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.batch_statistics = batch_statistics
        self.module.train(batch_statistics)

    def train(self, mode: bool = True) -> Self:
        return self

    def _quietly(self, call: Callable[..., Any], *inputs: Any) -> Any:
        with torch.no_grad(), scratch(self.module):
            return call(*inputs)

    def forward(self, *inputs: Any) -> Any:
        return self._quietly(self.module, *inputs)

    def features(self, x: Any) -> Tensor:
        assert isinstance(self.module, Model)
        return self._quietly(self.module.features, x)

    @torch.no_grad()
    def follow(self, module: nn.Module, momentum: float) -> None:
        """θ' ← momentum·θ' + (1 − momentum)·θ, parameters; buffers are copied."""
        follow(list(self.module.parameters()), list(module.parameters()), momentum)
        for own, other in zip(self.module.buffers(), module.buffers(), strict=True):
            own.copy_(other)


def held(parameter: Tensor, free: bool) -> Tensor:
    """The parameter; while it is not free its value with a gradient of 0, so that a step leaves it where it is."""
    return parameter if free else parameter.detach() + 0.0 * parameter
