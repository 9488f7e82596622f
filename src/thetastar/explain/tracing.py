"""A tape as people see it: a table in the order of the visit, and a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from thetastar.explain.graph import Arrow, Box, drawn
from thetastar.functional.tape import Link, Value, ordered
from thetastar.terminal import console

Array = NDArray[np.float64]
MOST = 3  # rows and columns of a matrix that are written out


def rows_of(numbers: Array) -> list[list[str]]:
    """The first rows and columns, with dots for what is left out."""
    matrix = np.atleast_2d(numbers)
    shown = matrix[:MOST, :MOST].round(3) + 0.0  # no −0.000
    rows = [[f"{value:.3f}".replace("-", "−") for value in row] for row in shown]
    if matrix.shape[1] > MOST:
        rows = [[*row, "…"] for row in rows]
    return [*rows, ["…"] * len(rows[0])] if matrix.shape[0] > MOST else rows


def formula_of(value: Value) -> str:
    """The formula, and the shape where not all of it is shown."""
    large = max(value.data.shape, default=0) > MOST
    shape = f"({' × '.join(map(str, value.data.shape))})" if large else ""
    return f"{value.formula} {shape}".strip()


def grid(numbers: Array) -> str:
    return "\n".join("  ".join(f"{cell:>6}" for cell in row) for row in rows_of(numbers))


def local_words(link: Link) -> list[str]:
    """The local derivative as an expression and, where it is no constant and no neighbour's value, in numbers."""
    plain = link.side or np.ptp(link.local) == 0 or link.words == "y"
    return [link.words] if plain else [link.words, *(" ".join(row) for row in rows_of(link.local))]


def in_block(link: Link) -> str:
    """The same with its numbers below it."""
    words, *rows = local_words(link)
    return f"{words} =\n{grid(link.local)}" if rows else words


def table_of(visits: Sequence[Value]) -> Table:
    """Every value in the order of the visit: what it is, its local derivatives, its gradient."""
    table = console.table("visit", "value", "is", "numbers", "local derivatives", f"∂{visits[0].name}/∂value")
    for number, value in enumerate(visits, 1):
        local = "\n".join(f"∂{value.name}/∂{link.argument.name} = {in_block(link)}" for link in value.links)
        words = formula_of(value) if value.formula else f"given {formula_of(value)}".strip()
        table.add_row(str(number), value.name, words, grid(value.data), local, grid(value.gradient))
    for column in (table.columns[3], table.columns[5]):
        column.no_wrap = True  # a matrix that is folded cannot be read
    return table


def as_data(value: Value) -> dict[str, Any]:
    local = [
        {"of": link.argument.name, "is": link.words, "numbers": link.local.tolist(), "side": link.side or "entrywise"}
        for link in value.links
    ]
    numbers = {"value": value.data.tolist(), "local": local, "gradient": value.gradient.tolist()}
    return {"name": value.name, "formula": value.formula, **numbers}


def graph_of(visits: Sequence[Value]) -> tuple[list[Box], list[Arrow]]:
    """Boxes, arguments before results, and the arrows between them."""
    turn = {id(value): number for number, value in enumerate(visits, 1)}
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    for value in ordered(visits[0]):
        boxes.append(Box(value.name, formula_of(value), rows_of(value.data), rows_of(value.gradient), turn[id(value)]))
        arrows += [Arrow(link.argument.name, value.name, local_words(link)) for link in value.links]
    return boxes, arrows


def figure_of(visits: Sequence[Value], label: str) -> str:
    legend = (
        f"in every box: the value, below it in blue ∂{visits[0].name}/∂value and, in the corner, its turn in"
        " backpropagation; on every arrow: the local derivative"
    )
    return drawn(*graph_of(visits), legend, label)
