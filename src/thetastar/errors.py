"""A user's mistake, in one line: what was got, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend. The command line prints it as one line and ends with exit code 2."""

    def __init__(self, got: str, expected: str = "", do: str = "") -> None:
        self.got, self.expected, self.do = got, expected, do
        parts = [got, f"expected {expected}" if expected else "", do]
        super().__init__("; ".join(" ".join(part.split()) for part in parts if part))


def nearest(word: str, valid: Iterable[str]) -> str:
    """'did you mean X?' for the closest valid word, else the valid words (the first twelve)."""
    valid = sorted(valid)
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    if not close:
        folded = {name.lower().replace("-", "_"): name for name in valid}
        close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=0.5)
        close = [folded[name] for name in close]
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(valid[:12]) + (", …" if len(valid) > 12 else "")
    return f"choose from: {shown}" if valid else "there is nothing to choose from"
