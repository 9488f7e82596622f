"""BLEU: how many of the word sequences of a translation are in the references.

Source: Papineni, Roukos, Ward and Zhu 2002, BLEU: a method for automatic evaluation of machine translation; Post 2018,
A call for clarity in reporting BLEU scores (tokens as in the 13a script of the WMT evaluations).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

ORDER = 4  # the longest sequences that are compared
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
APART = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),  # punctuation but the apostrophe, comma, hyphen and full stop
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # full stop and comma, unless they stand in a number
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def tokens(text: str) -> list[str]:
    """Words and punctuation of a line in a Western language: "It's 3.5%, no?" → It's 3.5 % , no ?"""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in ENTITIES.items():
        text = text.replace(entity, sign)
    text = f" {text} "
    for pattern, replacement in APART:
        text = pattern.sub(replacement, text)
    return text.split()


def sequences(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    """How often each sequence of one to four words occurs."""
    return Counter(tuple(words[start : start + n]) for n in range(1, ORDER + 1) for start in range(len(words) - n + 1))


class Bleu:
    """BLEU = min(1, exp(1 − r/c)) · (p₁ p₂ p₃ p₄)^¼ over a corpus, in [0, 1].

    p_n is the share of the n-word sequences of the translations that are in a reference, each counted at most as often
    as in one reference; c is the length of all translations and r that of the references nearest in length. Counts
    alone are kept, so texts may come in any batches.

    Args:
        smooth: the k-th p_n without a hit becomes 1 / (2ᵏ · sequences) instead of 0 (Chen and Cherry 2014).
    """

    def __init__(self, *, smooth: bool = True) -> None:
        self.smooth = smooth
        self.hits, self.made = [0] * ORDER, [0] * ORDER
        self.length = self.wanted = 0

    def update(self, translations: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Take in translations, and for each its references, at least one."""
        for translation, known in zip(translations, references, strict=True):
            said, right = tokens(translation), [tokens(reference) for reference in known]
            most: Counter[tuple[str, ...]] = Counter()
            for words in right:
                most |= sequences(words)
            for sequence, count in sequences(said).items():
                self.made[len(sequence) - 1] += count
                self.hits[len(sequence) - 1] += min(count, most[sequence])
            self.length += len(said)
            self.wanted += min((len(words) for words in right), key=lambda size: (abs(size - len(said)), size))

    @property
    def precisions(self) -> list[float]:
        """p₁ to p₄."""
        found, factor = [], 1.0
        for hits, made in zip(self.hits, self.made, strict=True):
            factor = factor if hits else factor * 2
            found.append(hits / made if hits else 1 / (factor * made) if self.smooth and made else 0.0)
        return found

    @property
    def brevity(self) -> float:
        """min(1, exp(1 − r/c)): what is left out costs."""
        if self.length >= self.wanted:
            return 1.0
        return math.exp(1 - self.wanted / self.length) if self.length else 0.0

    @property
    def value(self) -> float:
        found = self.precisions
        if not any(self.hits) or not all(found):
            return 0.0
        return self.brevity * math.exp(sum(map(math.log, found)) / ORDER)
