"""Keyed draws: as many as are asked for, all different, the same for the same key."""

from __future__ import annotations

import torch

from thetastar.functional.keys import keyed, next_key, uniform


def test_a_scope_hands_out_many_different_keys_and_repeats_them() -> None:
    def draw() -> list[int]:
        with keyed(torch.tensor(5)):
            return [int(next_key(torch.device("cpu"))) for _ in range(1000)]

    first = draw()
    assert len(set(first)) == 1000
    assert first == draw()


def test_uniform_numbers_have_the_moments_of_the_unit_interval() -> None:
    draw = uniform(torch.tensor(3), (200_000,), torch.device("cpu"))
    assert draw.min() >= 0
    assert draw.max() < 1
    # four standard errors of the mean 1/2 and of the variance 1/12
    assert abs(draw.mean() - 0.5) < 4 * (1 / 12 / 200_000) ** 0.5
    assert abs(draw.var() - 1 / 12) < 4 * (1 / 180 / 200_000) ** 0.5
