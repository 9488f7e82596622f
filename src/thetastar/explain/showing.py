"""What an explanation consists of, and topics by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from thetastar.errors import UserError, nearest

HERE = Path(__file__).parent / "topics"
FIGURES = (".svg", ".png", ".html")


@dataclass
class Shown:
    """An explanation.

    Attributes:
        parts: for people, in order: sentences, tables, blocks.
        data: the same for machines, as JSON values.
        figure: a drawing as SVG, "" where there is none; `label` says in a sentence what it shows.
    """

    parts: list[RenderableType]
    data: dict[str, Any]
    figure: str = ""
    label: str = ""


def topics() -> dict[str, str]:
    """Names as they are typed, with what each is about."""
    files = sorted(path for path in HERE.glob("*.py") if path.stem != "__init__")
    return {path.stem.replace("_", "-"): _first_line(path) for path in files}


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as text:
        return text.readline().strip().strip('"').rstrip(".")


def explain(topic: str, arguments: Sequence[str]) -> Shown:
    """What the topic's file says; a UserError with the nearest topic where there is none."""
    known = topics()
    if topic not in known:
        raise UserError(f"unknown topic '{topic}'", f"one of {', '.join(known)}", nearest(topic, known))
    module = importlib.import_module(f"thetastar.explain.topics.{topic.replace('-', '_')}")
    if arguments and not inspect.signature(module.show).parameters:
        raise UserError(f"{topic} with '{arguments[0]}'", "the topic alone", "leave the rest out")
    return module.show(list(arguments)) if inspect.signature(module.show).parameters else module.show()


def check_place(place: Path | None, option: str = "--out") -> None:
    """Refuse a place for a drawing before anything is computed."""
    if place is None:
        return
    if place.suffix.lower() not in FIGURES:
        raise UserError(f"{option} {place}", f"a name ending in {', '.join(FIGURES)}", "choose one of them")
    if place.is_dir() or not place.parent.is_dir():
        got = f"{option} {place} is a folder" if place.is_dir() else f"{option} {place}: no folder {place.parent}"
        raise UserError(got, "a file in a folder that exists", "choose another name")


def write_figure(shown: Shown, place: Path) -> None:
    """The drawing as SVG, PNG or a page, by the name's ending, which `check_place` has seen."""
    if not shown.figure:
        raise UserError(f"--out {place}", "an explanation with a drawing", "leave --out out")
    if place.suffix.lower() == ".png":
        import vl_convert

        content = vl_convert.svg_to_png(shown.figure, scale=2)
    elif place.suffix.lower() == ".html":
        head = (
            "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
            "<meta name='color-scheme' content='light dark'>"
        )
        page = f"<!doctype html><html lang='en'>{head}<title>{escape(shown.label)}</title>{shown.figure}</html>"
        content = page.encode()
    else:
        content = shown.figure.encode()
    try:
        place.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"cannot write {place}: {error.strerror}", "a folder that can be written", "choose another"
        ) from None
