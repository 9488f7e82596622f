"""The cart and its pole: the physics of the paper, episodes that end where they should, a memory that resumes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.cartpole import cartpole, cartpole_step
from thetastar.errors import UserError
from thetastar.protocols import Batch, Clock

T = Clock(3)


def accelerations(state: NDArray[np.float64], force: float) -> tuple[float, float]:
    """Barto, Sutton and Anderson 1983, solved anew: the two equations of motion as one linear system in (ẍ, θ̈).

    (m_c + m) ẍ + m l cos θ θ̈ = F + m l θ̇² sin θ − μ_c sgn ẋ
    m l cos θ ẍ + (4/3) m l² θ̈ = m g l sin θ − μ_p θ̇
    """
    m_c, m, length, g, mu_c, mu_p = 1.0, 0.1, 0.5, 9.8, 0.0005, 0.000002
    _, speed, angle, turn = state
    left = np.array(
        [[m_c + m, m * length * np.cos(angle)], [m * length * np.cos(angle), 4 / 3 * m * length**2]],
    )
    right = np.array(
        [
            force + m * length * turn**2 * np.sin(angle) - mu_c * np.sign(speed),
            m * g * length * np.sin(angle) - mu_p * turn,
        ]
    )
    pull, spin = np.linalg.solve(left, right)
    return float(pull), float(spin)


def test_a_tick_solves_the_equations_of_motion() -> None:
    random = np.random.default_rng(0)
    state = random.uniform(-1, 1, (200, 4)) * np.array([2.4, 3.0, 0.4, 3.0])
    push = random.choice([-10.0, 10.0], 200)
    found = cartpole_step(torch.tensor(state), torch.tensor(push)).numpy()
    for before, force, after in zip(state, push, found, strict=True):
        pull, spin = accelerations(before, force)
        expected = before + 0.02 * np.array([before[1], pull, before[3], spin])
        np.testing.assert_allclose(after, expected, rtol=1e-9, atol=1e-12)


def test_mirrored_carts_move_in_mirror_image() -> None:
    torch.manual_seed(0)
    state, push = torch.randn(20, 4).double(), torch.full((20,), 10.0).double()
    torch.testing.assert_close(cartpole_step(-state, -push), -cartpole_step(state, push))


def test_an_episode_ends_with_the_fall_or_the_limit() -> None:
    """A constant push topples the pole; its length is counted with the NumPy equations."""
    stream = cartpole(episodes=5, limit=60)
    played = next(stream.batches("valid", T, act=lambda batch: torch.ones(len(batch["input"]), dtype=torch.int64)))
    for begin, total in zip(played["input"].double().numpy(), played["return"].tolist(), strict=True):
        state, ticks = begin, 0
        while abs(state[0]) <= 2.4 and abs(state[2]) <= np.radians(12):
            pull, spin = accelerations(state, 10.0)
            state = state + 0.02 * np.array([state[1], pull, state[3], spin])
            ticks += 1
        assert total == ticks

    def balance(batch: Batch) -> Tensor:
        """A hand-made controller that never falls."""
        x, speed, angle, turn = batch["input"].unbind(-1)
        return (angle + 0.3 * turn + 0.02 * x + 0.06 * speed > 0).long()

    assert next(stream.batches("valid", T, act=balance))["return"].tolist() == [60.0] * 5


def test_random_play_lasts_about_twenty_ticks_and_the_splits_begin_apart() -> None:
    stream = cartpole(episodes=400)
    played = next(stream.batches("valid", T))
    assert 18 < played["return"].mean() < 27
    assert played["input"].abs().max() <= 0.05
    assert not torch.equal(played["input"], next(stream.batches("test", T))["input"])
    torch.testing.assert_close(played["return"], next(stream.batches("valid", Clock(9)))["return"])


def test_the_memory_holds_true_transitions_and_overwrites_the_oldest() -> None:
    stream = cartpole(carts=4, capacity=40, warmup=20, batch_size=200, limit=15)
    ones = torch.ones(4, dtype=torch.int64)
    batches = list(islice(stream.batches("train", T, act=lambda batch: ones), 30))
    assert stream.written == 20 + 30 * 4
    early, late = batches[0], batches[-1]
    assert set(early["index"].tolist()) == set(range(24))
    assert set(late["index"].tolist()) == set(range(40))
    assert (late["action"] == 1).all()
    following = cartpole_step(late["input"], 20.0 * late["action"] - 10.0)
    torch.testing.assert_close(late["next"], following)
    gone = (late["next"][:, 0].abs() > 2.4) | (late["next"][:, 2].abs() > np.radians(12))
    assert torch.equal(late["terminal"], gone.float())
    assert 0 < gone.float().mean() < 1


def test_without_a_player_training_batches_only_remember() -> None:
    stream = cartpole(carts=2, capacity=50, warmup=30)
    first = next(stream.batches("train", T))
    written = stream.written
    assert torch.equal(first["index"], next(stream.batches("train", T))["index"])
    assert stream.written == written == 30


def test_it_goes_on_from_its_state_dict_to_the_same_bits() -> None:
    def lean(batch: Batch) -> Tensor:
        return (batch["input"][:, 2] > 0).long()

    stream, other = cartpole(carts=3, capacity=60, warmup=9), cartpole(carts=3, capacity=60, warmup=9)
    list(islice(stream.batches("train", T, act=lean), 25))
    other.load_state_dict({k: dict(v) if isinstance(v, dict) else v for k, v in stream.state_dict().items()})
    pairs = zip(stream.batches("train", T, 25, lean), other.batches("train", T, 25, lean), strict=True)
    for one, two in pairs:
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_memory_smaller_than_a_tick_is_refused() -> None:
    with pytest.raises(UserError, match=r"raise data\.capacity"):
        cartpole(carts=8, capacity=4)
