"""Columns of words: a 0/1 entry a word, or ranks; always with a place for words never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_words
from thetastar.errors import UserError

Categories = Literal["auto", "onehot", "ordinal", "embedding"]
Matrix = NDArray[np.float32]
MOST = 50  # values of a word column that get an entry of their own
EMBEDDED = 1000  # of one whose values become learnt vectors, which few numbers describe
RARE = 1000  # a value in fewer than one of so many rows has none: its standardised entry would be an outlier
DISTINCT = 10  # so many words, all different, are names of rows rather than categories


@dataclass(frozen=True)
class Words:
    """A word ↦ one-hot over `values`, 'other' (where training had `seldom` ones) and 'unknown' (missing, unseen).

    With `embed`, models that learn a vector a word do so; for others the entries are what they are.
    """

    name: str
    values: tuple[str, ...]
    seldom: tuple[str, ...]
    embed: bool = False

    @property
    def entries(self) -> list[str]:
        return [f"{self.name}={value}" for value in (*self.values, *(["other"] if self.seldom else []), "unknown")]

    def encode(self, column: pd.Series, strict: bool) -> Matrix:
        words = as_words(column)
        codes = pd.Index(self.values, dtype="str").get_indexer(pd.Index(words))
        last = len(self.entries) - 1
        codes[codes < 0] = last
        if self.seldom:
            codes[words.isin(self.seldom).to_numpy()] = last - 1
        return np.eye(last + 1, dtype=np.float32)[codes]


@dataclass(frozen=True)
class Ranks:
    """A word ↦ (its place in `order`, from 0; `middle` where it is missing or unseen, and whether it was)."""

    name: str
    order: tuple[str, ...]
    middle: float

    @property
    def entries(self) -> list[str]:
        return [self.name, f"{self.name} unknown"]

    def encode(self, column: pd.Series, strict: bool) -> Matrix:
        codes = pd.Index(self.order, dtype="str").get_indexer(pd.Index(as_words(column)))
        unknown = codes < 0
        return np.stack([np.where(unknown, self.middle, codes), unknown], 1).astype(np.float32)


def fit_words(
    name: str, words: pd.Series, how: Categories, order: Sequence[str] | None, said: list[str]
) -> Words | Ranks | None:
    """What training rows say of a column of words; None where it holds nothing to learn from."""
    counts = words.value_counts()
    if len(counts) == 0:
        said.append(f"column '{name}' left out: no value in the training rows")
        return None
    if len(counts) == 1 and words.notna().all():
        said.append(f"column '{name}' left out: it is always '{counts.index[0]}' in the training rows")
        return None
    if counts.max() == 1 and len(counts) >= DISTINCT:
        said.append(f"column '{name}' left out: a different word in every row")
        return None
    if how == "ordinal" or (how == "auto" and order):
        return _ranks(name, words, order, said)
    most = EMBEDDED if how == "embedding" else MOST
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = sorted(str(value) for value, count in ranked[:most] if count >= len(words) // RARE)
    seldom = sorted(set(map(str, counts.index)) - set(kept))
    if seldom:
        said.append(f"column '{name}': {len(seldom):,} seldom values of {len(counts):,} are read as 'other'")
    return Words(name, tuple(kept), tuple(seldom), how == "embedding")


def _ranks(name: str, words: pd.Series, order: Sequence[str] | None, said: list[str]) -> Ranks:
    found = sorted(map(str, words.dropna().unique()))
    if order is not None and (beyond := [word for word in found if word not in order]):
        raise UserError(
            f"data.orders.{name} lacks '{beyond[0]}', which column '{name}' holds", "all of its words", "add it"
        )
    kept = tuple(found if order is None else order)
    shown = " < ".join(kept[:6]) + (f" < … < {kept[-1]}" if len(kept) > 6 else "")
    why = "" if order is not None else ", by the alphabet; data.orders names another order"
    said.append(f"column '{name}' read as ranks {shown}{why}")
    codes = pd.Index(kept, dtype="str").get_indexer(pd.Index(words.dropna()))
    return Ranks(name, kept, float(np.median(codes)))
