"""Which way of computing the members of a population is the fastest here, found out by trial."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

import torch

from thetastar.errors import UserError

Mode = Literal["stacked", "in_turn", "threads"]
Name = TypeVar("Name")
MODES: tuple[Mode, ...] = get_args(Mode)
WORDS = {"stacked": "all in one call", "in_turn": "one after the other", "threads": "in threads"}
ROUNDS, LIMIT = 7, 2.0  # how often each takes its turn, and seconds after which no round begins


def fastest(
    acts: Mapping[Mode, Callable[[], None]], asked: Mode | None, unthreadable: Callable[[], str], members: str
) -> tuple[Mode, str]:
    """The fastest way, and what to say about it; the way that is asked for, where it is possible.

    Args:
        acts: one batch computed in each way.
        asked: the one to take; None is the fastest.
        unthreadable: why threads are impossible, "" where they are not; asked right after members went in turn.
        members: whose they are, for the refusal.
    """
    acts["in_turn"]()  # a mistake that is none of the stack's shows here
    why = {"threads": unthreadable(), "stacked": unstackable(acts["stacked"])}
    if asked:
        if reason := why.get(asked):
            raise UserError(f"{members} {WORDS[asked]}: {reason}", "auto", "leave method.execution out")
        return asked, ""
    if torch.get_num_threads() == 1:
        why["threads"] = "one core"
    possible: dict[Mode, Callable[[], None]] = {mode: act for mode, act in acts.items() if not why.get(mode)}
    seconds = medians(possible)
    first, *others = sorted(seconds, key=seconds.__getitem__)
    beside = [f"{WORDS[mode]} {seconds[mode] * 1e3:.3g} ms" for mode in others]
    beside += [f"not all in one call: {why['stacked']}"] if why["stacked"] else []
    line = f"members {WORDS[first]}: {seconds[first] * 1e3:.3g} ms a batch"
    return first, line + (f" ({'; '.join(beside)})" if beside else "")


def unstackable(act: Callable[[], None]) -> str:
    """Why members cannot be stacked, in the words of torch; "" where they can."""
    try:
        act()
    except (RuntimeError, TypeError, ValueError) as error:
        return f"they cannot be stacked: {str(error).strip().splitlines()[0]}"
    return ""


def medians(acts: Mapping[Name, Callable[[], Any]]) -> dict[Name, float]:
    """Median seconds of each act, in turns, after a first time that is not counted."""
    seconds: dict[Name, list[float]] = {name: [] for name in acts}
    for act in acts.values():
        act()
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    began = time.perf_counter()
    for turn in range(ROUNDS):
        if turn and time.perf_counter() - began > LIMIT:
            break
        for name, act in acts.items():
            wait()
            start = time.perf_counter()
            act()
            wait()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
