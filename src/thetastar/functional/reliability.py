"""How often what was said with probability p came true."""

from __future__ import annotations

import torch
from torch import Tensor


def reliability_sums(probability: Tensor, came_true: Tensor, bins: int) -> Tensor:
    """Over bins of equal width: examples, sum of probabilities, how many came true. Sums of parts add up.

    Probability 1 belongs to the last bin; NaN has a bin too, and makes its sum NaN.

    Shapes: probability and came_true (n,) → (3, bins) float64.
    """
    bin_of = (probability * bins).long().clamp(0, bins - 1)
    rows = torch.stack([torch.ones_like(probability), probability, came_true.to(probability)]).double()
    return torch.zeros(3, bins, dtype=torch.float64, device=rows.device).index_add(1, bin_of, rows)


def reliability_means(sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Examples, mean probability and frequency of each bin; 0 where a bin is empty."""
    count, probability, came_true = sums
    some = count.clamp_min(1)
    return count, probability / some, came_true / some
