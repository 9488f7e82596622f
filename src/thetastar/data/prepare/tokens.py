"""Texts as rows of numbers: a tokeniser that is learnt from the training rows and kept with the star."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thetastar.errors import UserError

Unit = Literal["word", "character", "bpe", "wordpiece"]
SPECIAL = ("<pad>", "<unknown>", "<start>", "<end>", "<mask>")  # numbers 0 to 4, whatever the tokeniser
PAD, UNKNOWN, START, END, MASK = range(len(SPECIAL))


class Tokens:
    """A trained tokeniser of the library `tokenizers`; lower case, Unicode in one form.

    Words are runs of letters and digits, and single other signs. BPE merges bytes that often stand together, so no text
    is unknown to it; WordPiece merges what is likelier together than apart.

    Source: Sennrich, Haddow and Birch 2016, Neural machine translation of rare words with subword units; Schuster and
    Nakajima 2012, Japanese and Korean voice search.
    """

    def __init__(self, tokeniser: Any) -> None:
        self.tokeniser = tokeniser

    @classmethod
    def trained(cls, texts: Sequence[str], unit: Unit, vocabulary: int) -> Tokens:
        """Learnt from these texts.

        Args:
            vocabulary: tokens at most, the five special ones included; of words the most frequent that occur twice.
        """
        library = tokenizers()
        models, trainers, pre = library.models, library.trainers, library.pre_tokenizers
        options: dict[str, Any] = {"vocab_size": vocabulary, "special_tokens": list(SPECIAL), "show_progress": False}
        normal = library.normalizers.Sequence([library.normalizers.NFKC(), library.normalizers.Lowercase()])
        split = pre.BertPreTokenizer()
        if unit == "bpe":
            made = library.Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
            split = pre.ByteLevel(add_prefix_space=True)
            made.decoder = library.decoders.ByteLevel()
            trainer = trainers.BpeTrainer(initial_alphabet=pre.ByteLevel.alphabet(), **options)
        elif unit == "wordpiece":
            made = library.Tokenizer(models.WordPiece(unk_token=SPECIAL[UNKNOWN]))
            made.decoder = library.decoders.WordPiece()
            # the trainer numbers what continues a word in the order of a hash table, unless it knows it beforehand
            letters = sorted({letter for text in texts for letter in normal.normalize_str(text)})
            continuing = [f"##{letter}" for letter in letters if not letter.isspace()]
            trainer = trainers.WordPieceTrainer(**{**options, "special_tokens": [*SPECIAL, *continuing]})
        else:
            made = library.Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
            if unit == "character":
                split = pre.Split(library.Regex("."), "isolated")
                made.decoder = library.decoders.Fuse()
            trainer = trainers.WordLevelTrainer(min_frequency=1 if unit == "character" else 2, **options)
        made.normalizer, made.pre_tokenizer = normal, split
        made.train_from_iterator(texts, trainer)
        if unit == "wordpiece":  # anew, with none of them special
            vocabulary_of = made.get_vocab(with_added_tokens=False)
            pieces = library.Tokenizer(models.WordPiece(vocabulary_of, unk_token=SPECIAL[UNKNOWN]))
            pieces.normalizer, pieces.pre_tokenizer, pieces.decoder = normal, split, made.decoder
            pieces.add_special_tokens(list(SPECIAL))
            made = pieces
        return cls(made)

    def __len__(self) -> int:
        return self.tokeniser.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of each text's tokens, without start and end."""
        return [entry.ids for entry in self.tokeniser.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens; special ones are left out."""
        return self.tokeniser.decode([i for i in ids if i >= len(SPECIAL) or i == UNKNOWN], skip_special_tokens=False)

    def to_json(self) -> str:
        return self.tokeniser.to_str()

    @classmethod
    def from_json(cls, state: str) -> Tokens:
        return cls(tokenizers().Tokenizer.from_str(state))


def tokenizers() -> Any:
    try:
        import tokenizers as library
    except ImportError:
        do = 'python -m pip install "thetastar[text]"'
        raise UserError("texts without the package tokenizers", "the extra 'text'", do) from None
    return library


def padded(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int64]:
    """<start> tokens <end> <pad> …, cut to `length`: (texts, length)."""
    out = np.full((len(rows), length), PAD, np.int64)
    for line, row in zip(out, rows, strict=True):
        whole = [START, *row[: length - 2], END]
        line[: len(whole)] = whole
    return out
