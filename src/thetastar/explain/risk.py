"""The training loss of a run as a function of its weights alone: the same examples, the same draws every time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from thetastar import registry
from thetastar.data.resident import resident
from thetastar.errors import UserError
from thetastar.functional.attention import in_plain_products
from thetastar.functional.curvature import gradient_and_hessian, vector_product
from thetastar.functional.keys import keyed, mix, reseed, seeded
from thetastar.functional.nested import mapped, rows_of
from thetastar.layers.dropout import Dropout
from thetastar.protocols import Aux, Batch, Clock, Move, Program, Stream
from thetastar.star import Star

PART = 250  # examples whose graph is held at once


@dataclass
class Risk:
    """L(θ) = Σᵢ wᵢ Lᵢ / Σᵢ wᵢ over fixed parts of the training split.

    Attributes:
        used, of: examples in it, and in the training split.
        said: what a reader must know of how it was formed.
        shares: wᵢ / Σ w of each part.
    """

    program: Program
    move: Move
    parts: list[Batch]
    clock: Clock
    used: int
    of: int
    said: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        with seeded("explain"), torch.no_grad():
            weights = [self.loss(batch, part)[1].weight for part, batch in enumerate(self.parts)]
        pairs = zip(self.parts, weights, strict=True)
        sizes = [float(rows_of(batch) if weight is None else weight) for batch, weight in pairs]
        self.shares = [size / sum(sizes) for size in sizes]

    @property
    def weights(self) -> list[Parameter]:
        return list(self.move.parameters.values())

    @property
    def count(self) -> int:
        return sum(weight.numel() for weight in self.weights)

    def loss(self, batch: Batch, part: int) -> tuple[Tensor, Aux]:
        """The loss on one part; what it draws is a function of the part."""
        key = mix(self.clock.seed, "explain", part)
        reseed(key)
        with keyed(key), in_plain_products():
            return self.program(self.move.name, batch, self.clock.at(part))

    def value(self) -> float:
        with torch.no_grad():
            return float(self._sum(lambda part: self.loss(self.parts[part], part)[0].double()))

    def gradient(self) -> Tensor:
        """(n,)"""
        return self._sum(lambda part: vector_product(self.loss(self.parts[part], part)[0], self.weights)[0])

    def product(self, vector: Tensor) -> Tensor:
        """H v."""
        return self._sum(lambda part: vector_product(self.loss(self.parts[part], part)[0], self.weights)[1](vector))

    def hessian(self) -> Tensor:
        """(n, n), for few weights."""

        def one(part: int) -> Tensor:
            return gradient_and_hessian(lambda batch, _: self.loss(batch, part), [self.parts[part]], self.weights)[1]

        return self._sum(one)

    def _sum(self, act: Callable[[int], Tensor]) -> Tensor:
        """Σ over the parts, weighed, one graph at a time; the state of the default generator is put back."""
        with seeded("explain"):
            terms = (share * act(part).detach() for part, share in enumerate(self.shares))
            total = next(terms)
            for term in terms:
                total = total + term
            return total


def risk_of(star: Star, examples: int, exact: bool = False) -> Risk:
    """The loss that a run descended, at most on `examples` of its training split.

    Args:
        star: its program is copied.
        examples: ≥ 1, drawn by the run's seed.
        exact: in double precision.
    """
    program = copy.deepcopy(star.program).eval()
    move = only_move(star, program)
    parts, stored = examples_of(star, examples)
    used, of = sum(map(rows_of, parts)), star.stream.size("train")
    said = [f"loss on {'all' if used == of else f'{used:,} of'} {of:,} training examples"]
    said += modes(program)
    if not stored:
        said.append("the examples are those of the first batches, changed at random as in training")
    decay = star.recipe.algorithm.get("weight_decay", 0.0)
    if decay:
        said.append(f"weight decay ({decay:g}) is no part of this loss: the rule pulls towards 0 besides")
    if exact:
        program.double()
        parts = [mapped(lambda x: x.double() if x.is_floating_point() else x, one) for one in parts]
    risk = Risk(program, move, parts, star.clock, used, of, said)
    if not math.isfinite(risk.value()):
        got = "the loss at the end of this run is not finite"
        raise UserError(got, "a run that did not diverge", "train it with a lower algorithm.lr")
    return risk


def only_move(star: Star, program: Program) -> Move:
    """The one loss that the method descends; a UserError where there is none, or several."""
    method = registry.as_spec(star.recipe.method, "method")["name"]
    moves = list(program.method.moves(program.f))
    if len(moves) != 1:
        got = f"{len(moves)} losses that pull against one another" if moves else "no loss that is descended by steps"
        raise UserError(f"{method} has {got}", "a run with one loss", "choose another run")
    if moves[0].stacked:
        raise UserError(f"{method} trains several nets at once", "a run of one net", "train one member alone")
    return moves[0]


def examples_of(star: Star, examples: int) -> tuple[list[Batch], bool]:
    """Parts of the training split, and whether they are the examples as they are stored."""
    stream: Stream = star.stream
    t = Clock(star.recipe.seed)
    if stream.state_dict():
        got = "an environment, which answers differently every time"
        raise UserError(got, "a run on a fixed training split", "choose another run")
    couples = bool(star.program.method.couples)
    if isinstance(stream, resident):
        size = stream.batch_size if couples else PART
        rows = stream.order("train", t)[:examples].to(star.device)
        return [stream.gather(part) for part in rows.split(size) if not couples or len(part) > 1], True
    parts: list[Batch] = []
    for batch in stream.batches("train", t):
        parts.append(batch)
        if sum(map(rows_of, parts)) >= examples:
            break
    return parts, False


def modes(program: Program) -> list[str]:
    """What evaluation mode does to the loss, where the net has layers that care."""
    found: list[str] = []
    if any(isinstance(layer, Dropout | nn.Dropout) and layer.p for layer in program.modules()):
        found.append("dropout is off")
    if any(getattr(layer, "track_running_stats", False) for layer in program.modules()):
        found.append("batch norm uses its running moments")
    return found
