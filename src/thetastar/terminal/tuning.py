"""`theta tune`: search the settings of a recipe on valid, and say what came out and how far to believe it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thetastar.errors import UserError
from thetastar.terminal.console import aside, number, print_json, show, table
from thetastar.terminal.failures import INTERRUPTED, fail, guarded
from thetastar.terminal.options import (
    Algorithm,
    Amount,
    Epochs,
    File,
    Group,
    Json,
    Method,
    Model,
    Out,
    Seconds,
    Seed,
    SplitColumn,
    Steps,
    Target,
    Task,
    Time,
    With,
    Words,
)

if TYPE_CHECKING:
    from thetastar.outer.study import Study

FAILED = 1
SHOWN = 5
BLOCKS = "▁▂▃▄▅▆▇█"
BAR, MOST = 24, 60


Trials = Annotated[int | None, typer.Option(help="How many, the default being the first.", show_default="30")]
Searched = Annotated[
    list[str] | None,
    typer.Option("--space", metavar="KEY=RANGE", help="Search KEY in LOW..HIGH (log: or lin: before it) or A|B|C."),
]
Grid = Annotated[
    list[str] | None,
    typer.Option("--grid", metavar="KEY=A,B,C", help="Try every combination of these values, and nothing else."),
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="KEY=VALUE", help="Do not search KEY; a KEY=VALUE word does the same."),
]
Sampler = Annotated[str | None, typer.Option(help="tpe or random.", show_default="tpe")]
Pruner = Annotated[
    str | None, typer.Option(help="Which trainings end early: median, halving or none.", show_default="median")
]
Jobs = Annotated[int, typer.Option(help="Processes that train at a time, one thread each.")]
Confirm = Annotated[int, typer.Option(help="Fresh seeds for the default and the best.")]


@guarded
def tune(
    words: Words = None,
    model: Model = None,
    method: Method = None,
    algorithm: Algorithm = None,
    recipe: File = None,
    trials: Trials = None,
    space: Searched = None,
    grid: Grid = None,
    fix: Fixed = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    jobs: Jobs = 1,
    confirm: Confirm = 3,
    target: Target = None,
    task: Task = None,
    group: Group = None,
    time: Time = None,
    split_column: SplitColumn = None,
    seed: Seed = None,
    budget: Amount = None,
    epochs: Epochs = None,
    steps: Steps = None,
    seconds: Seconds = None,
    out: Out = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Search better settings of a recipe, on valid; the test split stays shut.

    \b
    Examples:
      theta tune digits --model mlp
      theta tune digits --model cnn --trials 60 --jobs 2 --budget "10 epochs"
      theta tune wine --space "algorithm.name=sgd|adamw|muon" --space algorithm.lr=1e-4..1e-1
      theta tune digits --model mlp --grid algorithm.lr=0.1,0.01,0.001 --grid method.label_smoothing=0,0.1
    """
    from thetastar.outer.plan import plan
    from thetastar.outer.study import Terms
    from thetastar.terminal.words import Choices, include, recipe_of, split

    include(files or [])
    if odd := [text for text in fix or [] if "=" not in text]:
        raise UserError(f"--fix {odd[0]}", "KEY=VALUE", "for example --fix algorithm.lr=0.01")
    spoken = [*(words or []), *(fix or [])]
    rows = {"target": target, "task": task, "group": group, "time": time, "split_column": split_column}
    spent = {"amount": budget, "epochs": epochs, "steps": steps, "seconds": seconds}
    letters = {"recipe": recipe, "model": model, "method": method, "algorithm": algorithm}
    given = recipe_of(spoken, Choices(**letters, **rows, **spent, seed=seed))
    fixed = [word.partition("=")[0] for word in split(spoken)[1]]
    asked = {"trials": trials, "sampler": sampler, "pruner": pruner}
    said = {name: value for name, value in asked.items() if value is not None}
    if grid and said:
        name = next(iter(said))
        raise UserError(f"--grid and --{name}", "every combination, each to its end", f"leave --{name} out")
    terms = Terms(jobs=jobs, fresh=confirm, files=files or [], **said)
    study = plan(given, out or free_folder, terms, space or [], fixed, grid or [])
    run(study, as_json)


def run(study: Study, as_json: bool) -> None:
    """Search, or go on searching, and tell; interrupted, what is finished is told."""
    from thetastar.outer import wording
    from thetastar.outer.grid import announced
    from thetastar.terminal.progress import Bar

    study.begin()
    for line in study.stream.said:
        aside().print(line, markup=False, style="dim")
    parts = " · ".join(getattr(study.default, letter)["name"] for letter in ("model", "method", "algorithm"))
    aside().print(f"searching {parts}, judged by {wording.head(study.measure)} on valid", markup=False, style="dim")
    aside().print(spaces_table(study))
    if study.grid:
        aside().print(announced(study.searched), markup=False, style="dim")
    if study.terms.jobs > 1 and not study.grid:
        line = f"{study.terms.jobs} processes: a second search may draw other settings"
        aside().print(line, markup=False, style="dim")
    stopped = False
    try:
        with Bar(aside(), "tuning", counts=False) as watch:
            study.run(watch)
    except KeyboardInterrupt:
        stopped = True
    if study.best is not None:
        tell(study, as_json)
    if stopped:
        fail(f"interrupted after {len(study.trials)} trials; the same command goes on from here", INTERRUPTED)
    if study.best is None:
        reasons = [trial.reason for trial in study.trials if trial.reason]
        fail(f"no trial finished: {reasons[0] if reasons else 'none was begun'}", FAILED)


def free_folder(study: Study) -> Path:
    """runs/tune-DATA-N: the folder of the same study, so that the same command goes on, else the first that is free."""
    from thetastar.terminal.training import free_folder as of_runs

    stem = of_runs(study.default).name
    data = re.sub(rf"-{re.escape(str(study.default.model['name']))}-\d+$", "", stem)
    count = 1
    while (place := Path("runs") / f"tune-{data}-{count}").exists() and not same(study, place):
        count += 1
    return place


def same(study: Study, place: Path) -> bool:
    import json

    from thetastar.functional.jsonable import strict
    from thetastar.outer.folder import read
    from thetastar.outer.study import ASKED

    if not (place / "study.json").is_file():
        return False
    before, now = read(place / "study.json", *ASKED), json.loads(json.dumps(strict(study.question())))
    return all(before[key] == now[key] for key in ASKED)


def tell(study: Study, as_json: bool) -> None:
    """The sentences, the five best trials, what mattered, the curve, and where the files are."""
    from thetastar.outer.optimism import sentences

    importance, best = study.importance(), study.write_best()
    figures = draw(study, importance)
    if as_json:
        print_json(about(study, importance, figures))
        return
    show("")
    show(trials_table(study))
    show("")
    if importance:
        show(importance_table(importance))
        show("")
    show(f"best so far  {sparkline(study.best_so_far(), study.higher)}")
    show("")
    for sentence in sentences(study):
        show(sentence)
    show(f"recipe: {best}")
    show(f"figure: {figures[0]}")
    show(f"next: theta fit --recipe {best}")


def draw(study: Study, importance: dict[str, float]) -> list[Path]:
    """tuning-light.svg, its twin on dark paper, and both as PNG."""
    from thetastar.report import tuning
    from thetastar.snapshot import write_atomic

    made: list[Path] = []
    for scheme in tuning.COLOURS:
        svg = tuning.drawing(study, importance, scheme)
        for ending, content in (("svg", svg.encode()), ("png", tuning.png(svg))):
            made.append(study.folder / f"tuning-{scheme}.{ending}")
            write_atomic(made[-1], content)
    return made


def about(study: Study, importance: dict[str, float], figures: Sequence[Path]) -> dict[str, Any]:
    from thetastar.outer.jointly import decisions
    from thetastar.outer.optimism import gain, sentences

    best, found = study.best, gain(study.pairs())
    assert best is not None
    return {
        "folder": str(study.folder),
        "measure": study.measure,
        "higher_is_better": study.higher,
        "searched": {label: space.described() for label, space in study.searched.items()},
        "trials": [vars(trial) for trial in study.trials],
        "together": decisions(study.folder),
        "best": {"trial": best.number, "values": best.values, "value": best.value},
        "best_so_far": study.best_so_far(),
        "fresh_seeds": vars(found) | {"difference": found.difference} if found else None,
        "importance": importance,
        "sentences": sentences(study),
        "recipe": str(study.folder / "best.yaml"),
        "figures": [str(path) for path in figures],
    }


# --- tables -----------------------------------------------------------------------------------------------------------


def spaces_table(study: Study) -> Any:
    made = table("setting", "searched in", "default")
    for label, space in study.searched.items():
        made.add_row(label, space.described(), "–" if space.start is None else spoken_setting(space.value(space.start)))
    return made


def spoken_setting(value: Any) -> str:
    from thetastar.outer.spaces import spoken

    return spoken(value)


def trials_table(study: Study) -> Any:
    """The five best, and the default where it is not among them."""
    from thetastar.outer import wording
    from thetastar.outer.study import settings

    sign = -1 if study.higher else 1
    order = sorted(study.finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
    shown = order[:SHOWN] + [trial for trial in order[SHOWN:] if trial.number == 0]
    made = table("trial", f"{wording.head(study.measure)} on valid", "settings")
    for trial in shown:
        what = settings(study.moved(trial)) if trial.number else "the default"
        made.add_row(str(trial.number + 1), wording.amount(study.measure, trial.value), what)
    return made


def importance_table(importance: dict[str, float]) -> Any:
    made = table("setting", "mattered", "")
    most = max(importance.values()) or 1.0
    for label, share in importance.items():
        made.add_row(label, f"{100 * share:.0f}%", "█" * round(BAR * share / most))
    return made


def sparkline(values: Sequence[float | None], higher: bool) -> str:
    """One block a trial, or every few of them, high where it is good, and where it began and ended."""
    seen = [value for value in values if value is not None]
    low, high = min(seen), max(seen)
    span = high - low

    def block(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - low) / span if span else 1.0
        return BLOCKS[round((share if higher else 1 - share if span else 1.0) * (len(BLOCKS) - 1))]

    shown = values[::-1][:: -(-len(values) // MOST)][::-1]  # the last one is among them
    return f"{''.join(map(block, shown))}  {number(seen[0])} → {number(seen[-1])}"
