"""What changes of images share: draws one an example, changes of some examples, memory as it came."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from thetastar.errors import UserError

Draws = torch.Generator | None


def of_images(x: Tensor, who: str, values: bool = True) -> Tensor:
    """`x`, if it is (batch, channels, height, width), of floats where the change is one of `values`."""
    if x.ndim != 4:
        raise UserError(f"{who} on inputs of shape {tuple(x.shape[1:])}", "images", "leave it out of data.augment")
    if values and not x.is_floating_point():
        raise UserError(f"{who} on images of {x.dtype}", "images of floats in [0, 1]", "leave it out of data.augment")
    return x


def planar(x: Tensor) -> Tensor:
    """A copy of one's own in which each channel is a plane of memory: channels are then read several times faster."""
    return x.clone(memory_format=torch.contiguous_format)


def kept(y: Tensor, x: Tensor) -> Tensor:
    """`y` in the memory format of `x`."""
    return y.contiguous(memory_format=torch.channels_last if _last(x) else torch.contiguous_format)


def _last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def uniform(x: Tensor, low: float, high: float, generator: Draws, shape: tuple[int, ...] = ()) -> Tensor:
    """(batch, *shape) draws, uniform on [low, high)."""
    drawn = torch.rand(len(x), *shape, generator=generator, device=x.device)
    return drawn.mul_(high - low).add_(low)


def chosen(x: Tensor, p: float, generator: Draws) -> Tensor:
    """(batch,) True with probability p."""
    return uniform(x, 0.0, 1.0, generator) < p


def each(parameter: Tensor, x: Tensor) -> Tensor:
    """(batch,) → (batch, 1, 1, 1), of the type of `x`."""
    return parameter.to(x.dtype).view(-1, 1, 1, 1)


def on_some(x: Tensor, which: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """`change(x, *parameters)` for the examples of which `which` (batch,) is True; may write into `x`.

    On a CPU these alone are computed. Elsewhere all are, and some are kept: to ask how many would wait for the device.
    """
    if x.device.type != "cpu":
        return torch.where(which.view(-1, 1, 1, 1), change(x, *parameters), x)
    index = which.nonzero().squeeze(1)
    if len(index):
        few = [parameter.index_select(0, index) for parameter in parameters]
        rows = x.permute(0, 2, 3, 1) if _last(x) else x  # in the order of memory
        picked = rows.index_select(0, index)
        done = change(picked.permute(0, 3, 1, 2) if _last(x) else picked, *few)
        rows.index_copy_(0, index, done.permute(0, 2, 3, 1) if _last(x) else done)
    return x
