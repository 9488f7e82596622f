"""Which trials are so much alike that one training can stand for all: they differ only in numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from thetastar import equation, registry
from thetastar.defaults import ROOM, completed
from thetastar.errors import UserError
from thetastar.hardware import free_memory
from thetastar.outer.pruning import not_finite
from thetastar.outer.spaces import with_values
from thetastar.outer.trying import LOST, Record, losses
from thetastar.protocols import Batch, Stream
from thetastar.recipe import Engine, Recipe
from thetastar.selection import Curve
from thetastar.trace import Row
from thetastar.watch import Watch

TROUBLES = (UserError, RuntimeError, TypeError, ValueError)  # of a population, none of which its trials need have
COPIES = 6  # of the weights: themselves, gradients, two moments, those before a step and the best
MARGIN = 2  # times what is kept for the backward pass, which makes as much again


@dataclass(frozen=True)
class Group:
    """Trials that differ in some numbers only.

    Attributes:
        numbers: of the trials.
        recipes: complete, of each alone.
        stream: the data of all.
        vary: {path: the value of each} of what differs.
        measure: by which they are judged.
    """

    numbers: tuple[int, ...]
    recipes: tuple[Recipe, ...]
    stream: Stream
    vary: Mapping[str, Sequence[float]]
    measure: str

    def recipe(self, execution: str = "auto") -> Recipe:
        """Of the population in which they are members, each judged by the measures that judge it alone."""
        first = self.recipes[0]
        seeds = [recipe.seed for recipe in self.recipes]
        vary = {path: list(values) for path, values in self.vary.items()}
        method = {"name": "population", "inner": first.method, "seeds": seeds, "vary": vary, "execution": execution}
        monitor = next(spec for spec in first.measures if spec["name"] == self.monitor)
        judges = [spec for spec in first.measures if spec["name"] in (self.monitor, self.measure)]
        return first.replace(method=method, measures=[monitor, {"name": "of_members", "inner": judges}])

    @property
    def monitor(self) -> str:
        return str(self.recipes[0].engine["monitor"])

    def part(self, places: Sequence[int]) -> Group:
        """Some of its trials, by their places in it."""
        recipes = tuple(self.recipes[k] for k in places)
        vary = {path: [values[k] for k in places] for path, values in self.vary.items()}
        vary = {path: values for path, values in vary.items() if len(set(values)) > 1}
        return Group(tuple(self.numbers[k] for k in places), recipes, self.stream, vary, self.measure)

    def pair(self, path: str, values: Sequence[float]) -> Group:
        """Its first trial with two values at one path, and nothing else that differs."""
        recipes = tuple(with_values(self.recipes[0], {path: value}) for value in values)
        return Group(self.numbers[:2], recipes, self.stream, {path: list(values)}, self.measure)

    def judged(self, k: int, rows: Sequence[Row], steps: int, values: Mapping[str, float], lost: bool) -> Record:
        """What came out of trial k, as it would have alone.

        Args:
            rows: the trace of all; `steps`: that were planned.
            values: at the end, on valid.
            lost: whether its loss has become infinite.
        """
        curve, reason = self._curve(k, rows, steps)
        value = values[f"{self.measure}.{k + 1}"]
        if not reason and not math.isfinite(value):
            reason = not_finite(self.measure)
        reason = reason or (LOST if lost else "")
        if reason:
            return Record(self.numbers[k], state="failed", reason=reason, curve=curve)
        return Record(self.numbers[k], value=value, curve=curve)

    def _curve(self, k: int, rows: Sequence[Row], steps: int) -> tuple[list[list[float]], str]:
        """Its values on valid until it came to rest, and why it went no further."""
        patience = Engine(**self.recipes[k].engine).patience
        higher = bool(registry.load("measures", self.monitor).higher_is_better)  # type: ignore[attr-defined]
        curve, seen = list[list[float]](), Curve()
        for row in rows:
            if (name := f"valid.{self.measure}.{k + 1}") not in row:
                continue
            share, value = row["step"] / max(steps, 1), row[name]
            if value is None or not math.isfinite(value):
                return curve, not_finite(self.measure, share)
            curve.append([round(share, 4), value])
            watched = row[f"valid.{self.monitor}.{k + 1}"]
            seen.see(math.nan if watched is None else watched, row["step"], row["epoch"], higher)
            if patience is not None and seen.waited >= patience:
                break
        return curve, ""


# --- which -----------------------------------------------------------------------------------------------------------


def groups(trials: Mapping[int, tuple[Recipe, Stream]], paths: Sequence[str], measure: str) -> Iterator[Group]:
    """All trials, in groups that a population can be built for, by their first number.

    Args:
        trials: complete recipes with their data.
        paths: in which they may differ.
    """
    by_rest: dict[str, list[tuple[int, dict[str, float]]]] = {}
    paths = [path for path in paths if path.split(".")[0] in ("model", "method", "algorithm")]
    for number, (recipe, _) in trials.items():
        numbers = {path: value for path in paths if is_number(value := value_at(recipe, path))}
        rest = with_values(recipe, dict.fromkeys(numbers)).to_mapping()
        by_rest.setdefault(json.dumps(rest, sort_keys=True), []).append((number, numbers))
    for members in by_rest.values():
        found = tuple(number for number, _ in members)
        recipes, stream = tuple(trials[number][0] for number in found), trials[found[0]][1]
        vary = {path: [numbers[path] for _, numbers in members] for path in members[0][1]}
        yield from parted(Group(found, recipes, stream, vary, measure).part(range(len(found))))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_at(recipe: Recipe, path: str) -> Any:
    """What a complete recipe has at a path, components by name; None where it has no such setting."""
    letter, *keys = path.split(".")
    value: Any = getattr(recipe, letter)
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value["name"] if isinstance(value, Mapping) and "name" in value else value


def parted(group: Group) -> Iterator[Group]:
    """The group, or the largest parts of it that a population can be built for."""
    if len(group.numbers) == 1 or possible(group):
        yield group
        return
    kinds = {path: classes(group, path) for path in group.vary}
    by_kind: dict[tuple[int, ...], list[int]] = {}
    for k in range(len(group.numbers)):
        by_kind.setdefault(tuple(kinds[path][values[k]] for path, values in group.vary.items()), []).append(k)
    for places in by_kind.values():
        part = group.part(places)
        alone = [] if len(places) == 1 or possible(part) else places
        yield from [group.part([k]) for k in alone] or [part]


def classes(group: Group, path: str) -> dict[float, int]:
    """A class for each value at a path; values of one class can vary in one population."""
    found: dict[float, int] = {}
    firsts: list[float] = []
    for value in dict.fromkeys(group.vary[path]):
        which = next((n for n, first in enumerate(firsts) if possible(group.pair(path, [first, value]))), len(firsts))
        if which == len(firsts):
            firsts.append(value)
        found[value] = which
    return found


def possible(group: Group) -> bool:
    """Whether the population can be built, and the algorithm can step it."""
    try:
        recipe = completed(group.recipe(), group.stream)
        program = equation.assemble(recipe, group.stream.schema)
        registry.build("algorithms", recipe.algorithm).init(program.method.moves(program.f)[0])
    except UserError:
        return False
    return True


def parts(group: Group) -> list[Group]:
    """The group, or parts of it where the free memory would not hold its training at once."""
    try:
        most = room(group.recipes[0], group.stream)
    except TROUBLES:  # which are said when the group is tried
        return [group]
    count = math.ceil(len(group.numbers) / max(most, 1))
    size = math.ceil(len(group.numbers) / count)
    places = range(len(group.numbers))
    return [group.part(places[start : start + size]) for start in range(0, len(places), size)]


def room(recipe: Recipe, stream: Stream) -> int:
    """How many trainings like this one the free memory holds, by what the loss of one batch keeps for its gradient."""
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    if not training.moves:
        return 1
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training.program.train()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        training.loss(training.moves[0], training.clock())(next(stream.batches("train", training.clock())), 0)
    weights = sum(parameter.nbytes for parameter in training.program.parameters())
    on_gpu = training.device.type == "cuda"
    free = torch.cuda.mem_get_info(training.device)[0] if on_gpu else free_memory()
    return int(ROOM * free / (COPIES * weights + MARGIN * sum(kept.values())))


# --- whether members are their trials --------------------------------------------------------------------------------


def unlike(group: Group) -> str:
    """Why members would not be what their trials are alone, as far as recipes tell; "" where nothing speaks for it."""
    recipe = group.recipes[0]
    if "seconds" in recipe.budget:
        return "a budget of seconds is each trial's own"
    if group.stream.state_dict():
        return "environments begin anew with every trial"
    algorithm = registry.build("algorithms", recipe.algorithm)
    if getattr(getattr(algorithm, "schedule", None), "listens", False):
        return f"the schedule {recipe.algorithm['schedule']['name']} listens to the loss of one net"
    averaged = any(recipe.algorithm.get(name) is not None for name in ("ema", "swa"))
    program = equation.assemble(recipe, group.stream.schema)
    if averaged and any(getattr(layer, "track_running_stats", False) for layer in program.modules()):
        return "averaged weights need moments of batch norm of their own"
    return ""


def different(many: equation.Training, group: Group, batch: Batch) -> str:
    """Why members are not what their trials are alone, by their losses on the first batch."""
    t, own = many.clock(), many.moves[0]
    members = losses(many.program, batch, t)
    near = 1e-2 if many.precision == "tf32" else 1e-4
    for k, recipe in enumerate(group.recipes):
        program = equation.assemble(recipe, group.stream.schema).to(many.device)
        move = program.method.moves(program.f)[0]
        alone = losses(program, batch, t)[0]
        same = torch.isclose(members[k], alone, rtol=near, atol=1e-6, equal_nan=True)
        if not bool(same) or (move.every, move.scale) != (own.every, own.scale):
            return "their losses are not those that they have alone"
    return ""
