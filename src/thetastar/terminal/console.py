"""Two consoles: results go to the output stream, everything said on the way to the error stream."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from thetastar.functional.jsonable import strict

WHOLE_LINES = 1000  # characters: wide enough that nothing is folded


def speaks() -> bool:
    """Of several processes under torchrun only the first one does; a mistake is told by whoever finds it."""
    return os.environ.get("RANK", "0") == "0"


def show(what: RenderableType) -> None:
    """A result: with colours and folded to its width on a terminal, plain and in whole lines in a pipe."""
    if not speaks():
        return
    if sys.stdout.isatty():
        Console(highlight=False).print(what, markup=False)
        return
    console = Console(file=io.StringIO(), width=WHOLE_LINES, highlight=False)
    with console.capture() as captured:
        console.print(what, markup=False)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def room() -> int | None:
    """Columns of the terminal; a pipe has no limit."""
    return Console().width if sys.stdout.isatty() else None


def aside() -> Console:
    """For what is said on the way."""
    width = None if sys.stderr.isatty() else WHOLE_LINES
    return Console(file=sys.stderr, width=width, highlight=False, quiet=not speaks())


def print_json(value: Any) -> None:
    """One JSON document on the output stream; what is not finite is null."""
    if speaks():
        print(json.dumps(strict(value), indent=1, ensure_ascii=False, allow_nan=False))


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table: the first column is a name, the others numbers or words."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    return made


def number(value: Any) -> str:
    """A figure for people: four significant digits, nothing for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def measures_table(measures: Mapping[str, Mapping[str, Any]], classes: Sequence[str] = ()) -> Table:
    """Measures as rows, splits as columns; those of one class, mean_iou[2], by its name where it has one."""
    made = table("measure", *measures)
    for name in dict.fromkeys(name for values in measures.values() for name in values):
        made.add_row(of_class(name, classes), *(number(values.get(name)) for values in measures.values()))
    return made


def of_class(name: str, classes: Sequence[str]) -> str:
    """'mean_iou[2]' as 'mean_iou[car]'."""
    measure, _, place = name.removesuffix("]").partition("[")
    return f"{measure}[{classes[int(place)]}]" if place.isdigit() and int(place) < len(classes) else name
