"""Texts as rows of tokens, from a column of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge
from torch import Tensor

from thetastar.data.prepare.reading import as_words
from thetastar.data.prepare.tokens import SPECIAL, UNKNOWN, Tokens, Unit, padded
from thetastar.data.table import table
from thetastar.errors import UserError, nearest
from thetastar.protocols import Batch, Field, Schema, Source
from thetastar.registry import Count

__all__ = ["phrases", "texts"]

WHOLE = 0.98  # share of the training texts that the length chosen holds whole
LONGEST = 512  # tokens that are kept where no length is asked for


class texts(table):
    """<start> tokens <end>, filled up with <pad> to one length; the tokeniser is learnt from the training rows.

    Args:
        path, frame, target, split_column, group: as of `table`.
        text: the column of texts; null is the one whose texts are longest.
        unit: of a token: "word", "character", or pieces of words by "bpe" or "wordpiece".
        vocabulary: tokens at most, the five special ones included.
        length: of all rows, start and end included; null is what holds 98% of the training texts whole, at most 512.

    Shapes: (rows, length) of whole numbers.
    """

    def __init__(
        self,
        *,
        path: str | tuple[str, ...] | None = None,
        frame: Any = None,
        target: str | None = None,
        split_column: str | None = None,
        group: str | None = None,
        text: str | None = None,
        unit: Unit = "word",
        vocabulary: Annotated[int, Ge(10)] = 10_000,
        length: Annotated[int, Ge(3)] | None = None,
    ) -> None:
        super().__init__(path=path, frame=frame, target=target, split_column=split_column, group=group)
        self.text = self._chosen(text)
        self.unit: Unit = unit
        self.vocabulary, self.wanted = vocabulary, length
        self.written = as_words(pd.Series(self.frame[self.text])).fillna("").to_list()
        if blank := sum(not one for one in self.written):
            self._read.append(f"{blank:,} of {self.rows:,} texts are blank")

    def _chosen(self, text: str | None) -> str:
        """The column of texts."""
        words = [str(name) for name, column in self.frame.items() if not pd.api.types.is_numeric_dtype(column.dtype)]
        if text is not None:
            if text not in words:
                got = f"texts.text: no column '{text}' of texts"
                raise UserError(got, f"one of {', '.join(words)}", nearest(text, words))
            return text
        if not words:
            raise UserError(f"{self.name} has no column of texts", "a column of words", "use table for numbers")
        return max(words, key=lambda name: self.frame[name].astype(str).str.len().mean())

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        rows = np.asarray(train)
        self.said = list(self._read)
        others = [str(name) for name in self.frame.columns if name != self.text]
        if others:
            self.said.append(f"the texts are column '{self.text}'; {', '.join(others[:5])} left out")
        self.tokens = Tokens.trained([self.written[row] for row in rows], self.unit, self.vocabulary)
        encoded = self.tokens.encode(self.written)
        lengths = np.asarray([len(encoded[row]) + 2 for row in rows])
        self.length = self.wanted or max(3, min(math.ceil(np.quantile(lengths, WHOLE)), LONGEST))
        strange = sum(token == UNKNOWN for row in rows for token in encoded[row]) / max(int(lengths.sum()), 1)
        cut = int((lengths > self.length).sum())
        self.said.append(
            f"{len(self.tokens):,} tokens by {self.unit}; {self.length} a text"
            + (f", {cut:,} of {len(rows):,} training texts cut" if cut else "")
            + (f"; {100 * strange:.2g}% unknown" if strange else "")
        )
        field = Field("tokens", (self.length,), classes=len(self.tokens), names=SPECIAL)
        self.schema = Schema(field, self.asked(rows))
        return self.schema, {
            "input": torch.from_numpy(padded(encoded, self.length)),
            "target": torch.from_numpy(self.targets),
        }

    def transform(self, raw: Any) -> Batch:
        """A text, several, or a frame or rows with the column of texts."""
        if isinstance(raw, str):
            raw = [raw]
        if isinstance(raw, Mapping):
            raw = pd.DataFrame([raw])
        if isinstance(raw, pd.DataFrame):
            if self.text not in raw.columns:
                raise UserError(f"rows without '{self.text}'", "the column of texts", nearest(self.text, raw.columns))
            raw = as_words(pd.Series(raw[self.text])).fillna("").to_list()
        if not isinstance(raw, Sequence) or not all(isinstance(one, str) for one in raw):
            raise UserError(f"texts of type {type(raw).__name__}", "a text or several", "give strings")
        return {"input": torch.from_numpy(padded(self.tokens.encode(list(raw)), self.length))}

    def state(self) -> dict[str, Any]:
        return {
            "title": self.name,
            "target": self.target_names,
            "text": self.text,
            "length": self.length,
            "tokens": self.tokens.to_json(),
            "schema": self.schema.to_json(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> texts:
        source = cls.__new__(cls)
        source.name, source.target_names, source.text = state["title"], state["target"], state["text"]
        source.length, source.tokens = state["length"], Tokens.from_json(state["tokens"])
        source.schema = Schema.from_json(state["schema"])
        return source


def phrases(*, rows: Count = 120, seed: int = 0) -> Source:
    """Short sentences of a small grammar, praise or blame, a toy: "the old film was truly great , he said".

    Args:
        rows: sentences.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    praise = np.arange(rows) % 2

    def one(*words: str) -> np.ndarray[Any, Any]:
        return random.choice(np.asarray(words), rows)

    things, how, who = one("film", "play", "book", "song"), one("truly", "rather", "very"), one("he", "she", "they")
    good, bad = one("great", "fine", "lovely"), one("poor", "dull", "awful")
    old = one("old", "new", "long", "short")
    lines = [
        f"the {old[n]} {things[n]} was {how[n]} {good[n] if praise[n] else bad[n]} , {who[n]} said" for n in range(rows)
    ]
    return texts(frame=pd.DataFrame({"text": lines, "kind": np.where(praise, "praise", "blame")}), target="kind")
