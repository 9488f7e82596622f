"""Which training rows are learnt from, and which labels are wrong on purpose."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.keys import generator, mix

Rows = NDArray[np.int64]
Draw = Literal["subset", "bootstrap", "part"]


def drawn(rows: Rows, strata: Rows | None, keep: int | None, draw: Draw, seed: int) -> Rows:
    """Some of the training rows, ascending.

    Args:
        rows: all of them.
        strata: one class a row of the whole set; None draws without regard to classes.
        keep: how many; None is all (of a bootstrap: as many as there are).
        draw: "subset" takes the first of an order every prefix of which is stratified, so that fewer lie within more;
            "bootstrap" draws with replacement; "part" is the `seed`-th of the disjoint parts of that size.
        seed: of the order or draw, or the number of the part.

    Source: Efron 1979, Bootstrap methods: another look at the jackknife.
    """
    count = len(rows) if keep is None else keep
    if draw == "bootstrap":
        random = np.random.Generator(np.random.PCG64(mix("bootstrap", seed)))
        return np.sort(random.choice(rows, count, replace=True))
    parts = len(rows) // count if count else 0
    if parts == 0 or (draw == "part" and seed >= parts):
        got = f"part {seed} of {count:,} rows" if draw == "part" else f"data.keep={count:,}"
        do = (
            f"there {'is one part' if parts == 1 else f'are {parts} parts'} of that size"
            if parts
            else "lower data.keep"
        )
        raise UserError(got, f"at most the {len(rows):,} training rows", do)
    begin, order = (seed * count, 0) if draw == "part" else (0, seed)
    if count == len(rows):
        return rows
    labels = np.zeros(int(rows.max()) + 1, np.int64) if strata is None else strata
    return np.sort(stratified_order(rows, labels, order)[begin : begin + count])


def stratified_order(rows: Rows, classes: Rows, seed: int) -> Rows:
    """`rows` in a random order every prefix of which is stratified: first one of each class, then the class most due.

    The k-th of a class of n comes at (k − ½) / n.

    Source: Sainte-Laguë 1910, La représentation proportionnelle et la méthode des moindres carrés: it never takes a
    seat back as seats are added, so that prefixes are nested.
    """
    random = np.random.Generator(np.random.PCG64(mix("labels", seed)))
    shuffled = random.permutation(rows)
    due = np.empty(len(rows))
    for value in np.unique(classes[rows]):
        mine = np.flatnonzero(classes[shuffled] == value)
        due[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        due[mine[0]] = -1.0
    return shuffled[np.argsort(due, kind="stable")]


def mislabelled(labels: Tensor, classes: int, share: float, seed: int) -> Tensor:
    """Each label replaced, with probability `share`, by another class, all others alike.

    Shapes: (rows,) → (rows,).
    """
    source = generator(seed, "label noise")
    wrong = torch.rand(len(labels), generator=source) < share
    shift = torch.randint(1, classes, labels.shape, generator=source)
    return torch.where(wrong, (labels + shift) % classes, labels)
