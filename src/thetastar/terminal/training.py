"""`theta fit` and `theta test`: train into a run folder, go on with one, open the sealed split."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.terminal.console import aside, measures_table, number, of_class, print_json, show, speaks, table

if TYPE_CHECKING:
    from thetastar.protocols import Stream
    from thetastar.star import Star


def fit(recipe: Recipe, *, seeds: int, out: Path | None, only_print: bool, as_json: bool) -> None:
    """Train a recipe once, or once a seed, and say where the runs are and what they reached on valid."""
    from thetastar import rates
    from thetastar.defaults import open_for
    from thetastar.equation import assemble

    stream = open_for(recipe)
    full = rates.completed(recipe, stream)
    if only_print:
        full, _ = rates.settled(full, stream)
        assemble(full, stream.schema)  # what is printed must run
        if as_json:
            print_json(full.to_mapping())
        elif speaks():
            print(full.to_yaml(), end="")
        return
    place = out or free_folder(full)
    if seeds == 1:
        report([train(full, place, stream)], place, as_json)
        return
    runs = [full.replace(seed=full.seed + number) for number in range(seeds)]
    first = train(runs[0], place / f"seed-{full.seed}", stream, seeds)
    fixed = None if stream.state_dict() else stream  # environments begin anew with every run
    others = [train(one, place / f"seed-{one.seed}", fixed, seeds) for one in runs[1:]]
    report([first, *others], place, as_json)


def train(recipe: Recipe, place: Path, stream: Stream | None, runs: int = 1, whole: Path | None = None) -> Star:
    """One run under a progress bar; an interruption says where it can be taken up again, if it had begun.

    `whole` is the folder of the stages that it is one of.
    """
    from thetastar import star
    from thetastar.terminal.progress import Bar, Polite

    label = f"{recipe.model['name']}, {recipe.method['name']}" + (f", seed {recipe.seed}" if runs > 1 else "")
    with Bar(aside(), label, opening=stream.said if stream else ()) as bar, Polite(bar) as watch:
        try:
            return star.train(recipe, place, stream=stream, watch=watch)
        except KeyboardInterrupt:
            if not place.exists():  # still looking for a rate
                raise
            done = f"interrupted after {watch.done} of {watch.planned} steps"
            raise KeyboardInterrupt(f"{done}; go on with: theta fit --resume {whole or place}") from None


def resume(place: Path, as_json: bool) -> None:
    """Go on with a run, or with every run of several seeds, to the bits of an undisturbed one."""
    from thetastar.run import Run

    folders = [place] if (place / "provenance.json").exists() else sorted(place.glob("seed-*"))
    stars: list[Star] = []
    for folder in folders or [place]:
        run = Run.open(folder)
        finished = run.finished
        stars.append(train(run.recipe, folder, None, len(folders)))
        if finished:
            aside().print(f"{folder} was finished", markup=False, style="dim")
    report(stars, place, as_json)


def free_folder(recipe: Recipe) -> Path:
    """runs/<data>-<model>-<n>, with the first n that is free."""
    source = recipe.data.get("source") or recipe.data
    data = short_name(source["path"]) if "path" in source else source["name"]
    stem = re.sub(r"[^\w.-]+", "_", f"{data}-{recipe.model['name']}")
    count = 1
    while (place := Path("runs") / f"{stem}-{count}").exists():
        count += 1
    return place


def short_name(path: str | Sequence[str]) -> str:
    """Of data, for the folders of what is made of them: the file's or folder's; of a pattern the folder it looks in."""
    first = Path(path if isinstance(path, str) else path[0]).expanduser().absolute()
    while any(mark in first.name for mark in "*?["):
        plain = re.sub(r"[\W_]*[*?\[].*", "", first.name)
        first = first.with_name(plain) if plain else first.parent
    return first.name if first.is_dir() else first.stem


def report(stars: Sequence[Star], place: Path, as_json: bool, last: bool = True) -> None:
    """What came out: for machines as JSON, for people as a table and, unless more follows, the next command."""
    if as_json:
        shown = [about(star) for star in stars]
        print_json(shown[0] if len(shown) == 1 else {"runs": shown, "intervals": intervals(stars)})
        return
    star = stars[0]
    names = [star.recipe.model["name"], star.recipe.method["name"]]
    if star.facts.get("steps"):
        names.append(star.recipe.algorithm["name"])
    many = f"{len(stars)} seeds, each " if len(stars) > 1 else ""
    show(f"{many}{', '.join(names)}: {star.parameters:,} parameters, {how_long(star)}")
    if star.facts.get("stopped_early"):
        show(f"stopped early; best epoch {star.facts['best_epoch']}")
    if star.measures:
        show(measures_table(star.measures, classes_of(star)) if len(stars) == 1 else intervals_table(stars))
    elif star.recipe.measures:
        show("no valid split was held out: the test split will judge")
    else:
        show("nothing was measured: the recipe names no measures")
    show(f"run: {place}")
    if last and "test" not in star.measures:
        show(f"next: theta test {star.run.path if star.run else place}")


def classes_of(star: Star) -> Sequence[str]:
    """The names of the classes that the star tells apart."""
    return star.schema.target.names if star.schema.target else ()


def how_long(star: Star) -> str:
    from thetastar import execution

    facts = star.facts
    return f"{facts.get('steps', 0):,} steps in {facts.get('seconds', 0.0):.1f} s ({execution.said(facts)})"


def about(star: Star) -> dict[str, Any]:
    return {
        "run": str(star.run.path) if star.run else None,
        "recipe": star.recipe.to_mapping(),
        "measures": star.measures,
        "parameters": star.parameters,
        "facts": star.facts,
    }


def intervals(stars: Sequence[Star]) -> dict[str, dict[str, float]]:
    """Mean over seeds and half the width of its 95% interval, by Student's t: it carries the seeds, not the split."""
    import numpy as np
    from scipy import stats

    found: dict[str, dict[str, float]] = {}
    for name in stars[0].measures.get("valid", {}):
        if any(name not in star.measures["valid"] for star in stars):
            continue  # a class that one of them never met
        values = np.array([star.measures["valid"][name] for star in stars], dtype=float)
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        found[name] = {"mean": float(values.mean()), "half_width": float(half)}
    return found


def between(mean: float, half: float) -> str:
    """'0.922 ± 0.047': two digits of the uncertainty, and the mean to the same place."""
    if not (math.isfinite(half) and half > 0):
        return f"{number(mean)} ± {number(half)}"
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:,.{places}f} ± {half:,.{places}f}"


def intervals_table(stars: Sequence[Star]) -> RenderableType:
    made = table("measure", f"valid, mean ± 95% interval over {len(stars)} seeds (one split)")
    for name, value in intervals(stars).items():
        made.add_row(of_class(name, classes_of(stars[0])), between(value["mean"], value["half_width"]))
    return made


def single(place: Path) -> Path:
    """The folder of one run; several seeds are several runs."""
    if place.is_dir() and not (place / "provenance.json").exists() and (runs := sorted(place.glob("seed-*"))):
        raise UserError(f"{place} holds {len(runs)} runs, one a seed", "one run", f"name one, for example {runs[0]}")
    if any((place / file).is_file() for file in ("compare.json", "labels.json")):
        inside = next(iter(sorted(place.glob("runs/**/seed-*"))), place / "runs")
        raise UserError(f"{place} is a comparison", "one run", f"name one, for example {inside}")
    if (place / "stages.yaml").is_file():
        stages = sorted(run.parent for run in place.glob("*/provenance.json"))
        raise UserError(f"{place} holds stages", "one run", f"name one, for example {(stages or [place])[-1]}")
    return place


def test(place: Path, as_json: bool) -> None:
    """Open the sealed test split of a run, and say how often that was done before."""
    from thetastar import star

    loaded = star.load(single(place))
    before = len(loaded.facts.get("test_openings", []))
    loaded.test()
    if as_json:
        print_json({**about(loaded), "opened_before": before})
        return
    show(measures_table(loaded.measures, classes_of(loaded)))
    if before == 0:
        show("this run had not opened its test split before")
    else:
        times = "once" if before == 1 else f"{before} times"
        show(f"this run had opened its test split {times} before: choices made since then make the score optimistic")


def check(path: Path, as_json: bool) -> bool:
    """The contract suite on a user's file; True where every check is passed."""
    if not path.is_file():
        raise UserError(f"no file {path}", "a Python file with components", "check the path")
    from thetastar.contract import check_file

    findings = check_file(path)
    good = all(finding.outcome != "broken" for finding in findings)
    if as_json:
        print_json([vars(finding) for finding in findings])
        return good
    made = table("component", "check", "outcome", "")
    for finding in findings:
        made.add_row(finding.component, finding.check, finding.outcome, finding.detail)
    show(made)
    return good
