"""A population trained as one beside its members one after the other.

    python -m benchmarks.members [--members 128] [--repeats 5] [--out FILE]

Members are nets 64-64-10 at batch 64, as the digits have them; both train the same members for as many steps each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.tasks import Task, opened, ours
from benchmarks.throughput import waiting
from benchmarks.turns import Case, Pair, in_turns, said, timed, written
from thetastar import equation
from thetastar.defaults import completed
from thetastar.hardware import choose_device, provenance
from thetastar.recipe import Recipe
from thetastar.watch import Watch

TINY = Task("64-64-10", {"name": "mlp", "widths": [64]}, (1, 8, 8), 10, rows=8_192)
BATCH, BAR = 64, 8.0


def prepared(method: Any, seed: int, device: str, task: Task = TINY) -> equation.Training:
    stream = opened(task, BATCH)
    engine = {"device": device, "precision": "float32"}
    recipe = Recipe(data=stream.spec, model=task.model, method=method, engine=engine, seed=seed)  # type: ignore[attr-defined]
    recipe = completed(recipe, stream)
    return equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())


def together(members: int, device: str) -> equation.Training:
    method = {"name": "population", "inner": "supervised", "members": members, "seeds": list(range(members))}
    return prepared(method, 0, device)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    wait, steps = waiting(device), options.steps
    loop = ours(together(options.members, device))
    lone = [ours(prepared("supervised", seed, device)) for seed in range(options.members)]
    acts = {
        "population": timed(lambda: (loop(steps), wait())),
        "one after the other": timed(lambda: ([one(steps) for one in lone], wait())),
    }
    for act in acts.values():
        act()
    taken = in_turns(acts, options.repeats)
    name = f"{options.members} members {TINY.about}, batch {BATCH}"
    case = Case(name, taken, [Pair("population", "one after the other", BAR)], steps * options.members, "member steps")
    case.facts = {"members": options.members, "steps": steps, "device": device}
    print(said(case.lines()))
    if options.out:
        written(options.out, [case], provenance())


if __name__ == "__main__":
    main()
