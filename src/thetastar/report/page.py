"""A page of sections: plain, self-contained HTML, nothing fetched, nothing that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from thetastar.outer import wording


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading. `name` is its place in addresses, `body` its HTML."""

    name: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Page:
    """What a reader meets: what it is about, the answer, what follows from it, then the evidence.

    Attributes:
        about: a line above the headline.
        lead: sentences below it; `facts`: pairs of a figure and what it counts.
    """

    title: str
    about: str
    headline: str
    lead: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    foot: str = ""


@cache
def environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    made = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(capital=wording.capital, every=every, pooled=pooled)
    return made


def every(count: int, noun: str) -> str:
    """'both seeds', 'all 3 seeds'."""
    return f"both {noun}s" if count == 2 else f"all {count:,} {noun}s"


def pooled(count: int, redrawn: bool) -> str:
    """'both seeds', 'all 3 seeds, each with rows of its own'."""
    return every(count, "seed") + (", each with rows of its own" if redrawn else "")


def section(name: str, title: str, **values: Any) -> Section:
    """A section from its template, sections/<name>.html.j2."""
    return Section(name, title, Markup(environment().get_template(f"sections/{name}.html.j2").render(values)))


def render(page: Page) -> str:
    return environment().get_template("page.html.j2").render(page=page)


def listed(pairs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of a mapping, for a list of terms."""
    return [(name.replace("_", " "), str(value)) for name, value in pairs.items() if value not in (None, "")]
