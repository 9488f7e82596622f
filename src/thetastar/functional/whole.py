"""Held-out rows that keep what belongs together: whole groups, and the latest of rows in order of time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.errors import UserError

Rows = NDArray[np.int64]
DRAWS = 32  # orders of groups that are tried for one whose classes are in proportion


def draw_groups(
    pool: Rows, count: int, strata: Any | None, groups: Any, leave: int, random: np.random.Generator
) -> tuple[Rows, Rows]:
    """Take whole groups, in random order, until about `count` rows are out of the pool; leave at least `leave` groups.

    Of several orders that one is kept whose held-out classes are nearest to the pool's proportions.
    """
    if count <= 0:
        return pool, np.empty(0, np.int64)
    names, codes = np.unique(np.asarray(groups)[pool], return_inverse=True)
    _enough(len(names), leave, "groups")
    labels = np.zeros(len(pool), np.int64)
    if strata is not None:
        labels = np.unique(np.asarray(strata)[pool], return_inverse=True)[1]
    classes = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(classes, (codes, labels), 1)
    sizes, wanted = classes.sum(1), classes.sum(0) * (count / len(pool))
    orders = [random.permutation(len(names)) for _ in range(DRAWS)]
    draws = [order[: _nearest(sizes[order], count, leave)] for order in orders]
    best = min(draws, key=lambda drawn: float(np.abs(classes[drawn].sum(0) - wanted).sum()))
    held = np.isin(codes, best)
    return pool[~held], pool[held]


def draw_latest(pool: Rows, count: int, times: Any, leave: int) -> tuple[Rows, Rows]:
    """Take about the `count` latest rows out of the pool; rows of the same time stay together."""
    if count <= 0:
        return pool, np.empty(0, np.int64)
    moments = np.asarray(times)[pool]
    distinct, sizes = np.unique(moments, return_counts=True)
    _enough(len(distinct), leave, "moments")
    first = distinct[-_nearest(sizes[::-1], count, leave)]
    return pool[moments < first], pool[moments >= first]


def _nearest(sizes: NDArray[Any], count: int, leave: int) -> int:
    """How many of the first sizes come nearest to `count`: at least one, and all but `leave` at most."""
    return int(np.abs(np.cumsum(sizes)[: len(sizes) - leave] - count).argmin()) + 1


def _enough(found: int, leave: int, what: str) -> None:
    if found <= leave:
        got = f"{found} {what if found != 1 else what.removesuffix('s')} for {leave + 1} splits"
        raise UserError(got, f"at least {leave + 1} {what}", "choose another column")


def refuse_straddling(held: dict[str, Rows], groups: Any) -> None:
    """Given splits must not share a group."""
    groups = np.asarray(groups)
    seen: dict[Any, str] = {}
    for split, rows in held.items():
        for group in np.unique(groups[rows]):
            if group in seen:
                raise UserError(
                    f"group '{group}' is in both {seen[group]} and {split} as given",
                    "every group in one split",
                    "leave the group column out or mend the splits",
                )
            seen[group] = split
