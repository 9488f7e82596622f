"""A grid: every combination of some values of some settings, `algorithm.lr=0.1,0.01,0.001`, the default first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from thetastar.errors import UserError
from thetastar.outer.spaces import Space, active, is_choice, of_values, place
from thetastar.outer.tuning import starts
from thetastar.recipe import Recipe, parse_yaml

LARGEST = 1000  # combinations
OPTION = "--grid"


def values(path: str, text: str, recipe: Recipe) -> Space:
    """The values of a setting, which are a YAML list without its brackets: `0.1,0.01` or `[64,32],[128]`."""
    argument, default = place(recipe, path, OPTION)
    try:
        given = parse_yaml(f"[{text}]")
    except yaml.YAMLError:
        raise UserError(f"{OPTION} {path}={text}", "values with , between", "mend it") from None
    if not given:
        raise UserError(f"{OPTION} {path}={text}", "values with , between", "name at least one")
    return of_values(path, text, given, argument, default, OPTION)


def grid(searched: Mapping[str, Space]) -> list[dict[str, Any]]:
    """All trials as draws: the default, then every combination that is not it; refused where they are too many."""
    count = size(searched)
    if count > LARGEST:
        do = "name fewer values, or search ranges with --space"
        raise UserError(f"{OPTION} of {spoken_size(searched)}", f"at most {LARGEST:,}", do)
    default = starts(searched)
    return [default, *(drawn for drawn in combinations(searched) if drawn != default)]


def announced(searched: Mapping[str, Space]) -> str:
    """'3 × 2 = 6 combinations, the default among them: 6 trials'."""
    trials = len(grid(searched))
    beside = "the default among them" if trials == size(searched) else "and the default"
    return f"{spoken_size(searched)}, {beside}: {trials:,} trial{'' if trials == 1 else 's'}"


def combinations(searched: Mapping[str, Space]) -> Iterator[dict[str, Any]]:
    """Every choice of components with every combination of the settings under it, the last one changing fastest."""
    for drawn in choices(searched):
        labels = [label for label in active(searched, drawn) if label not in drawn]
        for rest in itertools.product(*(searched[label].distribution.choices for label in labels)):
            yield drawn | dict(zip(labels, rest, strict=True))


def choices(searched: Mapping[str, Space]) -> Iterator[dict[str, Any]]:
    labels = [label for label in searched if is_choice(label)]
    for picked in itertools.product(*(searched[label].distribution.choices for label in labels)):
        yield dict(zip(labels, picked, strict=True))


def size(searched: Mapping[str, Space]) -> int:
    """How many combinations there are, without making them."""
    return sum(
        math.prod(len(searched[label].distribution.choices) for label in active(searched, drawn) if label not in drawn)
        for drawn in choices(searched)
    )


def spoken_size(searched: Mapping[str, Space]) -> str:
    """'3 × 2 = 6 combinations'; where components bring their own settings, the number alone."""
    sizes, count = [len(space.distribution.choices) for space in searched.values()], size(searched)
    product = " × ".join(map(str, sizes)) + " = " if len(sizes) > 1 and math.prod(sizes) == count else ""
    return f"{product}{count:,} combination{'' if count == 1 else 's'}"
