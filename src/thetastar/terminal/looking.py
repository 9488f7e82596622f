"""`theta look`: a data set examined before anything is learnt from it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.terminal.console import aside, print_json, show, table
from thetastar.terminal.words import Choices, agree, page_place, split, with_answers

if TYPE_CHECKING:
    from thetastar.look.findings import Section
    from thetastar.look.looking import Look

COLOURS = {"high": "red", "medium": "yellow", "low": "cyan"}
BLOCKS = "▁▂▃▄▅▆▇█"
LINES = 40  # of a table that a terminal shows; the page has all


def look(words: Sequence[str], choices: Choices, out: Path | None, as_json: bool, augment: str | None = None) -> None:
    """Examine, print what was found, and write the page; the sheet of augmented images beside it."""
    from thetastar.look.looking import look as examine
    from thetastar.report.looking import write
    from thetastar.snapshot import write_atomic

    data, overrides = split(words)
    if data is None:
        raise UserError("no data", "a data set, a file or a folder of images", "for example: theta look digits")
    if others := [word for word in overrides if not word.startswith("data.")]:
        raise UserError(f"'{others[0]}'", "words that begin with data.", "looking knows data alone")
    agree(overrides, choices)
    if out is not None:
        page_place(out)
    if augment is not None:
        if not augment.strip():
            raise UserError(
                "--augment without a name", "names with commas between", "write for example --augment crop,flip"
            )
        overrides = [*overrides, f"data.augment=[{augment}]"]
    spec = Recipe(data=with_answers(data, choices)).override(overrides).data
    with aside().status(f"looking at {data}") as status:
        found = examine(spec, lambda name: status.update(f"looking at {data}: {name}"))
    stem = re.sub(r"[^\w.-]+", "_", Path(data).stem)
    place = write(found, out or Path("runs") / f"look-{stem}.html")
    written = {"report": str(place)}
    if pictured := next((section.picture for section in found.sections if section.name == "Augmentation"), None):
        picture = place.with_name(f"{place.stem}-augmentation.png")
        write_atomic(picture, base64.b64decode(pictured.partition(",")[2]))
        written["sheet"] = str(picture)
    if as_json:
        print_json({**found.to_json(), **written})
        return
    tell(found)
    for what, path in written.items():
        show(f"{what}: {path}")


def tell(found: Look) -> None:
    """What was read, every examination's table, and the findings last, where the eye is."""
    for line in found.said:
        show(line)
    for section in found.sections:
        _section(section)
    show("")
    show(Text(found.headline, style="bold"))
    for finding in found.findings:
        show(Text.assemble((f"{finding.severity}: ", COLOURS[finding.severity]), finding.what, ": ", finding.evidence))
        if finding.suggestion:
            show(Text(f"  {finding.suggestion}", style="dim"))


def _section(section: Section) -> None:
    show("")
    show(Text(section.name, style="bold"))
    for line in section.said:
        show(line)
    if section.rows:
        made = table(*section.heads)
        for column in made.columns:
            column.no_wrap = column.no_wrap or column.header in ("median", "highest")  # a date is one word
        for row in section.rows[:LINES]:
            made.add_row(*(_cell(cell, head) for cell, head in zip(row, section.heads, strict=True)))
        show(made)
        if len(section.rows) > LINES:
            show(f"and {len(section.rows) - LINES:,} more on the page")
    if section.picture:
        show("pictures are on the page")
    show(Text(f"looked at: {section.looked_at}", style="dim"))


def _cell(cell: Any, head: str) -> Text:
    """A cell without markup; a histogram as a line of blocks."""
    from thetastar.look.findings import Histogram
    from thetastar.report.looking import figure

    return Text(sparkline(cell.counts) if isinstance(cell, Histogram) else figure(cell, head))


def sparkline(counts: Sequence[int]) -> str:
    """Counts as blocks; an empty bin is a blank."""
    most = max((*counts, 1))
    return "".join(BLOCKS[min(7, int(8 * count / most))] if count else " " for count in counts)
