"""The words of the command line as a recipe: data and KEY=VALUE words, options, and a recipe file below them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.recipe import Recipe

ANSWERS = ("target", "task", "group", "time", "split_column")  # options about a table
NAMED = (
    "model",
    "method",
    "algorithm",
    "seed",
    *(f"data.{name}" for name in ANSWERS),
    "engine.weights",
)  # what options and words both say
LETTERS = {part.name for part in fields(Recipe)}
UNITS = {"epochs": ("epoch", "epochs"), "steps": ("step", "steps"), "seconds": ("s", "sec", "second", "seconds")}


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the options of `theta fit` and `theta compare` say about one recipe."""

    recipe: Path | None = None
    model: str | None = None
    method: str | None = None
    algorithm: str | None = None
    target: str | None = None
    task: str | None = None
    group: str | None = None
    time: str | None = None
    split_column: str | None = None
    seed: int | None = None
    weights: Path | None = None
    amount: str | None = None
    epochs: float | None = None
    steps: int | None = None
    seconds: float | None = None

    @property
    def budget(self) -> dict[str, float | int]:
        """At most one of --budget, --epochs, --steps and --seconds; two are a mistake."""
        given = {name: value for name in UNITS if (value := getattr(self, name)) is not None}
        options = [f"--{name}" for name in given] + (["--budget"] if self.amount is not None else [])
        if len(options) > 1:
            raise UserError(" and ".join(options), "one budget", "leave the others out")
        return given if self.amount is None else amount(self.amount)


def amount(text: str) -> dict[str, float | int]:
    """'20 epochs', '1000 steps', '60 s' or '60s' as a budget."""
    found = re.fullmatch(r"\s*([0-9][0-9_,]*\.?[0-9]*(?:e[0-9]+)?|\.[0-9]+)\s*([a-z]+)\s*", text.lower())
    name = next((name for name, words in UNITS.items() if found and found[2] in words), None)
    if found is None or name is None:
        raise UserError(
            f"--budget {text!r}", "a number and a unit: epochs, steps or s", 'write for example --budget "20 epochs"'
        )
    number = float(found[1].replace(",", "").replace("_", ""))
    return {name: int(number) if number.is_integer() else number}


def include(files: Sequence[Path]) -> None:
    """Make the components of these files known by name."""
    for path in files:
        registry.include(path)


def names(given: Sequence[str] | None, option: str) -> list[str]:
    """`--models a,b --models c` → a, b, c."""
    found = [name.strip() for words in given or [] for name in words.split(",") if name.strip()]
    if given and not found:
        raise UserError(f"{option} without a name", "names with commas between", f"write for example {option} a,b")
    return found


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The data set and the KEY=VALUE words; a path may hold a '=' unless it begins like a key of the recipe."""
    data: str | None = None
    assignments: list[str] = []
    for word in words:
        if "=" in word and (data is not None or word.partition("=")[0].split(".")[0] in LETTERS):
            assignments.append(word)
        elif data is None:
            data = word
        else:
            raise UserError(f"the word '{word}' after the data set", "KEY=VALUE", _instead(word))
    return data, assignments


def _instead(word: str) -> str:
    for folder, option in (("models", "--model"), ("methods", "--method"), ("algorithms", "--algorithm")):
        if word in registry.entries(folder):
            return f"write {option} {word}"
    return "write for example algorithm.lr=0.05"


def recipe_of(words: Sequence[str], choices: Choices) -> Recipe:
    """A recipe file, overruled by options, overruled by KEY=VALUE words."""
    from thetastar.defaults import data_spec

    data, assignments = split(words)
    budget = choices.budget
    agree(assignments, choices)
    given = Recipe.from_yaml(recipe_file(choices.recipe)) if choices.recipe else None
    if given is None and data is None:
        raise UserError("no data", "a data set, a file or a folder of images", "for example: theta fit digits")
    recipe = given or Recipe(data=None)
    if data is not None:
        recipe = recipe.replace(data=with_answers(data, choices))
    elif any(getattr(choices, name) for name in ANSWERS):
        recipe = recipe.replace(data=with_answers(recipe.data, choices))
    named = {
        name: value
        for name in ("model", "method", "algorithm", "seed")
        if (value := getattr(choices, name)) is not None
    }
    if budget:
        named["budget"] = budget
    if choices.weights is not None:
        named["engine"] = {**recipe.engine, "weights": str(choices.weights)}
    outer, assignments = around(assignments) if data is not None else (None, assignments)
    recipe = recipe.replace(**named).override(assignments)
    if outer is None:
        return recipe
    spec = data_spec(recipe.data, {"name": outer})
    if spec["name"] != outer:
        raise UserError(f"{outer} around {spec['name']}, which makes its own batches", "rows", f"leave {outer} out")
    return recipe.replace(data=spec)


def around(assignments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The stream that the data set is put into, `data=resampled` behind its name, and the other words."""
    from thetastar.defaults import is_stream

    for word in assignments:
        path, _, name = word.partition("=")
        known = path in ("data", "data.name") and name in registry.entries("data")
        if known and is_stream(registry.load("data", name)):
            return name, [other for other in assignments if other is not word]
    return None, assignments


def agree(assignments: Sequence[str], choices: Choices) -> None:
    """Refuse to guess which of two is meant: `--model cnn model=mlp`."""
    options = {
        name: f"--{name.replace('_', '-')} {value}" for name, value in vars(choices).items() if value is not None
    }
    named = {path: path.removeprefix("data.").removeprefix("engine.") for path in NAMED}
    said = {path: options[name] for path, name in named.items() if name in options}
    for name in {"amount", *UNITS} & set(options):
        said["budget"] = options[name].replace("--amount", "--budget")
    for assignment in assignments:
        path = assignment.partition("=")[0].removesuffix(".name")
        path = "budget" if path.startswith("budget.") else path
        if path in said:
            raise UserError(f"{said[path]} and {assignment}", "one of the two", "leave one of them out")


def with_answers(data: Any, choices: Choices) -> Any:
    """The data with the column to predict, the kind of task and how to split, where the user names them."""
    answers = {key: value for key in ANSWERS if (value := getattr(choices, key)) is not None}
    if not answers:
        return data
    spec = dict(data) if isinstance(data, Mapping) else {"name": data}
    if "source" in spec:  # a stream: what answers them is the source inside
        return {**spec, "source": with_answers(spec["source"], choices)}
    return {**spec, **answers}


def page_place(out: Path) -> None:
    """Refuse a place for a page before anything is computed; folders on the way are made later."""
    above = next(folder for folder in out.parents or [out] if folder.exists())
    if not out.name or out.is_dir() or not above.is_dir():
        got = f"--out {out}: {above} is no folder" if out.name and not out.is_dir() else f"--out {out} is a folder"
        raise UserError(got, "the name of a page", "choose another, such as page.html")


def recipe_file(path: Path) -> Path:
    """A recipe by path, or a shipped one by name."""
    found = recipe_files(path)
    if len(found) != 1:
        raise UserError(f"{path} is a set of {len(found)} recipes", "one recipe", f"for example {found[0]}")
    return found[0]


def recipe_files(path: Path) -> list[Path]:
    """One recipe, or all of a folder: by path, or shipped ones by name."""
    if not path.exists() and not path.suffix and not path.is_absolute():
        known = shipped()
        if path.as_posix() not in known:
            raise UserError(f"unknown recipe '{path}'", "YAML or a shipped recipe", nearest(path.as_posix(), known))
        path = known[path.as_posix()]
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.yaml"))
    if not found:
        raise UserError(f"{path} holds no recipes", "a folder of .yaml files", "check the path")
    return found


def shipped() -> dict[str, Path]:
    """What comes with the package: recipes, and sets of them, which are folders of recipes and nothing else.

    They are beside the package when it is installed, at the root of a source tree.
    """
    inside, beside = registry.root / "recipes", registry.root.parents[1] / "recipes"
    folder = inside if inside.is_dir() else beside
    inner = sorted(folder.rglob("*.yaml"))
    leaves = {path.parent for path in inner if not any(beside.is_dir() for beside in path.parent.iterdir())}
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in [*inner, *sorted(leaves)]}
