"""What `theta explain model` is asked about: a model by name, an expression in a file, a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thetastar import registry
from thetastar.defaults import open_for, with_target
from thetastar.errors import UserError
from thetastar.explain.model.anatomy import TRAINED, Anatomy, anatomy, example
from thetastar.explain.model.expression import read_model
from thetastar.explain.model.fitting import CONVOLUTIONS, TRANSPOSED, axes_of
from thetastar.explain.model.walk import MISFITS
from thetastar.functional.display import shape_of
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe
from thetastar.star import load
from thetastar.terminal.training import single

DATA = ("digits", "breast_cancer", "diabetes")  # of each kind of input and target, the first that the model takes
LARGEST = 2**30  # entries of an example
PHOTOGRAPH = (3, 224, 224)
CLASSES = 10  # where only a shape is given
LETTERS = ("data", "model")
Inputs = Any  # a tensor, or several by name


@dataclass(frozen=True)
class Asked:
    """The words of the command line.

    Attributes:
        subject: a model's name, a file or a run folder.
        words: KEY=VALUE for the model; the key may begin with "model." or "data.".
        data, target: the data set, and the column to predict of a table.
        shape: of one example.
        batch: examples of a training batch; by the data where not given.
    """

    subject: str
    words: Sequence[str] = ()
    data: str | None = None
    target: str | None = None
    shape: tuple[int, ...] = ()
    batch: int | None = None


@dataclass(frozen=True)
class Found:
    """An anatomy, and in a sentence what was taken for granted; `written` where the layers are those of a file."""

    anatomy: Anatomy
    said: str = ""
    written: bool = False


def shape_from(text: str) -> tuple[int, ...]:
    """'3,224,224' or '3x224x224'."""
    parts = text.lower().replace("x", ",").replace("×", ",").split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--shape {text}", "whole numbers ≥ 1 with commas between", "write for example 3,224,224")
    shape = tuple(int(part) for part in parts)
    if math.prod(shape) > LARGEST:
        raise UserError(f"--shape {text}", f"at most {LARGEST:,} entries", "make it smaller")
    return shape


def examined(asked: Asked) -> Found:
    """The anatomy of whatever the subject names."""
    if asked.data is not None and asked.shape:
        raise UserError("--data and --shape", "one of the two", "leave one of them out")
    if asked.target is not None and asked.data is None:
        raise UserError("--target without --data", "the data that have this column", "add --data DATA")
    path = Path(asked.subject)
    if asked.subject in registry.entries("models"):
        return _named(asked)
    if path.is_dir():
        return _of_run(asked, single(path))
    if path.is_file():
        return _of_file(asked, path)
    if path.suffix or "/" in asked.subject:
        raise UserError(f"{asked.subject} does not exist", "a model, a file or a run folder", "check the path")
    registry.find("models", asked.subject)
    raise AssertionError("a name that is found is an entry")


def _of_run(asked: Asked, path: Path) -> Found:
    for given, name in ((asked.data, "--data"), (asked.shape, "--shape"), (asked.words, "KEY=VALUE")):
        if given:
            raise UserError(f"{name} with a run", "the run alone", "leave it out, or name the model instead of the run")
    star = load(path)
    spec = registry.as_spec(star.recipe.model, "model")
    batch = asked.batch or _batch_in(star.recipe.data)
    found = anatomy(star.program.f, inputs_of(star.schema), batch=batch, name=spec["name"])
    return Found(found, f"{path}: {shape_of(star.schema)}")


def _batch_in(data: Any) -> int:
    size = data.get("batch_size") if isinstance(data, Mapping) else None
    return size if isinstance(size, int) and size > 1 else TRAINED


def _of_file(asked: Asked, path: Path) -> Found:
    if asked.words:
        raise UserError(f"{asked.words[0]} with a file", "the file alone", "change it in the file")
    model = read_model(path)
    if asked.data is not None:
        stream = open_for(Recipe(data=with_target(asked.data, asked.target)))
        x, said = inputs_of(stream.schema), f"{asked.data}: {shape_of(stream.schema)}"
        return Found(anatomy(model, x, batch=asked.batch or stream.batch_size, name=path.name), said, written=True)
    shape, said = (asked.shape, "") if asked.shape else _guessed(model, path)
    _refuse_other_axes(model, shape)
    x = example(shape, torch.long if isinstance(_first(model), nn.Embedding) else torch.float32)
    return Found(anatomy(model, x, batch=asked.batch or TRAINED, name=path.name), said, written=True)


def _refuse_other_axes(model: nn.Module, shape: tuple[int, ...]) -> None:
    """Torch takes images without a batch too, and would read [1, 3, 28] as one of these."""
    first = _first(model)
    if isinstance(first, CONVOLUTIONS + TRANSPOSED) and len(shape) != axes_of(first) + 1:
        example = ",".join(map(str, (first.in_channels, 28, 28, 28)[: axes_of(first) + 1]))
        raise UserError(
            f"--shape {','.join(map(str, shape))} for {type(first).__name__}",
            f"{axes_of(first) + 1} numbers, channels first",
            f"write for example --shape {example}",
        )


def _first(model: nn.Module) -> nn.Module | None:
    return next((layer for layer in model.modules() if next(layer.children(), None) is None), None)


def _guessed(model: nn.Module, path: Path) -> tuple[tuple[int, ...], str]:
    """The shape of an input that the first layer with weights takes."""
    first: Any = next((layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)), None)
    if isinstance(first, nn.Linear):
        shape: tuple[int, ...] = (int(first.in_features),)
    elif isinstance(first, nn.Conv2d):
        shape = (int(first.in_channels), 224, 224)
    else:
        raise UserError(f"{path.name} without a shape", "the shape of one example", "add for example --shape 3,224,224")
    return shape, f"no --shape: {','.join(map(str, shape))} is taken, which the first layer takes"


def _named(asked: Asked) -> Found:
    words = [word if word.partition(".")[0] in LETTERS and "=" in word else f"model.{word}" for word in asked.words]
    for word in words:
        if "=" not in word:
            instead = f"write --data {word.removeprefix('model.')}" if word.count(".") < 2 else ""
            raise UserError(f"the word '{word.removeprefix('model.')}' after the model", "KEY=VALUE", instead)
    if asked.shape:
        schema, batch = _schema_of(asked.shape), asked.batch or TRAINED
        spec = _spec(asked, words, None)
        return Found(
            _anatomy_of(spec, schema, batch), f"--shape alone: {shape_of(schema)}, not standardised; --data says more"
        )
    for data in [asked.data] if asked.data is not None else [*DATA, None]:
        recipe = _recipe(asked, words, data)
        try:
            stream = open_for(recipe)
            batch = asked.batch or max(stream.batch_size, 2)
            found = _anatomy_of(registry.as_spec(recipe.model, "model"), stream.schema, batch)
        except UserError:
            if asked.data is not None:
                raise
            continue
        more = "" if asked.data is not None else "; --data DATA or --shape 3,224,224 for another"
        return Found(found, f"{data or 'its example'}: {shape_of(stream.schema)}{more}")
    return _named(replace(asked, shape=PHOTOGRAPH))  # what nets too deep for small images were made for


def _recipe(asked: Asked, words: Sequence[str], data: str | None) -> Recipe:
    if data is None:
        example = registry.load("models", asked.subject).example()  # type: ignore[attr-defined]
        return Recipe(data=example["data"], model=asked.subject).override(words)
    return Recipe(data=with_target(data, asked.target), model=asked.subject).override(words)


def _spec(asked: Asked, words: Sequence[str], data: Any) -> dict[str, Any]:
    return registry.as_spec(Recipe(data=data, model=asked.subject).override(words).model, "model")


def _anatomy_of(spec: Mapping[str, Any], schema: Schema, batch: int) -> Anatomy:
    """Built without numbers where the model allows it."""
    name = spec["name"]
    try:
        with torch.device("meta"):
            model = registry.build("models", spec, schema, where="model")
        return anatomy(model, inputs_of(schema), batch=batch, name=name)
    except MISFITS:  # it computes with numbers, or makes no sense: the second is said again
        pass
    try:
        model = registry.build("models", spec, schema, where="model")
    except (RuntimeError, TypeError) as error:  # torch counts bytes in 64 bits, and the machine has fewer
        said = str(error).split("\n")[0]
        raise UserError(f"{name} cannot be built: {said}", "a size that fits", "make it smaller") from None
    try:
        return anatomy(model, inputs_of(schema), batch=batch, name=name)
    except UserError:
        if getattr(model, "companions", {}).get("method") != "absorb":
            raise
        raise UserError(
            f"{name} has no layers before it has learnt",
            "a run",
            f"theta fit DATA --model {name}, then explain the run",
        ) from None


def _schema_of(shape: tuple[int, ...]) -> Schema:
    kind = "image" if len(shape) == 3 else "vector"
    return Schema(Field(kind, shape), Field("category", classes=CLASSES))


def inputs_of(schema: Schema) -> Inputs:
    """One example of zeros of the shapes that the schema names."""

    def zeros(field: Field) -> Tensor:
        return torch.zeros(1, *field.shape, dtype=torch.long if field.kind == "tokens" else torch.float32)

    if isinstance(schema.input, Mapping):
        return {name: zeros(field) for name, field in schema.input.items()}
    return zeros(schema.input)
