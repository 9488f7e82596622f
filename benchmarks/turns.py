"""How everything here is measured: contenders take turns, and ratios are those of the same turn.

What disturbs the machine disturbs all contenders; the median of the turns' ratios and its quartiles are what counts.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Loop = Callable[[int], None]


@dataclass(frozen=True)
class Pair:
    """What is claimed of two contenders: `ours` takes at most 1/bar of what `other` takes."""

    ours: str
    other: str
    bar: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table: how many times `other` the figure of `ours` is better."""

    case: str
    ours: str
    other: str
    median: float
    quartiles: tuple[float, float] | None = None
    bar: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.median >= self.bar


@dataclass
class Case:
    """Contenders side by side: what each took in every turn, in seconds or bytes, for the same work.

    Attributes:
        taken: contender → one value a turn; less is better.
        amount: how many `things` were done in a turn, for a speed; 0 where that says nothing.
    """

    name: str
    taken: dict[str, list[float]]
    pairs: list[Pair]
    amount: float = 0.0
    things: str = "images"
    unit: str = "s"
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def lines(self) -> list[Line]:
        found: list[Line] = []
        for pair in self.pairs:
            ratios = [b / a for a, b in zip(self.taken[pair.ours], self.taken[pair.other], strict=True)]
            found.append(Line(self.name, pair.ours, pair.other, statistics.median(ratios), spread(ratios), pair.bar))
        return found

    def best(self, among: Sequence[str]) -> str:
        """The contender with the least median."""
        return min(among, key=lambda name: statistics.median(self.taken[name]))

    def speeds(self) -> dict[str, float]:
        """Things a second of each contender."""
        return {name: self.amount / statistics.median(values) for name, values in self.taken.items()}


def spread(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; of a single value, itself."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def in_turns(acts: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each act says that it took, in `repeats` turns; another one is first in every turn."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    names = list(acts)
    for turn in range(repeats):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            taken[name].append(acts[name]())
    return taken


@contextlib.contextmanager
def apart(make: Callable[..., Callable[[], float]], told: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Name → an act that takes its turn in a process of its own, where nothing of the others' settings is felt.

    Args:
        make: a function of a module; in each process makes the act of what it is told.
        told: name → arguments of `make`.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    children: list[multiprocessing.process.BaseProcess] = []
    try:
        for name, arguments in told.items():
            pipes[name], end = context.Pipe()
            children.append(context.Process(target=_taking_turns, args=(end, make, arguments), daemon=True))
            children[-1].start()
            end.close()
            _answer(name, pipes[name])  # made; one by one, as their threads would wait for one another's

        def act(name: str) -> Callable[[], float]:
            def turn() -> float:
                pipes[name].send(None)
                return _answer(name, pipes[name])

            return turn

        yield {name: act(name) for name in told}
    finally:
        for pipe in pipes.values():
            pipe.close()  # which ends the process at its other end
        for child in children:
            child.join()


def _answer(name: str, pipe: Connection) -> float:
    try:
        said = pipe.recv()
    except EOFError:
        said = "its process ended"
    if isinstance(said, str):
        raise RuntimeError(f"{name}: {said}")
    return said


def _taking_turns(pipe: Connection, make: Callable[..., Callable[[], float]], told: tuple[Any, ...]) -> None:
    """In the process of a contender: an answer when it is made, and one a turn until the other end is closed."""
    try:
        act = make(*told)
        pipe.send(0.0)
        while True:
            pipe.recv()
            pipe.send(act())
    except EOFError:
        return
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


def timed(act: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        act()
        return time.perf_counter() - began

    return run


class Stopwatch:
    """Times whole steps of a loop, whoever runs it, from one forward pass of its net to another.

    The first passes, in which a trainer sets itself up, are left out, and so is what it does after the last step.

    Args:
        layer: is called once a step, at its beginning: the first layer of the net, as our methods do not call f itself.
        wait: until the device has done what was asked of it.
    """

    LEAD = 2  # steps that are not timed

    def __init__(self, layer: Any, wait: Callable[[], None] = lambda: None) -> None:
        self.wait, self.passes, self.last = wait, 0, 0
        self.began = self.ended = 0.0
        layer.register_forward_pre_hook(self.passed)

    def passed(self, *_: Any) -> None:
        if self.passes in (self.LEAD, self.last):
            self.wait()
            now = time.perf_counter()
            self.began, self.ended = (now, self.ended) if self.passes == self.LEAD else (self.began, now)
        self.passes += 1

    def seconds(self, loop: Loop, steps: int) -> float:
        """Of `steps` whole steps in the middle of a run of `loop`."""
        self.passes, self.last = 0, self.LEAD + steps
        loop(self.last + 1)
        assert self.passes > self.last, f"the loop made {self.passes} steps of {self.last + 1}"
        return self.ended - self.began


def written(out: Path, cases: Sequence[Case], provenance: Mapping[str, Any], **more: Any) -> None:
    """The cases with what each contender took, and what follows from it."""
    found = [asdict(case) | {"ratios": [asdict(line) for line in case.lines()]} for case in cases]
    for case, entry in zip(cases, found, strict=True):
        if case.amount:
            entry["speeds"] = {name: float(f"{speed:.4g}") for name, speed in case.speeds().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"cases": found, **more, "provenance": provenance}, indent=1, ensure_ascii=False)
    out.write_text(text + "\n", encoding="utf-8")


def read(found: Mapping[str, Any]) -> list[Case]:
    """The cases of a file that `written` made."""
    keys = Case.__dataclass_fields__
    cases = [Case(**{key: entry[key] for key in keys}) for entry in found["cases"]]
    for case in cases:
        case.pairs = [Pair(**pair) for pair in case.pairs]  # type: ignore[arg-type]
    return cases


def said(lines: Sequence[Line]) -> str:
    """The lines as a table for a terminal."""
    rows = [("case", "what", "against", "times", "quartiles", "bar")]
    for line in lines:
        quartiles = f"{line.quartiles[0]:.2f}–{line.quartiles[1]:.2f}" if line.quartiles else ""
        bar = "" if line.bar is None else f"{line.bar:.3g} {'met' if line.met else 'missed'}"
        rows.append((line.case, line.ours, line.other, f"{line.median:.2f}", quartiles, bar))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
