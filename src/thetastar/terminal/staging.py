"""`theta fit` of a recipe of stages: one run folder each, and what came out of every one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thetastar.errors import UserError
from thetastar.terminal import training
from thetastar.terminal.console import print_json, show, speaks
from thetastar.terminal.words import Choices, agree, recipe_file, recipe_of, split, with_answers

if TYPE_CHECKING:
    from thetastar.outer.stages import Opened, Staged
    from thetastar.recipe import Recipe
    from thetastar.star import Star


def fit(words: Sequence[str], choices: Choices, *, seeds: int, out: Path | None, **how: bool) -> None:
    """What the words ask for: a recipe, or a recipe of stages."""
    staged = stages_of(words, choices) if choices.recipe else None
    if staged is None:
        training.fit(recipe_of(words, choices), seeds=seeds, out=out, **how)
        return
    from thetastar.outer import stages

    found = stages.opened(staged.stages())
    if how["only_print"]:
        if how["as_json"]:
            print_json({"stages": [{"name": stage.name, **stages.to_plain(stage.recipe)} for stage in found]})
        elif speaks():
            print(stages.to_yaml(found), end="")
        return
    place = out or training.free_folder(found[0].recipe)
    runs = [run(reseeded(found, number), place / f"seed-{number}" if seeds > 1 else place) for number in range(seeds)]
    report(found, runs, place, how["as_json"])


def stages_of(words: Sequence[str], choices: Choices) -> Staged | None:
    """The stages of the recipe file under options and words; None where it has none."""
    from thetastar.outer import stages

    assert choices.recipe is not None
    staged = stages.read(recipe_file(choices.recipe))
    if staged is None:
        return None
    of_one = [word for word in words if word.startswith(f"{stages.KEY}.") and "=" in word]
    data, assignments = split([word for word in words if word not in of_one])
    agree(assignments, choices)
    given = {name: getattr(choices, name) for name in ("model", "method", "algorithm", "seed")}
    given["budget"] = choices.budget or None
    if choices.weights is not None:
        raise UserError("--weights for a recipe of stages", "stages.NAME.engine.weights=FILE", "name the first stage")
    for letter, value in given.items():
        if value is not None:
            staged = staged.override([f"{letter}={value}"])
    shared = dict(staged.shared)
    if data is not None or with_answers(0, choices) != 0:
        if any("data" in own for own in staged.own.values()):
            got = f"{data or 'options about data'} for {staged.where}, whose stages name data of their own"
            raise UserError(got, "stages.NAME.data=…", "edit the recipe")
        shared["data"] = with_answers(shared.get("data") if data is None else data, choices)
    return replace(staged, shared=shared).override([*assignments, *of_one])


def reseeded(stages: Sequence[Opened], number: int) -> list[Opened]:
    """The `number`-th run of each."""
    return [replace(stage, recipe=stage.recipe.replace(seed=stage.recipe.seed + number)) for stage in stages]


def run(found: Sequence[Opened], place: Path) -> list[Star]:
    """Train them under a bar each; an interruption names the folder of all."""
    from thetastar.outer import stages

    def one(recipe: Recipe, where: Path, stream: Any) -> Star:
        return training.train(recipe, where, stream, whole=place)

    return stages.run(found, place, one)


def resume(place: Path, as_json: bool) -> None:
    """Go on with stages, or with a plain run."""
    from thetastar.outer import stages

    several = sorted(file.parent for file in place.glob(f"seed-*/{stages.FILE}"))
    folders = [place] if (place / stages.FILE).is_file() else several
    if not folders:
        training.resume(place, as_json)
        return
    read = [stages.read(folder / stages.FILE) for folder in folders]
    found = [stages.opened(staged.stages()) for staged in read if staged is not None]
    runs = [run(each, folder) for each, folder in zip(found, folders, strict=True)]
    report(found[0], runs, place, as_json)


def report(found: Sequence[Opened], runs: Sequence[Sequence[Star]], place: Path, as_json: bool) -> None:
    """Every stage as a run of its own, over seeds where there are several."""
    from thetastar.outer.stages import folder

    if as_json:
        listed = [{"stages": [said(*each) for each in zip(found, stars, strict=True)]} for stars in runs]
        print_json(listed[0] if len(listed) == 1 else {"runs": listed})
        return
    for number, stage in enumerate(found, 1):
        show(f"stage {number} of {len(found)}, {stage.name}")
        where = folder(place / "seed-*" if len(runs) > 1 else place, number, stage.name)
        training.report([stars[number - 1] for stars in runs], where, as_json, last=number == len(found))


def said(stage: Opened, star: Star) -> dict[str, Any]:
    return {"name": stage.name, **training.about(star)}
