"""BLEU against the values of sacrebleu 2.6, and against sacrebleu itself where it is installed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.functional.bleu import Bleu, tokens

KNOWN = {
    "three lines, two references": (
        [
            "The dog bit the man.",
            "It wasn't surprising: 3.5% of 1,000 people agreed.",
            "The man had just bitten him - twice",
        ],
        [
            ["The dog bit the man.", "The dog had bit the man."],
            ["It was not unexpected: 3.5% of 1,000 people agreed.", "No one was surprised."],
            ["The man had bitten him twice.", "He had just bitten the dog - twice"],
        ],
        0.6708679524282207,
        0.6708679524282207,
    ),
    "too short": (["The dog bit the"], [["The dog bit the man yesterday."]], 0.47236655274101486, 0.47236655274101486),
    "no four words alike": (["a b c x d"], [["a b c y d"]], 0.4272870063962342, 0.0),
    "nothing alike": (["x y z w"], [["a b c d"]], 0.0, 0.0),
    "clipped": (
        ["the the the the the the the"], [["The cat is on the mat", "the cat the mat"]], 0.07809849842300637, 0.0
    ),
}  # fmt: skip
WORDS = ["the", "a", "cat", "dog", "sat", "mat.", "on", "ran,", "3.5", "it's"]
LINE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
PIECES = [*"ab1 2.,-'\"&;()%/$[]{}~é!?\n", "&quot;", "&amp;", "&lt;", "<skipped>", "-\n", "..."]


def scored(translations: list[str], references: list[list[str]], *, smooth: bool = True) -> Bleu:
    measure = Bleu(smooth=smooth)
    measure.update(translations, references)
    return measure


@pytest.mark.shows("F10")
@pytest.mark.parametrize("name", KNOWN)
def test_values_of_sacrebleu(name: str) -> None:
    translations, references, smooth, plain = KNOWN[name]
    assert scored(translations, references).value == pytest.approx(smooth, abs=1e-12)
    assert scored(translations, references, smooth=False).value == pytest.approx(plain, abs=1e-12)


@pytest.mark.shows("F10")
def test_by_hand() -> None:
    """Clipped: "the" is at most twice in one reference. Too short: c = 4, r = 7 with the full stop."""
    clipped = scored(*KNOWN["clipped"][:2])
    assert (clipped.hits, clipped.made) == ([2, 0, 0, 0], [7, 6, 5, 4])
    assert clipped.precisions == pytest.approx([2 / 7, 1 / 12, 1 / 20, 1 / 32])
    assert scored(*KNOWN["too short"][:2]).value == pytest.approx(math.exp(1 - 7 / 4))
    words = ["It's", "3.5", "%", ",", "no", "?", "1", "-", "2", "well-known", "<", "b", ">"]
    assert tokens("It's 3.5%, no? 1-2 well-known &lt;b>") == words
    assert Bleu().value == 0
    assert scored(["a b c"], [["a b c"]]).value == 0, "there are no four words"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LINE, st.lists(LINE, min_size=1, max_size=3)), min_size=1, max_size=5), st.data())
def test_batches_change_nothing_and_a_copy_is_perfect(pairs: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    translations, references = [one for one, _ in pairs], [known for _, known in pairs]
    cut = data.draw(st.integers(0, len(pairs)))
    measure = scored(translations[:cut], references[:cut])
    measure.update(translations[cut:], references[cut:])
    whole = scored(translations, references)
    assert measure.value == whole.value
    assert 0 <= whole.value <= 1
    copied = scored([known[0] for known in references], references)
    assert copied.value == pytest.approx(1.0) or not copied.made[3]


@pytest.mark.shows("F10")
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(LINE, st.tuples(LINE, LINE)), min_size=1, max_size=4), st.lists(st.sampled_from(PIECES)),
    st.booleans(),
)  # fmt: skip
def test_equals_sacrebleu(pairs: list[tuple[str, tuple[str, str]]], pieces: list[str], smooth: bool) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    translations, references = [one for one, _ in pairs], [list(known) for _, known in pairs]
    line = "".join(pieces)
    translations.append(line)
    references.append([line, "the cat"])
    theirs = sacrebleu.corpus_bleu(
        translations,
        [list(column) for column in zip(*references, strict=True)],
        smooth_method="exp" if smooth else "none",
        force=True,
    )
    ours = scored(translations, references, smooth=smooth)
    assert ours.value == pytest.approx(theirs.score / 100, abs=1e-12)
    assert (ours.hits, ours.made, ours.length, ours.wanted) == (
        theirs.counts, theirs.totals, theirs.sys_len, theirs.ref_len
    )  # fmt: skip
