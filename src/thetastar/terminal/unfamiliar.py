"""What rows hold that the training rows did not: words never seen, and gaps in columns that had none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from thetastar.data.prepare.columns import Column
from thetastar.data.prepare.matching import shown
from thetastar.data.prepare.numeric import Number
from thetastar.data.prepare.reading import as_words
from thetastar.data.prepare.words import Ranks, Words

MOST = 100  # different words of a column that are kept to be named
COLUMNS = 5  # columns that are spoken of one by one


class Unfamiliar:
    """Counts over all parts of a table.

    Args:
        columns: as the training rows had them.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.words = {
            column.name: {*column.values, *column.seldom} if isinstance(column, Words) else set(column.order)
            for column in columns
            if isinstance(column, Words | Ranks)
        }
        self.whole = [column.name for column in columns if isinstance(column, Number) and not column.gaps]
        self.new: dict[str, list[str]] = {}
        self.counts: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()

    def take(self, frame: pd.DataFrame) -> None:
        """The next rows."""
        for name, known in self.words.items():
            words = as_words(pd.Series(frame[name])).dropna()
            unseen = pd.Series(words[~words.isin(known)])
            if len(unseen):
                self.counts[name] += len(unseen)
                found = self.new.setdefault(name, [])
                found.extend(word for word in map(str, unseen.unique()) if len(found) < MOST and word not in found)
        for name in self.whole:
            self.gaps[name] += int(pd.Series(frame[name]).isna().sum())

    @property
    def said(self) -> list[str]:
        lines = [
            f"column '{name}': {count:,} value{'s' * (count > 1)} never seen in training "
            f"({shown([repr(word) for word in self.new[name]], 3)}), read as unknown"
            for name, count in self.counts.items()
        ]
        lines += [
            f"column '{name}': {count:,} value{'s' * (count > 1)} missing, as none was in training: "
            "read as the middle of the training rows"
            for name, count in self.gaps.items()
            if count
        ]
        more = len(lines) - COLUMNS
        return lines[:COLUMNS] + ([f"and {more:,} more columns with such values"] if more > 0 else [])
