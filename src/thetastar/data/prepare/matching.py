"""Columns matched by name: what is missing, what is not known, and which of these are likely the same."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

from thetastar.errors import UserError

SHOWN = 10  # names in a message
ALIKE = 0.6


def match_names(names: Sequence[str], used: Sequence[str], known: Collection[str], title: str = "") -> None:
    """Refuse names among which some of the used ones are missing, with the difference. Others do no harm."""
    present, wanted = set(names), {*used, *known}
    absent = [name for name in used if name not in present]
    if not absent:
        return
    extra = [name for name in names if name not in wanted]
    got = f"columns missing: {shown(absent)}" + (f"; not known: {shown(extra)}" if extra else "")
    found = pairs(absent, extra)
    do = "give every column a value or a blank"
    if found:
        do = "did you mean " + shown([f"'{own}' for '{name}'" for name, own in found.items()]) + "?"
    raise UserError(f"{title}: {got}" if title else got, f"the columns trained on: {shown(used)}", do)


def pairs(absent: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """Missing names and the unknown names they are likely to be, each taken once, the surest first."""
    plain = {name: _plain(name) for name in [*absent[:200], *extra[:200]]}  # pairs of all would take long
    scored = sorted(
        (
            (-difflib.SequenceMatcher(None, plain[name], plain[own]).ratio(), name, own)
            for name in absent[:200]
            for own in extra[:200]
        ),
    )
    found: dict[str, str] = {}
    for score, name, own in scored:
        if -score >= ALIKE and name not in found and own not in found.values():
            found[name] = own
    return {name: found[name] for name in absent if name in found}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower()) or name


def shown(names: Sequence[str], most: int = SHOWN) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
