"""Several trainings one after the other, each of which begins with the f of the one before: pre-train, then probe.

    DIR/stages.yaml   the complete recipe          DIR/1-NAME, DIR/2-NAME, …   plain run folders

What a stage leaves to others is in its own folder alone, so a stage is resumed, tested and reported as any run.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from thetastar import equation, rates, weights
from thetastar.distribution import World
from thetastar.errors import UserError, nearest
from thetastar.protocols import Split, Stream
from thetastar.recipe import FORMAT, Recipe, read_yaml
from thetastar.snapshot import write_atomic
from thetastar.star import Star, train

FILE = "stages.yaml"
KEY = "stages"
LETTERS = [part.name for part in dataclasses.fields(Recipe)]
Fit = Callable[[Recipe, Path, Stream], Star]


@dataclass(frozen=True)
class Stage:
    """One of them, by name."""

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Staged:
    """A recipe of stages as it is written: what all share, and what each says for itself."""

    shared: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]
    where: str = "recipe"

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], where: str = "recipe") -> Staged:
        given = entry[KEY]
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) < 2:
            do = "write stages: [{method: simclr}, {method: probe}]"
            raise UserError(f"{where}: stages: got {given!r}", "a list of at least two stages", do)
        own: dict[str, Mapping[str, Any]] = {}
        for number, stage in enumerate(given, 1):
            if not isinstance(stage, Mapping):
                raise UserError(f"{where}: stage {number}: got {stage!r}", "a mapping", "write {method: probe}")
            name = stage.get("name") or name_of(stage.get("method")) or f"stage{number}"
            if not isinstance(name, str) or not re.fullmatch(r"[\w+-]+", name):
                raise UserError(f"{where}: stage {number}: name {name!r}", "letters, digits, - and _", "change it")
            if name in own:
                raise UserError(f"{where}: two stages '{name}'", "a name each", "write name: … into one of them")
            own[name] = {key: value for key, value in stage.items() if key != "name"}
        made = cls({key: value for key, value in entry.items() if key != KEY}, own, where)
        made.stages()  # says what is wrong with it now
        return made

    def stages(self) -> list[Stage]:
        """Each as a recipe of its own, that does not yet say where its f comes from."""
        found = [
            Stage(name, Recipe.from_mapping({**self.shared, **own}, f"{self.where}: stage '{name}'"))
            for name, own in self.own.items()
        ]
        for stage in found[1:]:
            if stage.recipe.engine.get("weights"):
                got = f"{self.where}: engine.weights of stage '{stage.name}'"
                raise UserError(got, "the f of the stage before", "name weights in the first stage alone")
        return found

    def override(self, assignments: Sequence[str]) -> Staged:
        """`seed=3` for what all share, `stages.probe.algorithm.lr=0.1` for one; nothing that no stage would hear."""
        made = self
        for text in assignments:
            path = text.partition("=")[0]
            made = made._of_one(text) if path.split(".")[0] == KEY else made._of_all(text)
        return made

    def _of_one(self, text: str) -> Staged:
        path, _, value = text.partition("=")
        _, *keys = path.split(".")
        if len(keys) < 2 or keys[0] not in self.own:
            do = nearest(keys[0] if keys else "", self.own)
            raise UserError(f"override '{text}'", "stages.NAME.KEY=VALUE", do)
        own = self.own[keys[0]]
        before = {**self.shared, **own}
        after = _overridden(before, f"{'.'.join(keys[1:])}={value}")
        changed = {key: entry for key, entry in after.items() if key in own or before.get(key) != entry}
        return dataclasses.replace(self, own={**self.own, keys[0]: changed})

    def _of_all(self, text: str) -> Staged:
        letter = text.partition("=")[0].split(".")[0]
        if all(letter in own for own in self.own.values()):
            do = f"name one: stages.{next(iter(self.own))}.{text}"
            raise UserError(f"{text}: every stage of {self.where} has its own {letter}", "words about one stage", do)
        return dataclasses.replace(self, shared=_overridden(self.shared, text))


def _overridden(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    known = {key: value for key, value in entry.items() if key in LETTERS}
    changed = Recipe(**{"data": None, **known}).override([text])
    values = {name: getattr(changed, name) for name in LETTERS}
    asked = text.partition("=")[0].split(".")[0]
    return {**entry, **{name: value for name, value in values.items() if name in known or name == asked}}


def name_of(spec: Any) -> str:
    """Of a component, where one is named."""
    return spec if isinstance(spec, str) else str(spec.get("name", "")) if isinstance(spec, Mapping) else ""


def read(path: Path) -> Staged | None:
    """The stages in a recipe file; None where it is a recipe of one."""
    entry, where = read_yaml(path)
    return Staged.from_mapping(entry, where) if KEY in entry else None


# --- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A stage whose recipe is complete, with its data."""

    name: str
    recipe: Recipe
    stream: Stream


def opened(stages: Sequence[Stage]) -> list[Opened]:
    """All stages, checked together before the first is trained."""
    from thetastar.defaults import open_for

    found: list[Opened] = []
    for stage in stages:
        try:
            stream = open_for(stage.recipe)
            found.append(Opened(stage.name, rates.completed(stage.recipe, stream), stream))
        except UserError as error:
            raise UserError(f"stage '{stage.name}': {error.got}", error.expected, error.do) from None
    refuse_seen(found)
    refuse_unlike(found)
    return found


def refuse_seen(stages: Sequence[Opened]) -> None:
    """Rows of train that a later stage holds out: what is judged would have been learnt from."""
    for number, later in enumerate(stages):
        for earlier in stages[:number]:
            if later.stream.fingerprint != earlier.stream.fingerprint:
                continue
            for split in ("valid", "test"):
                seen = np.intersect1d(rows_of(earlier.stream, "train"), rows_of(later.stream, split))
                if len(seen):
                    got = f"stage '{later.name}' holds out {len(seen):,} {split} rows that '{earlier.name}' learns from"
                    do = "give both the same data.valid, data.test and data.split_seed"
                    raise UserError(got, "the same splits in all stages", do)


def rows_of(stream: Stream, split: Split) -> Any:
    """Row numbers of a split, where the stream is one of rows."""
    inner: Any = getattr(stream, "inner", stream)
    return getattr(inner, "rows", {}).get(split, np.empty(0, np.int64))


def refuse_unlike(stages: Sequence[Opened]) -> None:
    """A stage whose f could not begin with that of the one before."""
    before: Any = None
    for stage in stages:
        f = equation.assemble(weights.without(plain(stage.recipe)), stage.stream.schema).f
        if before is not None:
            wrong = weights.fitted(f, before[1].state_dict()).wrong
            if wrong:
                got = f"stage '{stage.name}' cannot begin with the f of '{before[0]}': {wrong[0]}"
                raise UserError(got, "one architecture", "name the model once, for all stages")
        before = stage.name, f


def plain(recipe: Recipe) -> Recipe:
    """With a rate that can be built, where it is yet to be found."""
    if not rates.asked(recipe):
        return recipe
    return recipe.replace(algorithm={key: value for key, value in recipe.algorithm.items() if key != "lr"})


def folder(place: Path, number: int, name: str) -> Path:
    """Of a stage, counted from 1."""
    return place / f"{number}-{name}"


def run(stages: Sequence[Opened], place: Path, fit: Fit | None = None) -> list[Star]:
    """Train one after the other; finished ones are kept, an unfinished one goes on to the bits of an undisturbed one.

    Args:
        stages: as `opened` gives them.
        place: the folder, new or one that holds these stages.
        fit: how one is trained; `star.train` by default.
    """
    begin(stages, place)
    fit = fit or (lambda recipe, where, stream: train(recipe, where, stream=stream))
    stars: list[Star] = []
    for number, stage in enumerate(stages, 1):
        recipe = stage.recipe
        if number > 1:
            before = folder(place, number - 1, stages[number - 2].name)
            recipe = recipe.replace(engine={**recipe.engine, "weights": str(before.expanduser().absolute())})
        stars.append(fit(recipe, folder(place, number, stage.name), stage.stream))
    return stars


def begin(stages: Sequence[Opened], place: Path) -> None:
    """Write what will be trained, or refuse a folder that holds something else."""
    file, text = place / FILE, to_yaml(stages)
    if file.is_file():
        if read_yaml(file)[0] != read_yaml(text)[0]:
            raise UserError(
                f"{place} holds stages of another recipe", "those it was begun with", "choose another --out"
            )
        return
    if World.current().rank:
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise UserError(f"{place} is not empty", "a new folder", "choose another --out")
        write_atomic(file, text.encode())
    except OSError as error:
        reason = f"cannot write {place}: {error.strerror}"
        raise UserError(reason, "a folder one can write", "choose another --out") from None


def to_yaml(stages: Sequence[Opened]) -> str:
    """The complete recipe; it runs unchanged."""
    entry = {"format": FORMAT, KEY: [{"name": stage.name, **to_plain(stage.recipe)} for stage in stages]}
    return yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=120)


def to_plain(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in recipe.to_mapping().items() if key != "format"}
