"""What words mean: numbers with marks of thousands or signs of a unit, and dates in the usual ways of writing them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_floats

MOSTLY = 0.95  # of the training values must read as numbers (or dates); the others then count as missing
SPACES = "[ \u00a0\u2009\u202f]"  # also those that do not break a line
SIGNS = "$€£¥₹%"  # before or after a number; one and the same in a column
# mark of thousands → how a number with it is written, what to take out, and the sign of decimals
STYLES = {
    "": ("", "", "."),
    ",": (r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", ",", "."),
    " ": (rf"[+-]?[1-9]\d{{0,2}}(?:{SPACES}\d{{3}})+(?:[.,]\d+)?", SPACES, ","),
    "'": (r"[+-]?[1-9]\d{0,2}(?:['’]\d{3})+(?:\.\d+)?", "['’]", "."),
    ".": (r"[+-]?(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d+)?", r"\.", ","),
}
FORMATS = (
    "ISO8601",
    *(
        f"{day}{time}"
        for day in ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
        for time in ("", " %H:%M", " %H:%M:%S")
    ),
    *("%d-%m-%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
)


def numbers(words: pd.Series, style: str) -> NDArray[np.float64]:
    """Words as numbers in a style of writing them; NaN where a word is none, or is not finite."""
    sign = style[:1] if style[:1] in SIGNS else ""
    pattern, mark, decimal = STYLES[style.removeprefix(sign)]
    if sign:
        words = words.map(lambda word: _without(word, sign), na_action="ignore").astype("str")
    values = as_floats(words)
    if pattern:
        marked = words.str.fullmatch(pattern).to_numpy(bool, na_value=False)
        plain = [re.sub(mark, "", word).replace(decimal, ".") for word in words[marked]]
        values[marked] = np.asarray(plain, dtype=np.float64)
    with np.errstate(over="ignore"):
        values[~np.isfinite(values.astype(np.float32))] = np.nan
    return values


def _without(word: str, sign: str) -> str:
    """-$5 → -5, 5 % → 5."""
    bare = word.removeprefix("-").lstrip()
    if bare.startswith(sign):
        return ("-" if word.startswith("-") else "") + bare.removeprefix(sign).strip()
    return word.removesuffix(sign).rstrip()


def number_style(words: pd.Series) -> str | None:
    """How most of the words are numbers: their sign, as of a currency, and mark of thousands; None for words."""
    known = words.dropna()
    if not known.head(100).str.match(rf"[+-]?(?:[{SIGNS}]{SPACES}*)?[+-]?[.,]?\d").mean() >= MOSTLY / 2:
        return None
    signs = [sign for sign in SIGNS if known.str.contains(sign, regex=False).any()]
    sign = signs[0] if len(signs) == 1 else ""
    shares = {sign + mark: float(np.isfinite(numbers(known, sign + mark)).mean()) for mark in STYLES}
    best = max(shares, key=lambda style: shares[style])  # the first of equals
    return best if shares[best] >= MOSTLY else None


def style_in_words(style: str) -> str:
    """Of numbers: '$' before or after them, ',' between thousands, a decimal comma; empty where they are plain."""
    sign = style[:1] if style[:1] in SIGNS else ""
    mark = style.removeprefix(sign)
    thousands = "a decimal comma" if mark == "." else f"{mark!r} between thousands" if mark else ""
    return " and ".join(part for part in (thousands, f"the sign {sign}" if sign else "") if part)


def dates(words: pd.Series, form: str) -> pd.Series:
    """Words as moments, those with a time zone in universal time; NaT where a word is no date."""
    return pd.to_datetime(words, format=form, errors="coerce", utc=True)


def date_form(words: pd.Series) -> str | None:
    """The first form in which most of the words are dates; None where they are words."""
    known = words.dropna()
    head = known.head(100)
    if not (head.str.contains(r"\d") & head.str.contains(r"[-/. ]")).mean() >= MOSTLY / 2:
        return None
    for form in FORMATS:
        if dates(head, form).notna().mean() >= MOSTLY / 2 and dates(known, form).notna().mean() >= MOSTLY:
            return form
    return None


def ambiguous(words: pd.Series, form: str) -> bool:
    """Whether the dates could as well be read with day and month exchanged."""
    other = form.replace("%m/%d", "%d/%m")
    return other != form and bool(dates(words.dropna(), other).notna().all())
