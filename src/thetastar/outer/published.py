"""Figures of others beside ours: read from recipes, shown on their own data, and judged by our interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from thetastar.errors import UserError
from thetastar.recipe import Recipe, part

if TYPE_CHECKING:
    from thetastar.outer.verdict import Row

Standing = Literal["above", "at", "below"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure that others reported.

    Args:
        value: on test; of a share, the share: 0.9619.
        source: author, year and title, or where it is known from.
        measure: which measure it is a value of.
    """

    value: float
    source: str
    measure: str = "accuracy"


def about(recipe: Recipe, name: str) -> Published | None:
    """What the recipe says was published, checked; `name` is what messages call it."""
    if recipe.published is None:
        return None
    for key in ("value", "source"):
        if key not in recipe.published:
            raise UserError(f"{name}: published without a {key}", "a value and its source", f"add {key}: …")
    return part(Published, recipe.published, f"{name}: published")


def standing(row: Row) -> Standing | None:
    """Where our interval lies against what was published; without an interval, where our mean lies."""
    if row.published is None or row.quality is None:
        return None
    known = row.low is not None and row.high is not None and math.isfinite(row.low + row.high)
    low, high = (row.low, row.high) if known else (row.quality, row.quality)
    value = row.published["value"]
    return "above" if low > value else "below" if high < value else "at"
