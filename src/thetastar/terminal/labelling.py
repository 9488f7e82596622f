"""`theta compare DATA --labels N,N,…`: what helps where labels are few."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thetastar.errors import UserError
from thetastar.terminal.console import aside, print_json, room, show
from thetastar.terminal.failures import INTERRUPTED, fail
from thetastar.terminal.words import Choices, agree, split, with_answers

if TYPE_CHECKING:
    from thetastar.outer.labelled import Found
    from thetastar.terminal.comparing import Terms

NO_VERDICT = 1
Labels = Annotated[
    str | None,
    typer.Option(metavar="N,N,…", help="Keep so few labels: supervised, semi-supervised and self-supervised learners."),
]


def counted(text: str) -> list[int]:
    """'50,100,250'."""
    parts = [part.strip().replace("_", "") for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and int(part) for part in parts):
        raise UserError(f"--labels {text}", "whole numbers with commas between", "for example --labels 50,100,250")
    return [int(part) for part in parts]


def compare(words: Sequence[str], choices: Choices, terms: Terms, out: Path | None, as_json: bool) -> None:
    """Run one, or go on with it, and print what it found."""
    from thetastar.outer.labels import compare_labels
    from thetastar.recipe import Recipe
    from thetastar.terminal.comparing import shared
    from thetastar.terminal.progress import Bar

    counts = counted(terms.labels or "")
    refuse(terms)
    data, overrides = split(words)
    if data is None:
        raise UserError("no data", "a data set, a file or a folder of images", "for example: theta compare digits")
    agree(overrides, choices)
    shared(overrides)
    about_budget = [word for word in overrides if word.startswith("budget")]
    budget = choices.budget or Recipe(data=None).override(about_budget).budget or None
    place = out or folder(data, [*overrides, choices, terms])
    with Bar(aside(), f"few labels of {data}", counts=False) as watch:
        found = compare_labels(
            with_answers(data, choices),
            counts,
            terms.methods,
            model=terms.models[0] if terms.models else None,
            seeds=terms.seeds,
            budget=budget,
            overrides=[word for word in overrides if word not in about_budget],
            out=place,
            watch=watch,
        )
    tell(found, place / "report.html", as_json)
    if found.partial:
        fail("interrupted; the same command goes on from here", INTERRUPTED)
    if not any(verdict.ranked for verdict in found.verdicts):
        fail(f"no learner finished; expected at least one; see {place / 'failures'}", NO_VERDICT)


def refuse(terms: Terms) -> None:
    """What has no place beside --labels."""
    if len(terms.models) > 1:
        raise UserError(f"--labels with --models {','.join(terms.models)}", "one model for all learners", "name one")
    for option, given in (("--recipes", terms.recipes), ("--trials", terms.trials), ("--resplit", terms.resplit)):
        if given:
            raise UserError(f"--labels with {option}", "methods on one split, nothing tuned", f"leave {option} out")


def folder(data: str, options: Sequence[Any]) -> Path:
    """The same command finds the same folder, so it goes on; other options find another."""
    from thetastar.terminal.training import short_name

    asked = json.dumps([*map(str, options), getattr(options[-1], "labels", None)])
    stem = re.sub(r"[^\w.-]+", "_", short_name(data))
    return Path("runs") / f"labels-{stem}-{hashlib.sha256(asked.encode()).hexdigest()[:6]}"


def tell(found: Found, page: Path, as_json: bool) -> None:
    if as_json:
        print_json({**found.to_json(), "sentences": found.sentences(), "report": str(page)})
        return
    show("")
    show(curve_table(found, room()))
    show("")
    for sentence in found.sentences():
        show(sentence)
    show(f"report: {page}")


def curve_table(found: Found, width: int | None) -> Any:
    """A row a learner, a column a number of labels; the other way round where that is too wide."""
    from rich.table import Table

    from thetastar.outer import wording

    q = found.verdicts[0].question
    names = found.names
    cells = {name: found.cells(name) for name in names}
    spoken = [wording.spoken(name) for name in names]
    wide = sum(max(len(cells[name][place]) for name in names) + 3 for place in range(len(found.counts)))
    made = Table(title=f"{q.title}: {wording.head(q.measure)} on test by labels", title_justify="left")
    if width is None or wide + max(map(len, spoken)) + 20 <= width:
        for place, head in enumerate(["learner", "steps", *(f"{count:,} labels" for count in found.counts)]):
            made.add_column(head, justify="right" if place else "left")
        for name, called in zip(names, spoken, strict=True):
            made.add_row(called, found.work(name), *cells[name])
        return made
    for place, head in enumerate(["labels", "learner", "steps", wording.head(q.measure)]):
        made.add_column(head, justify="left" if place == 1 else "right", overflow="fold")
    for place, count in enumerate(found.counts):
        for name, called in zip(names, spoken, strict=True):
            made.add_row(f"{count:,}", called, found.work(name), cells[name][place])
    return made
