"""A pole hinged to a cart, to be kept upright by pushing left or right: an environment with its memory for replay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.protocols import Act, Batch, Clock, Field, Schema, Split, Stream
from thetastar.registry import Count, Whole

__all__ = ["cartpole"]

GRAVITY, CART, POLE, HALF = 9.8, 1.0, 0.1, 0.5  # m/s², kg, kg, m: `HALF` the pole's length
FRICTION_CART, FRICTION_POLE = 0.0005, 0.000002  # of cart on track, of pole on cart
PUSH, TICK = 10.0, 0.02  # N, s
EDGE, LEAN = 2.4, math.radians(12)  # m, rad: beyond them the pole counts as fallen
SIZES = (EDGE / 2, 1.0, LEAN / 2, 1.0)  # of the state's entries in play, there being no rows to take moments from


def cartpole_step(state: Tensor, push: Tensor) -> Tensor:
    """One tick of Euler's method on

    θ̈ = (g sin θ + cos θ · (−F − m l θ̇² sin θ + μ_c sgn ẋ) / (m_c + m) − μ_p θ̇ / (m l))
        / (l (4/3 − m cos² θ / (m_c + m)))
    ẍ = (F + m l (θ̇² sin θ − θ̈ cos θ) − μ_c sgn ẋ) / (m_c + m)

    Args:
        state: x in m, ẋ in m/s, θ in rad from upright, θ̇ in rad/s.
        push: F in N, positive to the right.

    Shapes: (carts, 4), (carts,) → (carts, 4).

    Source: Barto, Sutton and Anderson 1983, Neuronlike adaptive elements that can solve difficult learning control
    problems, appendix.
    """
    x, speed, angle, turn = state.unbind(-1)
    sine, cosine, mass, moment = torch.sin(angle), torch.cos(angle), CART + POLE, POLE * HALF
    drag = FRICTION_CART * torch.sign(speed)
    inner = (-push - moment * turn.square() * sine + drag) / mass
    spin = (GRAVITY * sine + cosine * inner - FRICTION_POLE * turn / moment) / (
        HALF * (4 / 3 - POLE * cosine.square() / mass)
    )
    pull = (push + moment * (turn.square() * sine - spin * cosine) - drag) / mass
    return torch.stack([x + TICK * speed, speed + TICK * pull, angle + TICK * turn, turn + TICK * spin], -1)


def fallen(state: Tensor) -> Tensor:
    """Whether the cart has left the track or the pole leans too far: (carts, 4) → (carts,)."""
    return (state[..., 0].abs() > EDGE) | (state[..., 2].abs() > LEAN)


class cartpole(Stream):
    """Carts side by side; reward 1 a tick until the pole falls. Training batches are drawn from a memory of the play.

    Each training batch first plays one tick of every cart with the method's actions, then draws from the memory, which
    begins with random play. The memory and the carts go on from where they stand, whatever the epoch. The valid and
    test splits are whole episodes played by the method, one batch of them; without a player actions are random.

    Args:
        carts: played at once.
        batch_size: transitions drawn a batch.
        capacity: transitions that the memory holds; the oldest are overwritten.
        warmup: transitions of random play at the start.
        limit: ticks after which an episode is cut off (which is no failure).
        length: training batches that count as an epoch.
        episodes: played to judge, always from the same beginnings.
        seed: of those beginnings.

    Shapes: "input" and "next" (batch, 4) = (x, ẋ, θ, θ̇); "action" (batch,) 0 left or 1 right; "reward", "terminal"
    (batch,). Played episodes: "input" (episodes, 4) where they begin, "return" (episodes,).

    Source: Barto, Sutton and Anderson 1983, Neuronlike adaptive elements that can solve difficult learning control
    problems; replay: Lin 1992, Self-improving reactive agents.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "dqn", "measures": ["episode_return"]}

    def __init__(
        self,
        *,
        carts: Count = 8,
        batch_size: Count = 64,
        capacity: Count = 20_000,
        warmup: Count = 500,
        limit: Count = 500,
        length: Count = 100,
        episodes: Count = 20,
        seed: Whole = 0,
    ) -> None:
        if capacity < carts:
            raise UserError(f"a memory of {capacity} for {carts} carts", f"at least {carts}", "raise data.capacity")
        self.carts, self.batch_size, self.capacity, self.warmup = carts, batch_size, capacity, warmup
        self.limit, self.steps, self.episodes, self.seed = limit, length, episodes, seed
        names = ("position", "speed", "angle", "turn")
        state = Field("state", (4,), names=names, mean=(0.0,) * 4, std=SIZES)
        self.schema = Schema(state, Field("action", (), 2, ("left", "right")))
        self.said = [f"{carts} carts at once, a memory of {capacity:,} transitions"]
        self.state = torch.zeros(carts, 4)
        self.ticks = torch.zeros(carts, dtype=torch.int64)
        self.written = 0  # transitions since the beginning
        self.memory: dict[str, Tensor] = {
            "input": torch.zeros(capacity, 4),
            "next": torch.zeros(capacity, 4),
            "action": torch.zeros(capacity, dtype=torch.int64),
            "reward": torch.zeros(capacity),
            "terminal": torch.zeros(capacity),
        }
        self.device = torch.device("cpu")

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "cartpole", "carts": 2, "capacity": 200, "warmup": 50, "limit": 30, "episodes": 10}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": "dqn"}

    @property
    def fingerprint(self) -> str:
        return f"cartpole-{self.seed}"

    def length(self, split: Split) -> int:
        return self.steps if split == "train" else 1

    def size(self, split: Split) -> int:
        return self.steps * self.batch_size if split == "train" else self.episodes

    def to(self, device: torch.device) -> None:
        self.device = device
        self.state, self.ticks = self.state.to(device), self.ticks.to(device)
        self.memory = {name: column.to(device) for name, column in self.memory.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "ticks": self.ticks, "written": self.written, "memory": self.memory}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.state, self.ticks, self.written = state["state"].clone(), state["ticks"].clone(), state["written"]
        self.memory = {name: column.clone() for name, column in state["memory"].items()}
        self.to(self.device)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        if split != "train":
            yield self.play(split, act)
            return
        if self.written == 0:
            self.state = self.begin(self.carts, generator("cartpole", t.seed, t.rank, "begin"))
            while self.written < self.warmup:
                self.tick(t, self.guess)
        for _ in range(skip, self.steps):
            if act is not None:
                self.tick(t, act)
            yield self.draw(t)

    # --- training: carts that never stop, and what is remembered of them ----------------------------------------------

    def tick(self, t: Clock, act: Act) -> None:
        """One tick of every cart, written into the memory; fallen and timed-out ones begin anew."""
        place = torch.arange(self.written, self.written + self.carts, device=self.device)
        action = act({"input": self.state, "index": place})
        following = cartpole_step(self.state, PUSH * (2.0 * action - 1.0))
        fell = fallen(following)
        seen = {"input": self.state, "next": following, "action": action, "terminal": fell.float()}
        for name, value in {**seen, "reward": torch.ones(self.carts, device=self.device)}.items():
            self.memory[name][place % self.capacity] = value.to(self.memory[name].dtype)
        self.ticks = self.ticks + 1
        over = fell | (self.ticks >= self.limit)
        fresh = self.begin(self.carts, generator("cartpole", t.seed, t.rank, self.written))
        self.state = torch.where(over[:, None], fresh, following)
        self.ticks = torch.where(over, 0, self.ticks)
        self.written += self.carts

    def draw(self, t: Clock) -> Batch:
        """Transitions of the memory, with repetition."""
        random = generator("replay", t.seed, t.rank, self.written)
        filled = min(self.written, self.capacity)
        rows = torch.randint(filled, (self.batch_size,), generator=random).to(self.device)
        return {**{name: column[rows] for name, column in self.memory.items()}, "index": rows}

    def begin(self, carts: int, random: torch.Generator) -> Tensor:
        """Nearly upright, nearly at rest: every entry uniform in [−0.05, 0.05]."""
        return (0.1 * torch.rand((carts, 4), generator=random) - 0.05).to(self.device)

    def guess(self, batch: Batch) -> Tensor:
        """Actions of no one: a coin a cart."""
        random = generator("guess", self.seed, int(batch["index"][0]))
        return torch.randint(2, (len(batch["input"]),), generator=random).to(self.device)

    # --- judging: whole episodes --------------------------------------------------------------------------------------

    def play(self, split: Split, act: Act | None) -> Batch:
        """All episodes of a split from the same beginnings, each to its end."""
        start = state = self.begin(self.episodes, generator("cartpole", split, self.seed))
        total, alive = torch.zeros(self.episodes, device=self.device), torch.ones(self.episodes, device=self.device)
        for tick in range(self.limit):
            index = torch.arange(self.episodes, device=self.device) + tick * self.episodes
            action = (act or self.guess)({"input": state, "index": index})
            state = cartpole_step(state, PUSH * (2.0 * action - 1.0))
            total = total + alive
            alive = alive * (~fallen(state)).float()
            if not alive.any():
                break
        return {"input": start, "return": total, "index": torch.arange(self.episodes, device=self.device)}
