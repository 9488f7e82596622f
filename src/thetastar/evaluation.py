"""Evaluation, a routine independent of how one trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thetastar import registry
from thetastar.functional import answers
from thetastar.functional.keys import reseed
from thetastar.functional.sharding import whole
from thetastar.protocols import Batch, Clock, Measure, Program, Split, Stream

Values = dict[str, float]
Columns = dict[str, Tensor]


def evaluate(
    program: Program, stream: Stream, split: Split, measures: Sequence[Mapping[str, Any]], t: Clock
) -> tuple[Values, Columns]:
    """Values of all measures on a split; per-example columns of those that have one, in float32, and of the answers."""
    built: list[Measure] = [registry.build("measures", spec) for spec in measures]
    wants = frozenset[str]().union(*(measure.wants for measure in built))
    target = stream.schema.target
    kind = target.kind if target is not None and wants & answers.JUDGED else ""
    wants |= answers.WANTS.get(kind, frozenset())
    spooled: dict[str, list[Tensor]] = {}
    was = program.training
    program.eval()

    def act(batch: Batch) -> Tensor:
        return program.method.predict(program.f, batch, frozenset({"action"}), t)["action"]

    try:
        with torch.no_grad():
            for number, batch in enumerate(stream.batches(split, t, act=act)):
                reseed(t.key("evaluate", split, number))
                out = program.method.predict(program.f, batch, wants, t)
                for spec, measure in zip(measures, built, strict=True):
                    column = measure.update(out, batch)
                    if column is not None:
                        spooled.setdefault(spec["name"], []).append(column.detach().float().cpu())
                for name, column in answers.answers(out, batch, kind).items() if kind in answers.WANTS else ():
                    spooled.setdefault(name, []).append(column.cpu())
    finally:
        program.train(was)
    values = {key: value for measure in built for key, value in measure.compute().items()}
    return values, {name: torch.cat(parts) for name, parts in spooled.items()}


@torch.no_grad()
def of_each(
    program: Program, stream: Stream, spec: Mapping[str, Any], t: Clock, count: int, each: Callable[..., Sequence[Any]]
) -> list[float]:
    """A measure on valid of each learner of a method, by what `each` says that it predicts."""
    built: list[Measure] = [registry.build("measures", spec) for _ in range(count)]
    was = program.training
    program.eval()
    try:
        for number, batch in enumerate(stream.batches("valid", t)):
            reseed(t.key("evaluate", "valid", number))
            out = program.method.predict(program.f, batch, built[0].wants | {"each"}, t)
            for measure, own in zip(built, each(out), strict=True):
                measure.update(own, batch)
    finally:
        program.train(was)
    return [measure.compute()[spec["name"]] for measure in built]


@contextlib.contextmanager
def averaged(program: Program, weights: Mapping[str, Tensor], stream: Stream, t: Clock) -> Iterator[None]:
    """Evaluate with averaged weights in place of the live ones, batch-norm moments recomputed on training batches."""
    if not weights:
        yield
        return
    live = dict(program.named_parameters())
    norms = [
        layer
        for name, layer in program.named_modules()
        if getattr(layer, "track_running_stats", False) and (f"{name}.weight" in weights or layer.weight is None)
    ]  # one whose weights were not averaged is frozen with what is before it
    buffers = {name: value.clone() for name, value in program.named_buffers()}
    kept = {name: live[name].detach().clone() for name in weights}
    try:
        with torch.no_grad():
            for name, value in weights.items():
                live[name].copy_(whole(value))
            recalibrate(program, norms, stream, t)
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                live[name].copy_(value)
            for name, value in program.named_buffers():
                value.copy_(buffers[name])


def recalibrate(program: Program, norms: Sequence[Any], stream: Stream, t: Clock, batches: int = 50) -> None:
    """Moments of batch norm as plain averages over training batches; layers that f does without keep theirs."""
    if not norms:
        return
    before = [{name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)} for layer in norms]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
    was = program.training
    program.train()
    try:
        for number, batch in enumerate(stream.batches("train", t)):
            if number == batches or "input" not in batch:  # tasks, or a part for each member: f is not what learnt
                break
            reseed(t.key("recalibrate", number))
            program.f(batch["input"])
    finally:
        program.train(was)
        for layer, momentum, moments in zip(norms, momenta, before, strict=True):
            layer.momentum = momentum
            if not layer.num_batches_tracked.any():
                for name, buffer in layer.named_buffers(recurse=False):
                    buffer.copy_(moments[name])
