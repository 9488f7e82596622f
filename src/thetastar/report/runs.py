"""The page of plain runs: what each reached, curves side by side, answers, and where their recipes differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thetastar import execution, registry
from thetastar.errors import UserError
from thetastar.outer import evidence, wording
from thetastar.outer.examples import Examples, examples_of
from thetastar.outer.trial import curve_of
from thetastar.protocols import Split
from thetastar.recipe import Recipe
from thetastar.report import facts, page
from thetastar.report.attention import attention
from thetastar.report.comparison import answers
from thetastar.report.cost import Point, cost
from thetastar.report.curves import curves
from thetastar.report.masks import masks
from thetastar.report.neighbourhoods import neighbourhoods
from thetastar.report.page import Page, Section, section
from thetastar.report.pictures import pictures
from thetastar.run import Run
from thetastar.star import load


@dataclass
class Group:
    """Runs of one recipe that differ in seed alone."""

    name: str
    runs: list[Run]
    recipe: Recipe

    def values(self, split: Split, measure: str) -> list[float]:
        found = [run.measures.get(split, {}).get(measure) for run in self.runs]
        return [value for value in found if value is not None]

    def mean(self, split: Split, measure: str) -> float | None:
        found = self.values(split, measure)
        return sum(found) / len(found) if found else None

    def fact(self, name: str) -> float | None:
        found = [run.measures.get("facts", {}).get(name) for run in self.runs]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else None


def opened(places: Sequence[Path]) -> list[Run]:
    """The finished runs in these folders; one of several seeds holds a run a seed."""
    found: list[Run] = []
    for place in places:
        seeds = sorted(place.glob("seed-*")) if not (place / "provenance.json").exists() else []
        for path in seeds or [place]:
            run = Run.open(path)
            if not run.finished:
                raise UserError(f"{path} is unfinished", "a finished run", f"go on with it: theta fit --resume {path}")
            found.append(run)
    return found


def grouped(runs: Sequence[Run]) -> list[Group]:
    """By recipe but for the seed; names tell the groups apart."""
    groups: dict[str, Group] = {}
    for run in runs:
        recipe = run.recipe
        same = {name: value for name, value in flat(recipe.to_mapping()).items() if name not in SEEDS}
        groups.setdefault(str(same), Group(recipe.model["name"], [], recipe)).runs.append(run)
    found = list(groups.values())
    if len({group.name for group in found}) < len(found):
        for group in found:
            group.name = f"{group.recipe.model['name']}+{group.recipe.method['name']}"
    if len({group.name for group in found}) < len(found):
        for group in found:
            path = group.runs[0].path.resolve()
            group.name = path.parent.name if path.name.startswith("seed-") else path.name
    if len({group.name for group in found}) < len(found):
        for group in found:
            group.name = str(group.runs[0].path)
    return found


SEEDS = ("seed", "data.split_seed")


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{'algorithm.lr': 0.001, …}."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, item in value.items():
        found |= flat(item, f"{prefix}.{name}" if prefix else str(name))
    return found


def differing(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all recipes, a value for each; – where a recipe has no such setting."""
    settings = [flat(group.recipe.to_mapping()) for group in groups]
    names = dict.fromkeys(name for setting in settings for name in setting if name not in SEEDS)
    table = [(name, [str(setting.get(name, "–")) for setting in settings]) for name in names]
    return [(name, values) for name, values in table if len(set(values)) > 1]


def render(places: Sequence[Path]) -> str:
    """HTML of one or several runs: on test where every run opened it, else on valid."""
    groups = grouped(opened(places))
    runs = [run for group in groups for run in group.runs]
    split: Split = "test" if all("test" in run.measures for run in runs) else "valid"
    measure: str = groups[0].recipe.measures[0]["name"] if groups[0].recipe.measures else ""
    groups = ranked(groups, split, measure)
    return page.render(
        Page(
            title=f"{title_of(runs[0])}: {wording.counted(len(runs), 'run')}",
            about=f"{title_of(runs[0])} · {wording.counted(len(runs), 'run')}",
            headline=headline(groups, split, measure),
            lead=lead(groups, split),
            facts=[],
            sections=sections(groups, split, measure),
            foot=f"Made by thetastar {runs[0].provenance.get('thetastar', '')} from the files of the runs.",
        )
    )


def ranked(groups: list[Group], split: Split, measure: str) -> list[Group]:
    """Best first; those without a value last."""
    if not measure:
        return groups
    sign = -1.0 if getattr(registry.load("measures", measure), "higher_is_better", True) else 1.0

    def place(group: Group) -> float:
        mean = group.mean(split, measure)
        return math.inf if mean is None else sign * mean

    return sorted(groups, key=place)


def title_of(run: Run) -> str:
    spec = run.recipe.data
    source = spec.get("source") or spec
    return Path(source["path"]).name if isinstance(source.get("path"), str) else str(source["name"])


def headline(groups: Sequence[Group], split: Split, measure: str) -> str:
    best = groups[0]
    mean = best.mean(split, measure)
    if mean is None:
        return (
            f"{wording.capital(wording.listed([wording.spoken(group.name) for group in groups]))}: nothing judged yet."
        )
    value = f"{wording.head(measure)} {wording.amount(measure, mean)} on {split}"
    seeds = best.values(split, measure)
    over = f", the mean of {len(seeds)} seeds" if len(seeds) > 1 else ""
    if len(groups) == 1:
        return wording.capital(f"{wording.spoken(best.name)} reaches {value}{over}.")
    return wording.capital(f"{wording.spoken(best.name)} comes first of {len(groups)}: {value}{over}.")


def lead(groups: Sequence[Group], split: Split) -> list[str]:
    said: list[str] = []
    if len(groups) > 1:
        said.append("No verdict: whether a difference between these runs is more than chance, a comparison tells.")
    runs = [run for group in groups for run in group.runs]
    if len({run.measures.get("facts", {}).get("data") for run in runs}) > 1:
        said.append("The runs saw different data, so their values cannot be compared.")
    openings = [len(run.measures.get("facts", {}).get("test_openings", [])) for run in runs]
    seen = sum(count > 0 for count in openings)
    if split == "valid" and seen:
        said.append(f"{seen} of {len(runs)} runs opened the test split; what follows is on valid, as for all.")
    elif split == "valid":
        said.append("The test split is sealed: all that follows is on valid, by which choices were made.")
    elif max(openings) > 1:
        said.append(
            f"The test split was opened up to {max(openings)} times; choices made since then flatter the values."
        )
    else:
        said.append("Every run opened the test split once.")
    return said


def sections(groups: Sequence[Group], split: Split, measure: str) -> list[Section]:
    found: list[Section | None] = [table(groups, split)]
    drawn = {group.name: [curve_of(run, measure) for run in group.runs] for group in groups}
    some = {name: lines for name, lines in drawn.items() if any(lines)}
    if some:
        found.append(curves(some, measure, [name for name in drawn if name not in some]))
    names = [group.name for group in groups]
    overlaps = masks({group.name: [run.path for run in group.runs] for group in groups}, split)
    seen = None if overlaps else shown(groups, split)
    drawn_by = {} if overlaps or seen else {group.name: group.runs[0].path for group in groups}
    made = pictures(drawn_by, split)  # by what answers no question about single examples
    found += [overlaps] if overlaps else [made] if made else answers(seen, names)
    first = {group.name: group.runs[0].path for group in groups}
    found += [neighbourhoods(first, split), attention(first, split)]
    points = [
        Point(group.name, n == 0, mean, None, None, group.fact("seconds"), None, None)
        for n, group in enumerate(groups)
        if (mean := group.mean(split, measure)) is not None
    ]
    found.append(cost(points, measure, split))
    texts = [(group.name, group.recipe.to_yaml()) for group in groups]
    found.append(facts.recipes(texts, differing(groups) if len(groups) > 1 else []))
    found.append(origins(groups))
    return [each for each in found if each is not None]


def shown(groups: Sequence[Group], split: Split) -> evidence.Evidence | None:
    """What was answered; rows are fetched from the data where they can still be opened."""
    paths = {group.name: [run.path for run in group.runs] for group in groups}
    found = evidence.gather(paths, split)
    if found is None:
        return None
    try:
        examples = examples_of(load(groups[0].runs[0].path).stream, found.rows)
    except UserError:
        examples = Examples()  # the page says that the rows were not kept
    return dataclasses.replace(found, examples=examples)


def table(groups: Sequence[Group], split: Split) -> Section:
    """A row a recipe: means over its seeds."""
    names = list(dict.fromkeys(name for group in groups for run in group.runs for name in run.measures.get(split, {})))
    names = [name for name in names if "[" not in name]
    rows = []
    for group in groups:
        values = [wording.amount(name, group.mean(split, name)) for name in names]
        steps, seconds = group.fact("steps"), group.fact("seconds")
        costs = [
            "–" if steps is None else f"{steps:,.0f}",
            "–" if seconds is None else f"{wording.figure(seconds, 2)} s",
        ]
        rows.append([wording.spoken(group.name), str(len(group.runs)), *values, *costs])
    heads = ["recipe", "runs", *map(wording.head, names), "steps", "train"]
    return section("runs", "The runs", heads=heads, rows=rows, split=split)


def origins(groups: Sequence[Group]) -> Section:
    """A row a run: where it is, its seed, its data, when and by what it was made."""
    heads = ["run", "seed", "data", "test opened", "finished", "commit", "torch", "hardware", "precision"]
    rows = []
    for run in (run for group in groups for run in group.runs):
        known, seen = run.provenance, run.measures.get("facts", {})
        times = len(seen.get("test_openings", []))
        opened = "once" if times == 1 else f"{times} times" if times else "never"
        rows.append(
            [
                str(run.path), str(run.recipe.seed), str(seen.get("data", "–")), opened,
                str(known.get("finished", "–")), str(known.get("commit") or "–")[:10], str(known.get("torch", "–")),
                str(known.get("gpu") or known.get("processor") or "–"), execution.said(seen) if seen else "–",
            ]
        )  # fmt: skip
    return section("origins", "Provenance", heads=heads, rows=rows)
