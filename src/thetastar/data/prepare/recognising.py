"""What words mean: numbers with marks of thousands, and dates in the usual ways of writing them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_floats

MOSTLY = 0.95  # of the training values must read as numbers (or dates); the others then count as missing
SPACES = "[ \u00a0\u2009\u202f]"  # also those that do not break a line
# mark of thousands → how a number with it is written, what to take out, and the sign of decimals
STYLES = {
    "": ("", "", "."),
    ",": (r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", ",", "."),
    " ": (rf"[+-]?\d{{1,3}}(?:{SPACES}\d{{3}})+(?:[.,]\d+)?", SPACES, ","),
    "'": (r"[+-]?\d{1,3}(?:['’]\d{3})+(?:\.\d+)?", "['’]", "."),
    ".": (r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?", r"\.", ","),
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
    pattern, mark, decimal = STYLES[style]
    values = as_floats(words)
    if pattern:
        marked = words.str.fullmatch(pattern).to_numpy(bool, na_value=False)
        plain = [re.sub(mark, "", word).replace(decimal, ".") for word in words[marked]]
        values[marked] = np.asarray(plain, dtype=np.float64)
    with np.errstate(over="ignore"):
        values[~np.isfinite(values.astype(np.float32))] = np.nan
    return values


def number_style(words: pd.Series) -> str | None:
    """The mark of thousands with which most of the words are numbers; None where they are words."""
    known = words.dropna()
    if not known.head(100).str.match(r"[+-]?[.,]?\d").mean() >= MOSTLY / 2:
        return None
    shares = {style: float(np.isfinite(numbers(known, style)).mean()) for style in STYLES}
    best = max(shares, key=lambda style: shares[style])  # the first of equals
    return best if shares[best] >= MOSTLY else None


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
