"""Directions in which a loss is looked at, and the loss along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def filter_normalised(direction: Tensor, weight: Tensor) -> Tensor:
    """d_f ← d_f ‖θ_f‖ / ‖d_f‖ for each filter f (the first axis: one unit's weights); 0 for biases and gains.

    A slice in such directions is the same for every net that rescaling its ReLU layers makes of this one.

    Source: Li, Xu, Taylor, Studer and Goldstein 2018, Visualizing the loss landscape of neural nets.

    Shapes: (units, …) and (units, …) → (units, …).
    """
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    size, wanted = direction.flatten(1).norm(dim=1), weight.detach().flatten(1).norm(dim=1)
    share = torch.where(size > 0, wanted / size.clamp_min(torch.finfo(size.dtype).tiny), torch.zeros_like(size))
    return direction * share.view(-1, *[1] * (weight.ndim - 1))


def random_direction(weights: Sequence[Tensor], draws: torch.Generator, normalise: bool = True) -> list[Tensor]:
    """One standard normal draw a weight, filter by filter of the length of the weights unless `normalise` is off."""
    drawn = [torch.randn(weight.shape, generator=draws).to(weight) for weight in weights]
    return [filter_normalised(d, w) for d, w in zip(drawn, weights, strict=True)] if normalise else drawn


@torch.no_grad()
def along(
    value: Callable[[], float], weights: Sequence[Tensor], directions: Sequence[Sequence[Tensor]], places: Tensor
) -> Tensor:
    """L(θ + Σ_k a_k d_k) for each row a of places; θ is put back, to the bit.

    Shapes: places (points, directions) → (points,).
    """
    kept = [weight.clone() for weight in weights]
    found: list[float] = []
    try:
        for place in places.tolist():
            for i, weight in enumerate(weights):
                moved = kept[i].clone()
                for length, direction in zip(place, directions, strict=True):
                    moved.add_(direction[i], alpha=length)
                weight.copy_(moved)
            found.append(value())
    finally:
        for weight, before in zip(weights, kept, strict=True):
            weight.copy_(before)
    return torch.tensor(found, dtype=torch.float64)


def principal(path: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two directions in which a path varies most, seen from its end; its places along them; their shares.

    The directions are the first right singular vectors of the rows θ_t − θ_T: one row a moment, not centred, so that
    the end is the origin. Found by the small matrix of their dot products.

    Shapes: (moments, n) and (n,) → (2, n), (moments, 2), (2,) of the sum of squares.

    Source: Li, Xu, Taylor, Studer and Goldstein 2018, Visualizing the loss landscape of neural nets, section 7.
    """
    rows = path - end
    values, vectors = torch.linalg.eigh((rows @ rows.T).double())  # (moments, moments), ascending
    size = values.flip(0)[:2].clamp_min(0).sqrt()
    left = vectors.flip(1)[:, :2]  # (moments, 2)
    left = left * torch.where(left.sum(0) < 0, -1.0, 1.0)  # one of two signs, so that a path is drawn one way
    directions = (left.T.to(rows) @ rows) / size.clamp_min(1e-30).to(rows)[:, None]
    shares = values.flip(0)[:2].clamp_min(0) / values.clamp_min(0).sum().clamp_min(1e-300)
    return directions, left * size, shares
