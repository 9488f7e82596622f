"""Who takes part in a comparison: partial recipes that share everything but what is compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thetastar import registry
from thetastar.defaults import NARROW, completed, data_spec, default_measures, default_model
from thetastar.errors import UserError
from thetastar.outer.published import Published, about
from thetastar.protocols import Schema, Stream
from thetastar.recipe import Recipe

WHERE = ("device", "checkpoint")  # of the engine: what may differ between two parts of one comparison
COLUMN_OF = {"rmse": "mse"}  # a measure that is no mean over examples → the one whose examples are tested instead


@dataclass(frozen=True)
class Learner:
    """One way of learning: a name for people and folders, the complete recipe of its first seed, a figure of others."""

    name: str
    recipe: Recipe
    published: Published | None = None

    def question(self) -> dict[str, Any]:
        """What makes it this learner and no other, as plain values."""
        entry = self.recipe.to_mapping()
        del entry["seed"]
        entry["engine"] = {key: value for key, value in entry["engine"].items() if key not in WHERE}
        return entry


def default_models(schema: Schema) -> list[Any]:
    """What is usual for the kind of data, from the simplest on; a few, so that an answer comes soon."""
    if isinstance(schema.input, dict):  # what each input brings by itself, and what all of them bring
        model = default_model(schema)
        return [*({"name": model, "inputs": [name]} for name in schema.input), model]
    kind = schema.input.kind
    target = schema.target.kind if schema.target else None
    if target == "mask":
        short = {"width": 16, "blocks": [1, 1, 1, 1]}
        return [{"name": "fcn_resnet50", **short}, {"name": "pspnet_resnet50", **short}, NARROW]
    plain = "linear" if target == "number" else "softmax"
    if kind == "image":
        edges = ["hog_linear"] if min(schema.input.shape[1:]) >= 16 else []  # smaller ones have too few to a cell
        return [plain, *edges, "knn", *dict.fromkeys(["mlp", default_model(schema)])]
    if kind == "words":
        return ["knn", "mlp", "gradient_boosting"] if target == "number" else ["naive_bayes", plain, "knn", "mlp"]
    if kind in ("vector", "state"):
        own = "decision_tree" if target == "categories" else "gradient_boosting"  # boosting has one answer a row
        return [plain, "knn", default_model(schema), "random_forest", own]
    raise UserError(f"no default learners for inputs of kind {kind}", "models to compare", "name some: --models a,b")


def gather(
    base: Recipe,
    stream: Stream,
    models: Sequence[Any] | None,
    methods: Sequence[Any] | None,
    recipes: Sequence[Any] | None,
    overrides: Sequence[str],
) -> list[Learner]:
    """Every model with every method, then the recipes; each with the data, measures and budget of `base`.

    Recipes that leave the model open take part with every model that is named, and then those do not without them.
    """
    partial: list[tuple[str, Recipe]] = []
    given = [_from_recipe(recipe, base) for recipe in recipes or []]
    open_ones = models and not methods and any(recipe.model is None for _, recipe in given)
    if (models and not open_ones) or methods or not recipes:
        if not models:
            models = [default_model(stream.schema)] if methods else default_models(stream.schema)
        for model in models:
            for method in methods or [None]:
                name = _name(model) if method is None else f"{_name(model)}+{_name(method)}"
                partial.append((name, base.replace(model=model, method=method)))
    for name, recipe in given:
        if recipe.model is not None or not open_ones:
            partial.append((name, recipe))
            continue
        for model in models or []:
            partial.append((name if len(models or []) == 1 else f"{_name(model)}+{name}", recipe.replace(model=model)))
    names = _distinct([name for name, _ in partial])
    learners: list[Learner] = []
    for name, (_, recipe) in zip(names, partial, strict=True):
        published = about(recipe, name)
        recipe = completed(recipe.override(overrides), stream)
        if not recipe.measures:
            raise UserError("measures=[] in a comparison", "a measure that judges", "name one or leave the word out")
        target = stream.schema.target
        if recipe.measures[0]["name"] in COLUMN_OF and target is not None and math.prod(target.shape) > 1:
            # the mean of the roots of several outputs is no function of one number an example
            got = f"{recipe.measures[0]['name']} of several numbers judges nothing"
            raise UserError(got, "a mean over examples", "choose mse or mae, with a scale for each number")
        learners.append(Learner(name, recipe.replace(measures=with_column(recipe.measures)), published))
    if len({str(learner.recipe.measures[0]) for learner in learners}) > 1:
        raise UserError(
            "learners with different measures", "one measure that judges all", "set measures for all of them"
        )
    return learners


def _read(given: Any, data: Any = None) -> tuple[str, Recipe]:
    """A name and a recipe, from a path, a mapping (of `data` where it names none) or a recipe."""
    if isinstance(given, str | Path):
        return Path(given).stem, Recipe.from_yaml(Path(given))
    recipe = given if isinstance(given, Recipe) else Recipe.from_mapping({"data": data, **given})
    return _name(recipe.model or "default"), recipe


def _from_recipe(given: Any, base: Recipe) -> tuple[str, Recipe]:
    name, recipe = _read(given, base.data)
    if recipe.published and not same_source(recipe.data, base.data):
        recipe = recipe.replace(published=None)  # a figure on other data says nothing of these
    return name, recipe.replace(
        data=base.data,
        measures=base.measures,
        budget=base.budget or recipe.budget,
        engine={**recipe.engine, **base.engine},
        seed=base.seed,
    )


def same_source(first: Any, second: Any) -> bool:
    """Whether two data specs name the same rows."""
    return data_spec(first).get("source") == data_spec(second).get("source")


def data_of(recipes: Sequence[Any]) -> Any:
    """The data that all recipes name: a comparison has one data set."""
    if not recipes:
        raise UserError("no data", "a data set, a file or a folder of images", "for example: theta compare digits")
    specs = {name: recipe.data for name, recipe in map(_read, recipes)}
    first, *others = specs
    for other in others:
        if data_spec(specs[other]) != data_spec(specs[first]):
            got = f"recipes {first} and {other} with different data"
            raise UserError(got, "one data set for all", "name it first: theta compare DATA --recipes …")
    return specs[first]


def _name(spec: Any) -> str:
    """The component's name, and the inputs that it is restricted to."""
    if isinstance(spec, str):
        return spec
    spec = registry.as_spec(spec, "learner")
    return " ".join([spec["name"], *map(str, spec.get("inputs") or ())])


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def measures_of(schema: Schema, recipes: Sequence[Any] = ()) -> list[Any]:
    """What the learners are judged by, the first decides: what all recipes name alike, else what suits the target."""
    named = [recipe.measures for _, recipe in map(_read, recipes)]
    if named and named[0] is not None and all(measures == named[0] for measures in named):
        return [named[0]] if isinstance(named[0], str | Mapping) else list(named[0])
    if schema.target is None:
        raise UserError("nothing to compare by: the data have no target", "a target", "name one with --target")
    found = default_measures(schema)
    if not found:
        raise UserError(f"no measures for a target of kind {schema.target.kind}", "", "name some: measures=[…]")
    # masks are compared image by image, which the mean IoU over all pixels does not allow
    return sorted(found, key=lambda measure: measure != "image_iou") if schema.target.kind == "mask" else found


def with_column(measures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The measures, with the one whose per-example values stand in for the first where that has none."""
    names = [measure["name"] for measure in measures]
    paired = COLUMN_OF.get(names[0])
    if paired and paired not in names:
        return [*measures, registry.complete("measures", paired)]
    return list(measures)
