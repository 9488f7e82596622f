"""`theta decompose` and `theta curve`: why a recipe errs, and what more rows or more width would change."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from thetastar.errors import UserError
from thetastar.terminal.console import aside, print_json, show, table
from thetastar.terminal.failures import INTERRUPTED, fail, guarded
from thetastar.terminal.options import (
    Algorithm,
    Amount,
    Epochs,
    File,
    Json,
    Method,
    Model,
    Out,
    Seconds,
    Seed,
    Steps,
    Target,
    Task,
    With,
    Words,
)

if TYPE_CHECKING:
    from thetastar.outer.curve import Curve
    from thetastar.outer.decompose import Decomposition
    from thetastar.outer.parts import Parts
    from thetastar.recipe import Recipe
    from thetastar.watch import Watch

Found = TypeVar("Found")
DRAWS = ("bootstrap", "part", "subset")
LOSSES = {"0-1": "0-1 loss", "brier": "Brier score", "squared": "squared error"}

Members = Annotated[int, typer.Option(help="Trainings, each from another draw of the training rows.")]
Draw = Annotated[str, typer.Option(help="bootstrap, part (disjoint, so independent) or subset.")]
Keep = Annotated[int | None, typer.Option(min=2, help="Rows that each member learns from.")]
Noise = Annotated[
    float | None,
    typer.Option(help="Known noise of the targets: σ of numbers, share of wrong labels of classes."),
]
LabelNoise = Annotated[
    float | None, typer.Option(metavar="P", help="Make this share of the training labels wrong; data.label_noise=P.")
]
Sizes = Annotated[str | None, typer.Option(metavar="N,N,…", help="Training rows; all of them halved again and again.")]
Widths = Annotated[str | None, typer.Option(metavar="W,W,…", help="Instead of sizes: of every hidden layer.")]
Seeds = Annotated[int, typer.Option(help="Runs at each size or width, paired.")]


@guarded
def decompose(
    words: Words = None,
    model: Model = None,
    method: Method = None,
    algorithm: Algorithm = None,
    recipe: File = None,
    members: Members = 16,
    draw: Draw = "bootstrap",
    keep: Keep = None,
    noise: Noise = None,
    label_noise: LabelNoise = None,
    target: Target = None,
    task: Task = None,
    seed: Seed = None,
    budget: Amount = None,
    epochs: Epochs = None,
    steps: Steps = None,
    seconds: Seconds = None,
    out: Out = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Take the test error of a recipe apart: noise, bias and variance, with intervals.

    \b
    Examples:
      theta decompose digits --model mlp
      theta decompose digits --model knn --draw part --members 8
      theta decompose housing.csv --target median_house_value --noise 20000
    """
    from thetastar.outer.decompose import Terms
    from thetastar.outer.decompose import decompose as run

    letters = {"recipe": recipe, "model": model, "method": method, "algorithm": algorithm, "seed": seed}
    spent = {"amount": budget, "epochs": epochs, "steps": steps, "seconds": seconds}
    given = asked(words, {"data.label_noise": label_noise}, files, **letters, **spent, target=target, task=task)
    if draw not in DRAWS:
        from thetastar.errors import nearest

        raise UserError(f"--draw {draw}", f"one of {', '.join(DRAWS)}", nearest(draw, DRAWS))
    terms = Terms(members, draw, keep, noise)  # type: ignore[arg-type]
    terms.check()
    place = out or folder("decompose", given, [draw, keep])
    found = watched("decomposing", lambda watch: run(given, terms, place, watch))
    tell(place, "decompose", found, parts_table(found.parts), as_json)


@guarded
def curve(
    words: Words = None,
    model: Model = None,
    method: Method = None,
    algorithm: Algorithm = None,
    recipe: File = None,
    sizes: Sizes = None,
    widths: Widths = None,
    seeds: Seeds = 5,
    keep: Keep = None,
    label_noise: LabelNoise = None,
    target: Target = None,
    task: Task = None,
    seed: Seed = None,
    budget: Amount = None,
    epochs: Epochs = None,
    steps: Steps = None,
    seconds: Seconds = None,
    out: Out = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Test error against the number of training rows, and what more rows would bring; or against width.

    \b
    Examples:
      theta curve digits --model mlp
      theta curve digits --model knn --sizes 50,100,200,400,800 --seeds 8
      theta curve mnist1d --model mlp --widths 2,4,8,16,32,64,128 --keep 500 --label-noise 0.15
    """
    from thetastar.outer.curve import over_sizes, over_widths

    if sizes is not None and widths is not None:
        raise UserError("--sizes and --widths", "one of the two", "leave one of them out")
    if sizes is not None and keep is not None:
        raise UserError("--sizes and --keep", "one of the two", "leave one of them out")
    letters = {"recipe": recipe, "model": model, "method": method, "algorithm": algorithm, "seed": seed}
    spent = {"amount": budget, "epochs": epochs, "steps": steps, "seconds": seconds}
    rows = {"data.keep": keep, "data.label_noise": label_noise}
    given = asked(words, rows, files, **letters, **spent, target=target, task=task)
    place = out or folder("curve", given, [widths is None])
    if widths is not None:
        wide = numbers("--widths", widths)
        found = watched("training widths", lambda watch: over_widths(given, wide, seeds, place, watch))
    else:
        few = None if sizes is None else numbers("--sizes", sizes)
        found = watched("training sizes", lambda watch: over_sizes(given, few, seeds, place, watch))
    tell(place, "curve", found, points_table(found), as_json)


def tell(place: Path, verb: str, found: Decomposition | Curve, rows: Any, as_json: bool) -> None:
    """The table, the sentences and where the figure is."""
    figure = draw_figure(place, found, verb)
    if as_json:
        print_json({**found.to_json(), "folder": str(place), "figure": str(figure)})
        return
    show("")
    show(rows)
    show("")
    for sentence in found.sentences():
        show(sentence)
    show(f"figure: {figure}")


def with_words(words: Sequence[str] | None, options: dict[str, Any]) -> list[str]:
    """The words of the command line, with those that options stand for."""
    said = list(words or [])
    for path, value in options.items():
        if value is not None:
            if any(word.startswith(f"{path}=") for word in said):
                option = f"--{path.removeprefix('data.').replace('_', '-')}"
                raise UserError(f"{option} and {path}", "one of the two", "leave one of them out")
            said.append(f"{path}={value}")
    return said


def asked(words: Sequence[str] | None, rows: dict[str, Any], files: Sequence[Path] | None, **options: Any) -> Recipe:
    """The recipe of a command line; `rows` are options that stand for words about the rows."""
    from thetastar.terminal.words import Choices, include, recipe_of

    said = with_words(words, rows)
    include(files or [])
    return recipe_of(said, Choices(**options))


def numbers(option: str, text: str) -> list[int]:
    """'100,200,400'."""
    found = [part.strip().replace("_", "") for part in text.split(",") if part.strip()]
    if not found or not all(part.isdigit() for part in found):
        raise UserError(
            f"{option} {text}", "whole numbers with commas between", f"for example {option} 100,200,400,800"
        )
    return [int(part) for part in found]


def folder(verb: str, recipe: Recipe, terms: Sequence[Any]) -> Path:
    """runs/VERB-DATA-MODEL-MARK: the same question finds the same folder, so it goes on; another finds another."""
    from thetastar.defaults import data_spec
    from thetastar.functional.jsonable import strict
    from thetastar.terminal.training import short_name

    spec = data_spec(recipe.data)
    source: Any = spec.get("source", spec)
    name = short_name(source["path"]) if "path" in source else source["name"]
    model = recipe.model if isinstance(recipe.model, str) else (recipe.model or {}).get("name")
    mark = hashlib.sha256(json.dumps(strict([recipe.to_mapping(), *terms])).encode()).hexdigest()[:6]
    stem = re.sub(r"[^\w.-]+", "_", "-".join(part for part in (verb, name, model) if part))
    return Path("runs") / f"{stem}-{mark}"


def watched(label: str, act: Callable[[Watch], Found]) -> Found:
    """Under a bar; interrupted, what is trained stays."""
    from thetastar.terminal.progress import Bar

    try:
        with Bar(aside(), label, counts=False) as watch:
            return act(watch)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from here", INTERRUPTED)


def draw_figure(place: Path, found: Decomposition | Curve, name: str) -> Path:
    """NAME.svg and NAME.json beside the runs."""
    from thetastar.functional.jsonable import strict
    from thetastar.outer.decompose import Decomposition
    from thetastar.report import decomposition, sweeps
    from thetastar.snapshot import write_atomic

    svg = decomposition.drawing(found) if isinstance(found, Decomposition) else sweeps.drawing(found)
    write_atomic(place / f"{name}.svg", svg.encode())
    write_atomic(place / f"{name}.json", (json.dumps(strict(found.to_json()), indent=1) + "\n").encode())
    return place / f"{name}.svg"


# --- tables ----------------------------------------------------------------------------------------------------------


def figure_of(value: float, loss: str) -> str:
    return (f"{100 * value:.1f}%" if loss == "0-1" else f"{value:.3g}").replace("-", "−")


def between(low: float, high: float, loss: str) -> str:
    return f"{figure_of(low, loss).removesuffix('%')} to {figure_of(high, loss)}"


def parts_table(every: Sequence[Parts]) -> Any:
    """One block a loss: the error, then what it consists of."""
    made = table("part", "value", "95% interval", "of the error")
    for number, parts in enumerate(every):
        if number:
            made.add_row("")
        whole = parts.values["error"] or 1.0
        names = ["error", *(["noise"] if parts.noise_known else []), "bias", "variance"]
        names += [name for name in ("harmful", "helpful") if name in parts.values]
        for name in names:
            value = parts.values[name]
            called = LOSSES[parts.loss] if name == "error" else f"  {name}"
            called = "  bias and noise" if name == "bias" and not parts.noise_known else called
            called = f"    {name}" if name in ("harmful", "helpful") else called
            spread = between(*parts.intervals[name], parts.loss) if name in parts.intervals else "given"
            made.add_row(called, figure_of(value, parts.loss), spread, f"{100 * value / whole:.0f}%".replace("-", "−"))
    return made


def points_table(found: Curve) -> Any:
    """Errors at what was trained; what the law says of larger sizes below."""
    made = table("training rows" if found.over == "size" else "width", "error on test", "95% interval", "on train")
    for point in found.points:
        span = between(point.low, point.high, found.loss)
        made.add_row(f"{point.at:,}", found.figure(point.test), span, found.figure(point.train))
    for row in found.beyond:
        span = between(row["low"], row["high"], found.loss)
        made.add_row(f"{row['at']:,}", found.figure(row["test"]), span, "expected")
    return made
