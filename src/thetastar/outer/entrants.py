"""Who takes part where labels are few: each method as one learner, or as two where it learns features alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from thetastar import equation, registry
from thetastar.data.few_labels import few_labels
from thetastar.defaults import completed, data_spec, default_epochs, default_model, open_stream
from thetastar.errors import UserError
from thetastar.outer.learners import measures_of
from thetastar.protocols import Clock, Spec, Stream
from thetastar.recipe import Recipe

DEFAULT = ("supervised", "mean_teacher", "byol")
PROBE, TUNE = "probe", "fine-tune"
SHARED = ("valid", "test", "split_seed")
UNEQUAL = ("augment", "batch_size", "labelled_batch", "labels")  # of a method's own wishes: the same for all here


@dataclass(frozen=True)
class Entrant:
    """One learner.

    Attributes:
        method: what people call the method that makes it, which names its data too.
        recipe: with labels; complete but for seed and data, and for the weights that it begins with.
        before: the recipe without labels, where there is one.
        unlabelled: whether its labelled stage looks at examples without labels.
    """

    name: str
    method: str
    recipe: Recipe
    before: Recipe | None = None
    unlabelled: bool = False

    @property
    def folder(self) -> str:
        return self.name.replace(" → ", "-")


@dataclass(frozen=True)
class Plan:
    """All that will be trained; `streams` and `unlabelled` by method."""

    entrants: list[Entrant]
    counts: list[int]
    seeds: int
    steps: int
    streams: dict[str, few_labels]
    unlabelled: dict[str, Stream]


def plan(
    data: Any,
    counts: Sequence[int],
    methods: Sequence[Any],
    model: Any,
    seeds: int,
    budget: Mapping[str, Any],
    overrides: Sequence[str],
) -> Plan:
    """Open the data, check every number of labels, and assemble every learner once."""
    counts = sorted(set(counts))
    specs = [registry.as_spec(method, "method") for method in methods or DEFAULT]
    names = [spec["name"] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--methods {name} twice", "every method once", "leave one out")
    about_data = [text for text in overrides if text.startswith("data.")]
    common = [text for text in overrides if not text.startswith("data.")]
    base = few_spec(data, counts[0], about_data)
    if not isinstance(first := open_stream(base), few_labels):
        raise UserError(f"labels of {base['name']}", "rows with classes", "name the data, not a stream")
    if not first.size("test"):
        raise UserError("the data have no test split", "a test split", "set data.test to a share such as 0.2")
    for count in counts[1:]:
        first.relabelled(count, 0)
    steps = labelled_steps(budget, first)
    common_recipe = Recipe(
        data=first.spec,
        model=model or default_model(first.schema),
        measures=measures_of(first.schema),
        budget={"steps": steps},
    )
    made = Plan([], counts, seeds, steps, {}, {})
    for spec in specs:
        wished = wishes(spec)
        asked = {**base, **{key: value for key, value in wished.items() if key in few_keys() and key not in UNEQUAL}}
        made.streams[spec["name"]] = stream = first if asked == base else opening(asked)
        made.entrants.extend(entrants_of(spec, common_recipe.replace(method=spec), stream, wished, common, made))
    return made


def few_keys() -> set[str]:
    return set(registry.arguments(few_labels)) - {"source"}


def opening(spec: Spec) -> few_labels:
    stream = open_stream(spec)
    assert isinstance(stream, few_labels)
    return stream


def few_spec(data: Any, labels: int, words: Sequence[str]) -> Spec:
    """The data with few labels, as all learners see them."""
    spec = Recipe(data=data_spec(data, {"name": "few_labels"})).override(words).data
    for word in words:
        if word.startswith(("data.labels=", "data.label_seed=")):
            raise UserError(f"{word} in a comparison over labels", "--labels N,N,…", "leave the word out")
    return {**spec, "labels": labels}


def wishes(spec: Spec) -> Spec:
    """What stream a method asks for."""
    return dict(getattr(registry.load("methods", spec["name"]), "companions", {}).get("data", {}))


def labelled_steps(budget: Mapping[str, Any], stream: few_labels) -> int:
    """The steps of every learner: an epoch is one over the examples without labels."""
    if budget.get("seconds") is not None:
        raise UserError("a budget in seconds", "the same number of steps for all", "write --steps N")
    if budget.get("steps") is not None:
        return int(budget["steps"])
    return max(1, round(float(budget.get("epochs") or default_epochs(stream)) * stream.length("train")))


def entrants_of(
    spec: Spec, recipe: Recipe, stream: few_labels, wished: Spec, words: Sequence[str], made: Plan
) -> list[Entrant]:
    """One learner, or the two that begin with what the method learns without labels."""
    name = spec["name"]
    reads: tuple[str, ...] = registry.build("methods", spec).reads
    if "target" in reads:
        full = completed(recipe.override(words), stream)
        answers(full, stream, name, "prediction", "classes")
        return [Entrant(name, name, full, unlabelled="unlabelled" in reads)]
    made.unlabelled[name] = bare = open_stream(unlabelled_spec(stream, wished))
    before = completed(recipe.replace(measures=None).override(words), bare)
    before = before.replace(engine={**before.engine, "evaluations": 0})
    answers(before, bare, name, "features", "features or classes")
    learners = ((PROBE, "probe"), (TUNE, "supervised"))
    stages = {label: recipe.replace(method=method).override(words) for label, method in learners}
    return [Entrant(f"{name} → {label}", name, completed(stage, stream), before) for label, stage in stages.items()]


def unlabelled_spec(stream: few_labels, wished: Spec) -> Spec:
    """The same rows of train, in batches of the same size, as the method asks for them."""
    shared = {key: stream.spec[key] for key in (*SHARED, "source")}
    spec = {"name": "resident", **wished, **shared, "batch_size": stream.batch_size}
    return {**spec, "drop_last": True} if spec["name"] == "resident" else spec


def answers(recipe: Recipe, stream: Stream, name: str, what: str, expected: str) -> None:
    """Assemble it and ask for two answers: what cannot be, or says nothing of that kind, is refused now."""
    program = equation.assemble(recipe, stream.schema).eval()
    with torch.no_grad():
        batch = stream.sample("train", 2)  # type: ignore[attr-defined]
        said = program.method.predict(program.f, batch, frozenset({what}), Clock(0))
    if what not in said:
        raise UserError(f"{name} among learners from few labels", f"a method that answers {expected}", "leave it out")
