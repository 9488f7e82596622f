"""The contract that every component keeps, checked on its own `example()`.

documented      a docstring with each argument; defaults pass their own types and ranges; bad arguments are refused
loss            finite, in float32 and bfloat16; the same for the same batch and key; nothing written under scratch
gradients       reach every parameter that a move declares, and no other parameter waits for one
learns          repeated steps on one batch lower its loss
resumes         interrupted and resumed = undisturbed, bit for bit
survives        save → load → the same values on valid
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thetastar import equation, registry, star
from thetastar.defaults import completed, open_for
from thetastar.errors import UserError
from thetastar.functional.keys import keyed, reseed
from thetastar.functional.nested import mapped, rows_of
from thetastar.layers.frozen import scratch
from thetastar.protocols import Batch, Clock, Model, Move, Objective, Program, Source, Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

STEPS = 6  # of the runs that are interrupted and compared
OF_MASKS = {"name": "unet", "width": 2, "depth": 1}  # the plainest model for data whose target is one
OF_TOKENS = {"name": "text_transformer", "width": 8, "depth": 1, "heads": 2}
OF_SEVERAL = {"name": "towers", "nets": {"image": {"name": "mlp", "widths": [8]}, "text": OF_TOKENS}}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check of one component: ok, broken or skipped, and why."""

    component: str
    check: str
    outcome: str
    detail: str = ""


class Broken(AssertionError):
    """A component does not keep the contract."""


class Absent(Exception):
    """A check cannot be made here; the message says why."""


def _require(condition: Any, complaint: str) -> None:
    if not condition:
        raise Broken(complaint)


def check_file(path: Path) -> list[Finding]:
    """Every check of every component in a user's file."""
    return [finding for entry in registry.include(path) for finding in check(entry.folder, entry.name)]


def check(folder: str, name: str) -> list[Finding]:
    """Every check that applies to a component; a broken one does not stop the rest."""
    return [outcome(folder, name, title) for title in CHECKS.get(folder, (documented,))]


def outcome(folder: str, name: str, test: Callable[[str, str], None]) -> Finding:
    label = test.__name__
    try:
        test(folder, name)
    except Absent as reason:
        return Finding(f"{folder}/{name}", label, "skipped", str(reason))
    except (Broken, UserError) as error:
        return Finding(f"{folder}/{name}", label, "broken", str(error))
    return Finding(f"{folder}/{name}", label, "ok")


# --- what a component is tried on --------------------------------------------------------------------------------


def example(folder: str, name: str) -> Recipe:
    """The component's own tiny recipe; a function that makes models or data gets the plainest one."""
    component = registry.load(folder, name)
    own = getattr(component, "example", None)
    if own is not None:
        entry = own()
    elif folder == "data":
        arguments = registry.arguments(component)
        if any(a.default is inspect.Parameter.empty for a in arguments.values()):
            raise Absent("it needs arguments that only a user can give")
        data = {"name": name, "size": 16} if "size" in arguments else name  # images as small as they can be had
        entry = {"data": data, "model": {"name": "wide_deep", "channels": [4, 4], "encoder": 8, "widths": [8]}}
    else:
        entry = {"data": "bars", "model": name}
    recipe = Recipe.from_mapping({"seed": 1, **entry})
    return recipe.replace(engine={"precision": "float32", "device": "cpu", **recipe.engine})


@dataclass
class Trial:
    """An example opened: program and first training batch."""

    recipe: Recipe
    stream: Stream
    program: Program
    moves: list[Move]
    batch: Batch
    clock: Clock

    def loss(self, move: Move, precision: torch.dtype | None = None) -> Tensor:
        key = self.clock.key(move.name, 0)
        reseed(key)
        with keyed(key), torch.autocast("cpu", torch.bfloat16, precision is not None):
            return self.program(move.name, self.batch, self.clock)[0]


def opened(folder: str, name: str) -> Trial:
    recipe = example(folder, name)
    try:
        stream = open_for(recipe)
    except UserError as error:
        if folder == "data":
            raise Absent(str(error)) from None
        raise
    if folder == "data" and stream.schema.task == "segmentation":
        recipe = recipe.replace(model=OF_MASKS)
    fields = stream.schema.input if isinstance(stream.schema.input, dict) else {"": stream.schema.input}
    if folder == "data" and any(field.kind == "tokens" for field in fields.values()):
        recipe = recipe.replace(model=OF_TOKENS if "" in fields else OF_SEVERAL)
    recipe = completed(recipe, stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    clock = Clock(recipe.seed, 0, 10)
    batch = next(iter(stream.batches("train", clock, 0, training.act)))
    training.program.train()
    return Trial(recipe, stream, training.program, list(training.moves), batch, clock)


# --- the checks --------------------------------------------------------------------------------------------------


def documented(folder: str, name: str) -> None:
    """The docstring describes every argument, every default is valid, an unknown argument is refused."""
    component = registry.load(folder, name)
    doc = "\n".join(registry.documentation(component))
    _require((inspect.getdoc(component) or "").strip(), "no docstring")
    for argument in registry.arguments(component).values():
        _require(argument.annotation is not Any or folder == "data", f"argument '{argument.name}' has no annotation")
        _require(argument.name in doc, f"the docstring does not describe '{argument.name}'")
    required = [a.name for a in registry.arguments(component).values() if a.default is inspect.Parameter.empty]
    if not required:
        registry.complete(folder, name)
    try:
        registry.complete(folder, {"name": name, "no_such_argument": 1})
    except UserError:
        return
    raise Broken("an unknown argument is accepted")


def finite_loss(folder: str, name: str) -> None:
    """Every loss is finite, in float32 and under bfloat16 autocast."""
    trial = opened(folder, name)
    for move in trial.moves:
        for precision in (None, torch.bfloat16):
            value = trial.loss(move, precision)
            _require(value.ndim == 0, f"{move.name} has shape {tuple(value.shape)}, not a scalar")
            _require(math.isfinite(value.item()), f"{move.name} is {value.item()} in {precision or 'float32'}")


def pure_loss(folder: str, name: str) -> None:
    """Same batch and key, same value; under scratch nothing in the program changes."""
    trial = opened(folder, name)
    before = {key: value.clone() for key, value in trial.program.state_dict().items()}
    for move in trial.moves:
        with scratch(trial.program):
            first, second = trial.loss(move).item(), trial.loss(move).item()
        _require(first == second, f"{move.name} is {first}, then {second}, for the same batch and key")
    for key, value in trial.program.state_dict().items():
        _require(torch.equal(value, before[key]), f"{key} was written by a loss")


def exact_gradients(folder: str, name: str) -> None:
    """Each move's loss reaches all the parameters it declares; every parameter that wants a gradient is in a move."""
    trial = opened(folder, name)
    for move in trial.moves:
        trial.program.zero_grad()
        trial.loss(move).backward()
        missed = [key for key, parameter in move.parameters.items() if parameter.grad is None]
        _require(not missed, f"{move.name} declares {', '.join(missed[:3])} but sends no gradient there")
    if trial.moves:
        moved = {id(p) for move in trial.moves for p in move.parameters.values()}
        idle = [key for key, p in trial.program.named_parameters() if p.requires_grad and id(p) not in moved]
        _require(not idle, f"{', '.join(idle[:3])} would never be trained; freeze it or add it to a move")


def learns(folder: str, name: str) -> None:
    """Sixty steps on one batch lower its loss (methods with one loss; adversarial ones have no such promise)."""
    trial = opened(folder, name)
    method = trial.program.method
    if not trial.moves:
        raise Absent("it learns without steps")
    if len(trial.moves) > 1 or not isinstance(method, Objective):
        raise Absent("its moves work against one another")
    move = trial.moves[0]
    spec = trial.recipe.algorithm if folder == "algorithms" else {"name": "adamw", "lr": 0.01, "weight_decay": 0.0}
    algorithm = registry.build("algorithms", {**spec, "schedule": None} if "schedule" in spec else spec)
    state = algorithm.init(move)

    def loss(batch: Batch, part: int) -> Any:
        reseed(7)
        with keyed(7):
            return trial.program(move.name, batch, trial.clock)

    before = loss(trial.batch, 0)[0].item()
    for _ in range(60):
        algorithm.update(move, loss, [trial.batch], state, trial.clock)
    after = loss(trial.batch, 0)[0].item()
    _require(
        after < before - 1e-4 * abs(before), f"the loss of one batch goes from {before:.4g} to {after:.4g} in 60 steps"
    )


class Interruption(Watch):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, steps: int) -> None:
        if step == self.at:
            raise KeyboardInterrupt


def resumes(folder: str, name: str) -> None:
    """A run that is interrupted and resumed ends in the same bits as one that is not."""
    recipe = example(folder, name)
    if not opened(folder, name).moves:
        raise Absent("it learns without steps")
    recipe = recipe.replace(budget={"steps": STEPS}, engine={**recipe.engine, "checkpoint": 1e-9})
    with tempfile.TemporaryDirectory() as place:
        whole = equation.fit(recipe, run=Run.create(Path(place, "whole"))).program.state_dict()
        run = Run.create(Path(place, "parts"))
        for at in (2, 4):
            try:
                equation.fit(recipe, run=run, watch=Interruption(at))
            except KeyboardInterrupt:
                continue
        parts = equation.fit(recipe, run=run).program.state_dict()
    for key, value in whole.items():
        _require(torch.equal(value, parts[key]), f"{key} differs after an interruption")


def survives(folder: str, name: str) -> None:
    """What is saved and loaded gives the same values on valid."""
    recipe = opened(folder, name).recipe if folder == "data" else example(folder, name)
    recipe = recipe.replace(budget={"steps": STEPS})
    with tempfile.TemporaryDirectory() as place:
        made = star.train(recipe, Path(place, "run"))
        again = star.load(Path(place, "run"))
        if made.stream.size("valid") == 0:
            raise Absent("its example has no valid split")
        values, _ = again.evaluate("valid")
    for key, value in made.measures.get("valid", {}).items():
        same = value == values[key] or (math.isnan(value) and math.isnan(values[key]))
        _require(same, f"{key} is {value} before and {values[key]} after save and load")


def repeatable(folder: str, name: str) -> None:
    """A stream is a function of (seed, epoch, skip): asked again it gives the same batches, and `skip` skips."""
    trial = opened(folder, name)
    if trial.stream.state_dict():
        raise Absent("its batches depend on its state")
    t = trial.clock
    whole = list(itertools.islice(trial.stream.batches("train", t), 3))
    again = list(itertools.islice(trial.stream.batches("train", t), 3))
    _require(_same(whole, again), "asked twice, it gives different batches")
    _require(
        _same(whole[1:], list(itertools.islice(trial.stream.batches("train", t, 1), 2))),
        "`skip` changes what comes after",
    )
    count = sum(1 for _ in trial.stream.batches("train", t))
    _require(
        count == trial.stream.length("train"), f"it announces {trial.stream.length('train')} batches and gives {count}"
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(_same, one, other))


def prepared(folder: str, name: str) -> None:
    """A source's preparation survives JSON and treats a user's rows as it treated its own."""
    trial = opened(folder, name)
    source = getattr(trial.stream, "source", None)
    if not isinstance(source, Source):
        raise Absent("it has no source")
    state = json.loads(json.dumps(source.state()))
    again = json.loads(json.dumps(type(source).restore(state).state()))
    _require(again == state, "its state changes by being restored")


def streams(folder: str, name: str) -> None:
    """A measure gives the same for one pass in small batches and in large ones, and its first key is its name."""
    trial = opened(folder, name)
    spec = registry.complete(folder, next(m for m in trial.recipe.measures if m["name"] == name))
    values: list[Mapping[str, float]] = []
    for size in (5, 1000):
        measure = registry.build(folder, spec)
        for batch in _rebatched(trial.stream, trial.clock, size):
            reseed(0)
            with torch.no_grad():
                out = trial.program.eval().method.predict(trial.program.f, batch, measure.wants, trial.clock)
            measure.update(out, batch)
        values.append(measure.compute())
    if name not in values[0]:
        raise Broken(f"compute() gives {', '.join(values[0])}, not '{name}'")
    if "samples" in registry.build(folder, spec).wants:
        return  # what is sampled differs from batch to batch
    for key, value in values[0].items():
        other = values[1][key]
        near = math.isclose(value, other, rel_tol=1e-4, abs_tol=1e-5) or (math.isnan(value) and math.isnan(other))
        _require(near, f"{key} is {value} in batches of 5 and {other} in one")


def _rebatched(stream: Stream, t: Clock, size: int) -> Iterator[Batch]:
    whole = _joined(list(stream.batches("valid", t)))
    for start in range(0, rows_of(whole), size):
        yield mapped(lambda part, start=start: part[start : start + size], whole)


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {key: _joined([part[key] for part in parts]) for key in parts[0]}
    return torch.cat(parts)


def bounded(folder: str, name: str) -> None:
    """A schedule's factor is finite and not negative all along the run."""
    schedule = registry.build(folder, name)
    factors = [schedule.factor(Clock(0, step, 50)) for step in range(50)]
    _require(all(math.isfinite(value) and value >= 0 for value in factors), f"factors leave [0, ∞): {min(factors):.3g}")


def shaped(folder: str, name: str) -> None:
    """A model returns (batch, outputs), or as many for each pixel of a mask."""
    trial = opened(folder, name)
    f = trial.program.f
    assert isinstance(f, Model)
    if not trial.moves:
        raise Absent("it has no shape before it has seen data")
    x = trial.batch["input"]
    with torch.no_grad():
        out = f.eval()(x)
    schema = trial.stream.schema
    masks = schema.target is not None and schema.target.kind == "mask"
    places = schema.target.shape if schema.target is not None and masks else ()
    expected = (rows_of(x), schema.outputs, *places)
    shape = tuple((out if masks else out.reshape(rows_of(x), -1)).shape)
    _require(shape == expected, f"outputs of shape {tuple(out.shape)}, not {expected}")


_training = (finite_loss, pure_loss, exact_gradients, learns, resumes, survives)
CHECKS: dict[str, tuple[Callable[[str, str], None], ...]] = {
    "models": (documented, shaped, *_training),
    "methods": (documented, *_training),
    "algorithms": (documented, learns, resumes, survives),
    "algorithms/schedules": (documented, bounded),
    "measures": (documented, streams),
    "data": (documented, repeatable, prepared, survives),
    "data/augment": (documented,),
}
