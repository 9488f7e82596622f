"""What a search will be about: the recipe under every choice of component, and the spaces of its settings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thetastar import registry
from thetastar.defaults import completed, open_for, open_stream
from thetastar.errors import UserError
from thetastar.outer import grid as grids
from thetastar.outer.spaces import CHOICES, Choice, asked, gather, names_of
from thetastar.outer.study import Study, Terms
from thetastar.outer.trying import rebatched
from thetastar.protocols import Stream
from thetastar.recipe import Recipe


def plan(
    recipe: Recipe,
    out: Path | Callable[[Study], Path],
    terms: Terms | None = None,
    spaces: Sequence[str] = (),
    fixed: Sequence[str] = (),
    grid: Sequence[str] = (),
) -> Study:
    """What will be searched, and what was done of it.

    Args:
        recipe: what it leaves out is chosen by the data.
        out: the folder, or what finds it.
        terms: how many trials there are, which and how long they go on is said by a grid where there is one.
        spaces: `algorithm.lr=1e-4..1e-1`, in place of or beside what is usual.
        fixed: paths that were given a value and are not searched.
        grid: `algorithm.lr=0.1,0.01`, of which every combination is tried and nothing else.
    """
    terms = terms or Terms()
    terms.check()
    if spaces and grid:
        raise UserError("--space and --grid", "one of the two", "leave one of them out")
    option = "--grid" if grid else "--space"
    texts = asked(grid or spaces, option)
    for path in texts:
        if path in fixed:
            raise UserError(f"{option} {path} and a value for it", "one of the two", "leave one of them out")
    stream = opened(recipe)
    default = completed(recipe, stream)
    if not default.measures:
        raise UserError("measures=[] in a search", "a measure that judges", "name one or leave the word out")
    names = {path: names_of(path, texts.pop(path), option) for path in list(texts) if path in CHOICES}
    bases: dict[Choice, tuple[Recipe, Stream]] = {}
    for combination in itertools.product(*names.values()):
        choice: Choice = tuple(zip(names, combination, strict=True))
        data = rebatched_for(choice, stream, fixed)
        bases[choice] = completed(under(recipe, choice, default, fixed), data), data
    start: Choice = tuple((path, getattr(default, path.split(".")[0])["name"]) for path in names)
    searched = gather(bases, texts, fixed, start, grids.values if grid else None)
    if not searched:
        letters = [str(getattr(default, letter)["name"]) for letter in ("model", "method")]
        raise UserError(f"nothing to search in {' with '.join(letters)}", "a setting", "name some: --space KEY=RANGE")
    made = Study(default, stream, {choice: base for choice, (base, _) in bases.items()}, searched, terms, Path())
    if grid:
        made.grid = grids.grid(searched)
        made.terms = dataclasses.replace(terms, trials=len(made.grid), sampler="grid", pruner="none")
    made.folder = out(made) if callable(out) else out
    return made


def opened(recipe: Recipe) -> Stream:
    """The data with rows to choose by: what learns without looking at valid leaves none unless it is told to."""
    stream = open_for(recipe)
    if stream.size("valid"):
        return stream
    spec: Mapping[str, Any] = getattr(stream, "spec", {})
    given = recipe.data.get("valid") if isinstance(recipe.data, Mapping) else None
    if given is None and "valid" in spec:
        stream = open_stream({key: value for key, value in spec.items() if key != "valid"})
    if not stream.size("valid"):
        raise UserError(
            "tuning without a valid split", "rows held out for choices", "set data.valid to a share such as 0.15"
        )
    return stream


def under(recipe: Recipe, choice: Choice, default: Recipe, fixed: Sequence[str]) -> Recipe:
    """The recipe with other components, which keep what the user set of them; judged by the same measures."""
    recipe = recipe.replace(measures=default.measures, engine=default.engine)
    for path, name in choice:
        letter = path.split(".")[0]
        if name == getattr(default, letter)["name"]:
            recipe = recipe.replace(**{letter: getattr(default, letter)})
            continue
        given = getattr(recipe, letter)
        given = given if isinstance(given, Mapping) else {}
        kept = {key: value for key, value in given.items() if f"{letter}.{key}" in fixed}
        recipe = recipe.replace(**{letter: {"name": name, **kept}})
    return recipe


def rebatched_for(choice: Choice, stream: Stream, fixed: Sequence[str]) -> Stream:
    """The data as the algorithm of a choice wants them: the whole training split at once, for example."""
    name = dict(choice).get("algorithm.name")
    spec: Mapping[str, Any] = getattr(stream, "spec", {})
    if name is None or "data.batch_size" in fixed or "batch_size" not in spec:
        return stream
    wanted = getattr(registry.load("algorithms", name), "companions", {}).get("data", {}).get("batch_size")
    return stream if wanted is None else rebatched(stream, {**spec, "batch_size": wanted})
