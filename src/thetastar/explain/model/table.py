"""The anatomy of a model for people: a table as wide as there is room, formulas below each layer on request."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from thetastar.explain.model.anatomy import Anatomy
from thetastar.explain.model.formulas import formulas_of, shape_text
from thetastar.explain.model.walk import Row
from thetastar.functional.display import fragment


def bytes_text(count: int) -> str:
    """'1.53 MiB'"""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count:,} B" if unit == "B" else f"{size:.3g} {unit}" if size < 1000 else f"{size:,.0f} {unit}"


def short(count: int) -> str:
    """'231 M'; whole below ten thousand."""
    if count < 10_000:
        return f"{count:,}"
    size, unit = float(count), ""
    for larger in ("k", "M", "G", "T", "P", "E"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def whole(count: int) -> str:
    return f"{count:,}"


def field_text(row: Row) -> tuple[str, str]:
    """Receptive field and effective stride: '7' where all axes agree, '7×3' where not, 'global', or nothing."""
    if row.seen is None or not row.leaf:
        return "", ""
    if row.seen.everything:
        return "global", ""
    sizes = [str(window.size) for window in row.seen.windows]
    strides = [_stride(window.stride) for window in row.seen.windows]
    return _agreed(sizes), _agreed(strides)


def _stride(stride: Fraction) -> str:
    return str(stride) if stride.denominator < 10 else f"{float(stride):.3g}"


def _agreed(words: list[str]) -> str:
    return words[0] if len(set(words)) == 1 else "×".join(words)


@dataclass(frozen=True)
class Columns:
    """Which columns there are, and how long their numbers may be."""

    number: Callable[[int], str] = whole
    heads: tuple[str, str, str] = ("parameters", "multiply-adds", "activations")
    kept: bool = True
    memory: bool = True


SHORT = ("params", "MACs", "memory")
CHOICES = (
    Columns(),
    Columns(short, SHORT),
    Columns(short, SHORT, kept=False),
    Columns(short, SHORT, kept=False, memory=False),
)


class Layers:
    """The table; where there is little room, it leaves out digits, then columns.

    Args:
        formulas: whether the arithmetic of each layer follows.
    """

    def __init__(self, found: Anatomy, *, formulas: bool) -> None:
        self.found, self.formulas = found, formulas

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=10_000)
        for columns in CHOICES:
            made = layers_table(self.found, columns)
            if Measurement.get(console, unbounded, made).maximum <= options.max_width:
                break
        yield made
        yield Text()
        yield from (Text(line) for line in notes(self.found, columns))
        yield from remark_lines(self.found)
        if self.formulas:
            yield from formula_lines(self.found)


def layers_table(found: Anatomy, columns: Columns) -> Table:
    made = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    heads = headings(found, columns)
    for place, head in enumerate(heads):
        made.add_column(head, no_wrap=True, justify="left" if place < 2 else "right")
    for row in found.rows:
        if row.path or row.leaf or row.trainable or row.frozen or row.macs:
            made.add_row(*cells(found, row, columns), style="" if row.leaf else "dim")
    made.add_row()
    made.add_row(*totals(found, columns), style="bold")
    return made


def headings(found: Anatomy, columns: Columns) -> list[str]:
    parameters, macs, memory = columns.heads
    heads = ["layer", "output", parameters, *(["frozen"] if found.frozen else []), macs]
    heads += [memory] if columns.memory else []
    heads += [f"kept ×{found.batch}"] if columns.kept and found.kept is not None else []
    return [*heads, "field", "stride"]


def cells(found: Anatomy, row: Row, columns: Columns) -> list[str]:
    def count(value: int) -> str:
        return columns.number(value) if value else ""

    shown = row.leaf or row.memory
    made = ["  " * max(row.depth - 1, 0) + " ".join(filter(None, [row.path.rpartition(".")[2], row.label]))]
    idle = "not called" if not row.outputs and (row.leaf or row.trainable or row.frozen) else ""
    made += [", ".join(map(shape_text, row.outputs)) if shown and row.outputs else idle]
    made += [count(row.trainable), *([count(row.frozen)] if found.frozen else []), count(row.macs)]
    made += [bytes_text(row.memory) if row.memory else ""] if columns.memory else []
    if columns.kept and found.kept is not None:
        made += [bytes_text(row.kept) if row.kept else ""]
    return [*made, *field_text(row)]


def totals(found: Anatomy, columns: Columns) -> list[str]:
    made = ["total", "", columns.number(found.trainable)]
    made += [columns.number(found.frozen)] if found.frozen else []
    made += [columns.number(found.macs)]
    made += [bytes_text(found.memory)] if columns.memory else []
    made += [bytes_text(found.kept)] if columns.kept and found.kept is not None else []
    return [*made, "", ""]


def notes(found: Anatomy, columns: Columns) -> list[str]:
    """What the headings mean, and what no column says."""
    parameters = found.trainable + found.frozen
    lines = [f"{parameters:,} parameters, {bytes_text(4 * parameters)} in float32; {found.macs:,} multiply-adds"]
    if not columns.memory:
        lines[0] += f"; activations {bytes_text(found.memory)}"
    if found.kept is not None:
        what = f"training on {found.batch} examples at once keeps {bytes_text(found.kept)} for the backward pass"
        lines.append(f"kept ×{found.batch}: {what}" if columns.kept else what)
    if any(row.seen is not None for row in found.rows):
        lines.append("field: entries of the input an output sees; stride: between neighbours")
    return lines


def remark_lines(found: Anatomy) -> RenderResult:
    """Each behind a mark, its further lines below the first."""
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(style="yellow")
    made.add_column(overflow="fold")
    for remark in found.remarks:
        made.add_row("!", remark)
    if found.remarks:
        yield made


def formula_lines(found: Anatomy) -> RenderResult:
    """The arithmetic, one block a layer."""
    for row in found.rows:
        formulas = formulas_of(row)
        if not formulas:
            continue
        title = " ".join(filter(None, [row.path, row.kind]))
        yield Text(f"\n{title}: {shape_text(row.inputs[0])} → {shape_text(row.outputs[0])}", style="bold")
        made = Table(box=None, pad_edge=False, show_edge=False, show_header=False, padding=(0, 2, 0, 0))
        made.add_column(no_wrap=True)
        made.add_column(overflow="fold")
        for formula in formulas:
            made.add_row(f"  {formula.of}", formula.text)
        yield made


def as_html(found: Anatomy) -> str:
    """For notebooks: the widest table."""
    columns = Columns()
    rows = [cells(found, row, columns) for row in found.rows if row.path or row.leaf]
    rows = [[row[0].replace("  ", "\u2003"), *row[1:]] for row in [*rows, totals(found, columns)]]
    return fragment(found.name, [*notes(found, columns), *found.remarks], headings(found, columns), rows)


def as_text(found: Anatomy) -> str:
    """Plain, in whole lines."""
    console = Console(file=io.StringIO(), width=1000, highlight=False)
    with console.capture() as captured:
        console.print(Layers(found, formulas=False), markup=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
