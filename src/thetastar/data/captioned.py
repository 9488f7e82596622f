"""Images, sounds or vectors beside texts: what is learnt from in pairs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thetastar.data.arrays import arrays
from thetastar.data.prepare.tokens import SPECIAL, Tokens, Unit, padded
from thetastar.errors import UserError
from thetastar.protocols import Batch, Field, Schema, Source
from thetastar.registry import Count

__all__ = ["captioned", "captioned_bars"]

LONGEST = 64  # tokens of a caption that are kept


class captioned(arrays):
    """Rows of several inputs, texts among them, which become tokens as those of `texts` do.

    Args:
        inputs: {name: (rows, …)} of what is no text: images as of `arrays`, waveforms as (rows, samples).
        texts: {name: a text a row}; one tokeniser for all, learnt from the training rows.
        rates: {name: samples a second} of the inputs that are waveforms.
        targets: (rows,) classes, for what is measured; None for none.
        names: of the classes.
        given: row numbers of the splits, where they are fixed.
        groups: one label a row: rows of a group stay in one split. With the classes as groups, those of the test split
            are new to what was trained.
        unit: of a token.
        vocabulary: tokens at most.
        title: what messages call the data.
        digest: a hash of the inputs, where one is known already.

    Attributes:
        heard: classes of a second input, where rows have one of another class; None where they do not.

    Shapes: {name: (batch, …)}; a text is (batch, length) of whole numbers.
    """

    heard: Any = None

    def __init__(
        self,
        *,
        inputs: Any,
        texts: Any,
        rates: Any = None,
        targets: Any = None,
        names: Any = (),
        given: Any = None,
        groups: Any = None,
        unit: Unit = "word",
        vocabulary: Count = 10_000,
        title: str = "captioned",
        digest: str | None = None,
    ) -> None:
        super().__init__(inputs=inputs, targets=targets, names=names, given=given, title=title, digest=digest)
        if not isinstance(self.inputs, dict):
            raise UserError("captioned with one input", "a mapping of names to arrays", "write {image: …}")
        self.texts = {name: list(map(str, lines)) for name, lines in texts.items()}
        for name, lines in self.texts.items():
            if len(lines) != self.rows or name in self.inputs:
                got = f"{len(lines)} texts '{name}' beside {self.rows} rows of {', '.join(self.inputs)}"
                raise UserError(got, "a text a row, under a name of its own", "check the texts")
        self.groups, self.rates = groups, dict(rates or {})
        self.unit: Unit = unit
        self.vocabulary = vocabulary

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Any]]:
        schema, columns = super().prepare(train)
        assert isinstance(schema.input, dict)
        fields = dict(schema.input)
        for name, rate in self.rates.items():
            fields[name] = Field("waveform", fields[name].shape, rate=rate)
        rows = np.asarray(train)
        written = [lines[row] for lines in self.texts.values() for row in rows]
        self.tokens = Tokens.trained(written, self.unit, self.vocabulary)
        found: dict[str, Tensor] = {**self.inputs}  # type: ignore[dict-item]
        for name, lines in self.texts.items():
            distinct = list(dict.fromkeys(lines))
            encoded = dict(zip(distinct, self.tokens.encode(distinct), strict=True))
            length = min(max(len(encoded[lines[row]]) for row in rows) + 2, LONGEST)
            found[name] = torch.from_numpy(padded([encoded[line] for line in lines], length))
            fields[name] = Field("tokens", (length,), classes=len(self.tokens), names=SPECIAL)
            self.said.append(f"{name}: {len(distinct):,} texts, {length} tokens each, of {len(self.tokens):,} in all")
        self.schema = Schema(fields, schema.target)
        return self.schema, {**columns, "input": found}

    def transform(self, raw: Any) -> Batch:
        """A mapping of names to rows; texts as strings."""
        assert isinstance(self.schema.input, dict)
        whole, fields = self.schema, self.schema.input
        texts = [name for name, field in fields.items() if field.kind == "tokens"]
        self.schema = Schema({name: field for name, field in fields.items() if name not in texts}, whole.target)
        try:
            batch = super().transform(raw)
        finally:
            self.schema = whole
        for name in texts:
            if name not in raw:
                raise UserError(f"rows without {name}", f"a mapping of {', '.join(fields)}", "give them by name")
            batch["input"][name] = self.encoded(name, raw[name])
        return batch

    def encoded(self, name: str, lines: str | Sequence[str]) -> Tensor:
        """Texts as the tokens of an input."""
        assert isinstance(self.schema.input, dict)
        several = [lines] if isinstance(lines, str) else list(lines)
        return torch.from_numpy(padded(self.tokens.encode(several), self.schema.input[name].shape[0]))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "tokens": self.tokens.to_json()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> captioned:
        source = cls.__new__(cls)
        source.schema, source.tokens = Schema.from_json(state["schema"]), Tokens.from_json(state["tokens"])
        return source

    def _hash(self) -> str:
        texts = "\0".join(line for lines in self.texts.values() for line in lines)
        return hashlib.sha256((super()._hash() + texts).encode()).hexdigest()[:16]


def captioned_bars(*, rows: Count = 240, held_out: Count = 4, seed: int = 0) -> Source:
    """A bar at one of 4 places down or across, by colour, with words that say so: a toy whose captions share words.

    Args:
        rows: images, evenly over the 24 kinds.
        held_out: kinds that are the test split, every word of which is known from other kinds.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    ways, places, colours = ("standing", "lying"), ("first", "second", "third", "fourth"), ("red", "green", "blue")
    kinds = [(way, place, colour) for way in range(2) for place in range(4) for colour in range(3)]
    labels = np.arange(rows) % len(kinds)
    images = 0.2 * random.random((rows, 3, 8, 8))
    for image, label in zip(images, labels, strict=True):
        way, place, colour = kinds[label]
        line = slice(2 * place, 2 * place + 2)
        image[colour][(slice(None), line) if way == 0 else (line, slice(None))] += 0.7
    names = [f"a {ways[w]} bar in {places[p]} place , {colours[c]}" for w, p, c in kinds]
    spread = math.floor(len(kinds) / held_out)
    new = {kind * spread + kind % spread for kind in range(held_out)}
    test = np.flatnonzero(np.isin(labels, list(new)))
    return captioned(
        inputs={"image": (255 * images.clip(0, 1)).astype(np.uint8)},
        texts={"text": [names[label] for label in labels]},
        targets=labels,
        names=tuple(names),
        given={"train": np.setdiff1d(np.arange(rows), test), "test": test},
        title="captioned bars",
    )
