"""`theta compare`: several learners on one data set, the verdict, and its page."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.terminal import labelling
from thetastar.terminal.console import aside, print_json, room, show
from thetastar.terminal.failures import INTERRUPTED, fail
from thetastar.terminal.training import short_name
from thetastar.terminal.words import Choices, agree, recipe_files, split, with_answers

if TYPE_CHECKING:
    from thetastar.outer.verdict import Verdict

NO_VERDICT = 1
INSTEAD = {
    "data": "name one data set, before everything else",
    "model": "write --models A,B",
    "method": "write --methods A,B",
    "seed": "write --seeds N, for the seeds 0 … N − 1",
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the options of `theta compare` say beyond the data."""

    models: list[str]
    methods: list[str]
    recipes: list[str]
    seeds: int
    resplit: bool | None
    trials: int
    together: bool | None = field(default=None, repr=False)  # it finds the same folder
    labels: str | None = field(default=None, repr=False)  # their numbers; it is in other folders


def compare(words: Sequence[str], choices: Choices, terms: Terms, out: Path | None, as_json: bool) -> None:
    """Run a comparison, or go on with one, and print its verdict; interrupted, that of what is finished."""
    if terms.labels is not None:
        labelling.compare(words, choices, terms, out, as_json)
        return
    from thetastar.outer.compare import compare as run
    from thetastar.outer.learners import data_of
    from thetastar.terminal.progress import Bar

    data, overrides = split(words)
    recipes = [str(file) for recipe in terms.recipes for file in recipe_files(Path(recipe))]
    called = data or "_".join(terms.recipes).replace("/", "_")
    data = data or data_of(recipes)
    agree(overrides, choices)
    shared(overrides)
    about_data = [word for word in overrides if word.startswith("data.")]
    about_budget = [word for word in overrides if word.startswith("budget")]
    spec = Recipe(data=with_answers(data, choices)).override(about_data).data
    place = out or default_folder(called, [*overrides, choices, terms])
    with Bar(aside(), f"comparing on {called}", counts=False) as watch:
        verdict = run(
            spec,
            terms.models or None,
            methods=terms.methods or None,
            recipes=recipes or None,
            seeds=terms.seeds,
            resplit=terms.resplit,
            budget=choices.budget or Recipe(data=None).override(about_budget).budget or None,
            trials=terms.trials,
            out=place,
            watch=watch,
            overrides=[word for word in overrides if word not in about_data + about_budget],
            together="auto" if terms.together is None else terms.together,
        )
    tell(verdict, place / "report.html", as_json)
    if verdict.partial:
        fail("interrupted; the same command goes on from here", INTERRUPTED)
    if not verdict.ranked:
        fail(f"no learner finished; expected at least one; see {place / 'failures'}", NO_VERDICT)


def shared(overrides: Sequence[str]) -> None:
    """Only what all learners share can be said once: refuse the letters that make a learner what it is."""
    for word in overrides:
        path = word.partition("=")[0].removesuffix(".name")
        if path in INSTEAD:
            raise UserError(f"{word} in a comparison", "words about what learners share", INSTEAD[path])


def default_folder(data: str, options: Sequence[Any]) -> Path:
    """The same command finds the same folder, so it goes on; other options find another."""
    stem = re.sub(r"[^\w.-]+", "_", short_name(data))
    asked = [str(option) for option in options]
    plain = [
        str(option) for option in (Choices(), Terms(models=[], methods=[], recipes=[], seeds=5, resplit=None, trials=0))
    ]
    mark = "" if asked == plain else "-" + hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:6]
    return Path("runs") / f"compare-{stem}{mark}"


def tell(verdict: Verdict, page: Path, as_json: bool) -> None:
    if as_json:
        print_json({**verdict.to_json(), "sentences": verdict.sentences(), "report": str(page)})
        return
    show("")
    show(verdict.table(room()))
    if verdict.pairs:
        show("")
        show(verdict.matrix(room()))
    show("")
    for sentence in verdict.sentences():
        show(sentence)
    show(f"report: {page}")
