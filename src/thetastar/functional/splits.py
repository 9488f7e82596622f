"""Which rows train, validate and test: given where the publisher gave it, else drawn, seeded and stratified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.errors import UserError
from thetastar.functional.keys import mix
from thetastar.functional.whole import draw_groups, draw_latest, refuse_straddling

Rows = NDArray[np.int64]


def split_rows(
    rows: int,
    strata: Any | None,
    given: Mapping[Any, Any] | None,
    valid: float,
    test: float,
    seed: int,
    groups: Any | None = None,
    times: Any | None = None,
) -> dict[str, Rows]:
    """Row numbers of train, valid and test.

    Given splits are kept; what is missing is drawn from train. Shares are of all rows (where test is given, of train).
    A class with too few members for all three stays in train first. With `groups`, one label a row, whole groups are
    drawn; with `times`, one number a row, test is the latest part, valid the one before, train the earliest.
    """
    held: dict[str, Rows] = {name: np.asarray(index, dtype=np.int64) for name, index in (given or {}).items()}
    if valid * ("valid" not in held) + test * ("test" not in held) >= 1:
        raise UserError(
            f"data.valid={valid:g} and data.test={test:g}", "shares that leave rows to train on", "lower them"
        )
    pool = held.pop("train", None)
    if pool is None:
        taken = np.concatenate([*held.values(), np.empty(0, np.int64)])
        pool = np.setdiff1d(np.arange(rows), taken)
    whole = len(pool)
    random = np.random.Generator(np.random.PCG64(mix("split", seed)))
    for name, share in (("test", test), ("valid", valid)):
        if name in held:
            continue
        count = round(share * whole)
        leave = 2 if name == "test" and "valid" not in held and valid > 0 else 1
        if groups is not None:
            pool, held[name] = draw_groups(pool, count, strata, groups, leave, random)
        elif times is not None:
            pool, held[name] = draw_latest(pool, count, times, leave)
        else:
            pool, held[name] = _draw(pool, count, strata, random)
    if groups is not None:
        refuse_straddling({"train": pool, **held}, groups)
    return {"train": np.sort(pool), "valid": np.sort(held["valid"]), "test": np.sort(held["test"])}


def _draw(pool: Rows, count: int, strata: Any | None, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Take `count` rows out of the pool, each stratum in proportion (largest remainders), never its last member."""
    if count <= 0:
        return pool, np.empty(0, np.int64)
    if strata is None:
        order = random.permutation(pool)
        return order[count:], order[:count]
    labels = np.asarray(strata)[pool]
    values, sizes = np.unique(labels, return_counts=True)
    exact = sizes * (count / len(pool))
    quota = np.floor(exact).astype(np.int64)
    for i in np.argsort(quota - exact, kind="stable")[: count - quota.sum()]:
        quota[i] += 1
    quota = np.minimum(quota, sizes - 1)
    taken = [random.permutation(pool[labels == value])[:n] for value, n in zip(values, quota, strict=True)]
    chosen = np.concatenate([*taken, np.empty(0, np.int64)])
    return np.setdiff1d(pool, chosen), chosen
