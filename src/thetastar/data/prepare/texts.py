"""Texts as numbers: which words they hold, weighted by how seldom those are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_words

Weights = Literal["tfidf", "counts"]
WORD = re.compile(r"\w+(?:['’]\w+)*")
LONG = 3.0  # words a value on average, from which a column of many different values is read as text
DISTINCT = 0.5  # of its values that must differ
MOST = 2000  # words of a vocabulary
SELDOM = 1000  # a word in fewer than one text of so many (or in one text alone) is not learnt from


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def is_text(words: pd.Series) -> bool:
    """Whether the known values of a column are texts rather than names of categories."""
    known = words.dropna()
    if len(known) < 10 or known.nunique() < DISTINCT * len(known):
        return False
    return float(np.mean([len(words_of(value)) for value in known.head(1000)])) >= LONG


@dataclass(frozen=True)
class Text:
    """t ↦ x / ‖x‖₂, x_w = count of w in t · idf_w; idf_w = 1 + ln((1 + n) / (1 + n_w)), n_w of n training texts hold w.

    With weights "counts", x is the counts themselves. A missing text is a text without words.

    Source: Salton and Buckley 1988, Term-weighting approaches in automatic text retrieval.
    """

    name: str
    vocabulary: tuple[str, ...]
    idf: tuple[float, ...]
    weights: Weights

    @property
    def entries(self) -> list[str]:
        return [f"{self.name}: {word}" for word in self.vocabulary]

    def encode(self, column: pd.Series, strict: bool) -> NDArray[np.float32]:
        place = {word: number for number, word in enumerate(self.vocabulary)}
        x = np.zeros((len(column), len(place)), np.float32)
        for row, text in enumerate(as_words(column).fillna("")):
            for word, count in Counter(words_of(text)).items():
                if (number := place.get(word)) is not None:
                    x[row, number] = count
        if self.weights == "counts":
            return x
        x *= np.asarray(self.idf, np.float32)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def fit_text(name: str, words: pd.Series, weights: Weights, said: list[str]) -> Text:
    """The vocabulary of the training texts: the most frequent words, in the order of the alphabet."""
    texts: Sequence[set[str]] = [set(words_of(text)) for text in words.dropna()]
    holding = Counter(word for text in texts for word in text)
    least = max(2, len(texts) // SELDOM)
    ranked = sorted(((-count, word) for word, count in holding.items() if count >= least))[:MOST]
    vocabulary = tuple(sorted(word for _, word in ranked))
    idf = tuple(float(1 + np.log((1 + len(words)) / (1 + holding[word]))) for word in vocabulary)
    how = "TF-IDF" if weights == "tfidf" else "counts"
    said.append(f"column '{name}' holds texts: read as {how} of {len(vocabulary):,} of its {len(holding):,} words")
    return Text(name, vocabulary, idf, weights)
