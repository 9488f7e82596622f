"""The page of a look at a data set: plain, self-contained HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from thetastar.look.findings import Histogram
from thetastar.look.looking import Look
from thetastar.snapshot import write_atomic

SHARES = ("missing", "share")


def render(look: Look) -> str:
    """HTML with its styles and pictures inside: no scripts, nothing fetched."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("looking.html.j2").render(look=look, findings=look.findings, shown=shown)


def write(look: Look, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, render(look).encode())
    return path


def shown(cell: Any, head: str) -> Markup:
    """A cell of a table: words to the left, figures to the right, a histogram as bars."""
    if isinstance(cell, Histogram):
        return Markup(f"<td>{bars(cell.counts)}</td>")  # made here from numbers
    if isinstance(cell, str):
        return Markup('<td class="text">') + escape(cell) + Markup("</td>")
    return Markup("<td>") + escape(figure(cell, head)) + Markup("</td>")


def figure(value: Any, head: str) -> str:
    """Four significant digits, shares in percent; nothing for nothing."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if head in SHARES:
            return f"{value:.1%}"
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def bars(counts: Sequence[int]) -> str:
    """Counts as an SVG of bars."""
    most = max((*counts, 1))
    parts = [
        f'<rect x="{6 * place}" y="{20 - round(19 * count / most, 1) - (count > 0):g}" width="5"'
        f' height="{round(19 * count / most, 1) + (count > 0):g}"/>'
        for place, count in enumerate(counts)
    ]
    label = ", ".join(map(str, counts))
    return f'<svg class="bars" viewBox="0 0 96 20" role="img" aria-label="counts {label}">{"".join(parts)}</svg>'
