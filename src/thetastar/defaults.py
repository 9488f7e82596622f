"""What a recipe leaves out, chosen by the data; every choice is a value that can be printed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.functional.arrow_columns import file_columns
from thetastar.hardware import free_memory
from thetastar.protocols import Schema, Spec, Stream
from thetastar.recipe import Budget, Engine, Recipe, part

TABLES = (".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".jsonl", ".ndjson", ".json")
SOUNDS = (".wav", ".flac", ".ogg", ".aiff", ".aif")
HUB = "hub:"
STREAMED = "streamed"  # the stream that reads from disk
FROM_DISK = "they are read from disk in pieces (data.name=resident data.source=PATH holds them in memory)"
ROOM = 0.5  # share of the free memory that data may take
PLAIN = {"name", "path", "target", "label", "title"}  # keys of a spec that both ways of reading understand
SMALLEST = 4  # pixels of a side, below which two poolings leave nothing of an image
AUTO = "auto"  # as algorithm.lr: a range test chooses it, see `rates`
MODELS = {
    "image": "cnn",
    "vector": "mlp",
    "words": "softmax",
    "state": "mlp",
    "waveform": "audio_cnn",
    "tokens": "text_transformer",
}
NARROW = {"name": "unet", "width": 16, "norm": "batch"}  # a sixteenth of the published net's arithmetic
MEASURES = {
    "category": ("accuracy", "nll", "ece"),
    "categories": ("jaccard", "accuracy", "f1", "micro_f1", "roc_auc", "nll"),
    "number": ("rmse", "mae", "r2"),
    "mask": ("mean_iou", "image_iou", "pixel_accuracy"),
}


def open_stream(data: Any, around: Mapping[str, Any] | None = None) -> Stream:
    """The stream of a data spec, put into the stream `around` where it is a source; complete in `stream.spec`."""
    spec = data_spec(data, around)
    stream: Stream = registry.build("data", spec, where="data")
    name = data if isinstance(data, str) else data.get("name") if isinstance(data, Mapping) else None
    if spec["name"] == STREAMED != name:
        stream.said.insert(0, f"decoded, the data would take over half of the memory that is free: {FROM_DISK}")
    if isinstance(name, str) and name.replace("-", "_") in registry.entries("data") and Path(name).exists():
        stream.said.insert(0, f"'{name}' is the data set of that name; for the file or folder here write ./{name}")
    return stream


def open_for(recipe: Recipe) -> Stream:
    """The stream of a recipe.

    Where it names a source only, model, method and algorithm say what stream they need around it: two views, few
    labels, no valid split where nothing is selected, the whole training split as one batch.
    """
    around: dict[str, Any] = {"name": "resident"}
    for folder, value in (("models", recipe.model), ("methods", recipe.method), ("algorithms", recipe.algorithm)):
        around |= _companions(folder, value).get("data", {})
    return open_stream(recipe.data, around)


def _companions(folder: str, value: Any) -> Mapping[str, Any]:
    """What a component names to be used beside it, over what a method inside it names."""
    name = value if isinstance(value, str) else value.get("name") if isinstance(value, Mapping) else None
    inside = _companions(folder, value["inner"]) if isinstance(value, Mapping) and "inner" in value else {}
    return {**inside, **(getattr(registry.load(folder, name), "companions", {}) if name else {})}


def with_target(data: Any, target: str | None) -> Any:
    """The data with the column to predict, where one is named."""
    return data if target is None else {**_resolved(data, "data"), "target": target}


def data_spec(data: Any, around: Mapping[str, Any] | None = None) -> Spec:
    """'digits' → {name: resident, source: {name: digits}}; a path → the source that reads it.

    Args:
        data: a name, a path, a spec, (inputs, targets) or a frame.
        around: the stream that a source is put into; `resident` by default.
    """
    spec = _resolved(data, "data")
    if (around or {}).get("name", "resident") == "resident":
        spec = _within_memory(spec)
    component = registry.load("data", spec["name"])
    if is_stream(component):
        if isinstance(spec.get("source"), str | Path | Mapping):
            spec["source"] = _resolved(spec["source"], "data.source")
        return spec
    base = dict(around or {"name": "resident"})
    outer = registry.arguments(registry.load("data", base["name"]))
    inner = registry.arguments(component)
    if "target" in spec and "target" not in inner:
        if "label" not in inner:
            raise UserError(
                f"{spec['name']} with target '{spec['target']}'", "the target it comes with", "leave it out"
            )
        spec["label"] = spec.pop("target")  # of a folder's table of labels
    for key in spec:
        if key != "name" and key not in outer and key not in inner:
            raise UserError(f"data.{key}: {spec['name']} has no argument '{key}'", "", nearest(key, [*inner, *outer]))
    source = {key: value for key, value in spec.items() if key == "name" or key in inner}
    return {**base, "source": source, **{key: spec[key] for key in spec if key != "name" and key not in inner}}


def _within_memory(spec: Spec) -> Spec:
    """The spec of a Parquet file, read as a stream where its rows would take most of the memory that is free."""
    target = spec.get("target", spec.get("label", "label"))
    path = spec.get("path")
    if spec["name"] not in ("parquet_images", "table") or not isinstance(path, str) or set(spec) - PLAIN:
        return spec
    if not (path.lower().endswith((".parquet", ".pq")) or Path(path).is_dir()):
        return spec
    size = registry.load("data", STREAMED).whole(path, target)  # type: ignore[attr-defined]
    if size is None or size <= ROOM * free_memory():
        return spec
    return {"name": STREAMED, "path": path, "target": target}


def is_stream(component: Any) -> bool:
    """Whether a component of the folder data makes batches, and no rows."""
    made = component if isinstance(component, type) else inspect.signature(component).return_annotation
    return (isinstance(made, type) and issubclass(made, Stream)) or made == "Stream"


def _resolved(data: Any, where: str) -> Spec:
    """A spec whose name is a component.

    A path, alone or as the name of a spec, becomes the source that reads it; a list of paths one table of all of them;
    (inputs, targets) become arrays, a frame a table.
    """
    if isinstance(data, str | Path):
        return _source_of_path(data)
    if isinstance(data, list) and data and all(isinstance(one, str | Path) for one in data):
        return {"name": "table", "path": [str(Path(one).expanduser().absolute()) for one in data]}
    if isinstance(data, tuple) and len(data) == 2:
        return {"name": "arrays", "inputs": data[0], "targets": data[1]}
    if type(data).__name__ == "DataFrame":  # known by name, so that pandas is imported only where there is one
        return {"name": "table", "frame": data}
    spec = registry.as_spec(data, where)
    return {**_source_of_path(spec["name"]), **{key: value for key, value in spec.items() if key != "name"}}


def _source_of_path(data: str | Path) -> Spec:
    text = str(data)
    name = text.replace("-", "_")
    if not isinstance(data, Path) and name in registry.entries("data"):
        return {"name": name}
    if text.startswith(HUB) and not isinstance(data, Path):
        return {"name": "hub", "repo": text.removeprefix(HUB)}
    path = Path(text).expanduser().absolute()  # so that a run can be tested from any folder
    if _holds_sounds(path):
        return {"name": "sounds", "path": str(path)}
    if _holds_pictures(path):
        return {"name": "parquet_images", "path": str(path)}
    if _is_table(path) or (any(mark in text for mark in "*?[") and not path.exists()):
        return {"name": "table", "path": str(path)}
    if path.is_dir():
        if (path / "provenance.json").is_file() and (path / "recipe.yaml").is_file():
            raise UserError(f"{text} is a run folder", "data", "give its data, or its recipe.yaml by --recipe")
        if _holds_masks(path):
            return {"name": "masked_folder", "path": str(path)}
        if not any(inner.is_dir() or _is_table(inner) for inner in path.iterdir()):
            raise UserError(
                f"{text} holds neither tables nor folders",
                "a table, or a folder of images or sounds for each class",
                "check the path",
            )
        return {"name": "table" if _holds_tables(path) else "folder", "path": str(path)}
    if path.is_file() or "/" in text or path.suffix:
        what = "is no data set that is read here" if path.exists() else "does not exist"
        do = "save a table as CSV" if path.exists() else "check the path"
        raise UserError(f"{text} {what}", f"a folder of images or sounds, or a file ending in {', '.join(TABLES)}", do)
    raise UserError(
        f"unknown data set '{text}'", "a name in `theta list data` or a path", nearest(text, registry.entries("data"))
    )


def _is_table(path: Path) -> bool:
    """Whether a name ends as those of tables do; text may be packed."""
    return path.name.lower().removesuffix(".gz").endswith(TABLES)


def _holds_pictures(path: Path) -> bool:
    """Whether a Parquet file, or a folder of them, has the hub's image column."""
    first = _first_parquet(path)
    return first is not None and (bool(_compressed(first)) or (path.is_dir() and first.stat().st_size == 0))


def _holds_sounds(path: Path) -> bool:
    """Whether a folder has sound files in its sub-folders; or a Parquet file, or a folder of them, a column audio."""
    if path.is_dir() and any(file.suffix.lower() in SOUNDS for file in chain(path.glob("*/*"), path.glob("*/*/*"))):
        return True
    first = _first_parquet(path)
    return first is not None and "audio" in _compressed(first)


def _first_parquet(path: Path) -> Path | None:
    if path.is_dir():
        return next(iter(sorted(path.glob("*.parquet"))), None)
    return path if path.suffix.lower() in (".parquet", ".pq") and path.is_file() else None


def _compressed(file: Path) -> list[str]:
    """Columns of a Parquet file that hold whole files, as the hub stores images and sounds."""
    import pyarrow
    from pyarrow import parquet

    try:
        return file_columns(parquet.read_schema(file))
    except (pyarrow.ArrowInvalid, OSError):
        return []  # the source that reads tables says what is wrong with the file


def _holds_masks(path: Path) -> bool:
    """Whether a folder, or the train folder in it, has images beside masks."""
    return any(all((above / side).is_dir() for side in ("images", "masks")) for above in (path, path / "train"))


def _holds_tables(path: Path) -> bool:
    """Whether a folder has tables and neither images nor folders: with those, a table holds labels of images."""
    names = [inner for inner in path.iterdir() if not inner.name.startswith(".")]
    tables = [inner for inner in names if _is_table(inner)]
    return bool(tables) and all(inner in tables or inner.suffix.lower() in (".md", ".txt", ".pdf") for inner in names)


def completed(recipe: Recipe, stream: Stream) -> Recipe:
    """The recipe with every component, argument and number filled in."""
    schema = stream.schema
    beside = {**stream.companions, **_companions("methods", recipe.method)}
    model = _named(recipe.model, lambda: beside.get("model", default_model(schema)))
    model = registry.complete("models", model, "model")
    beside = {**stream.companions, **_companions("models", model)}
    method = _agreed(recipe.method, stream.companions.get("method"))
    method = registry.complete("methods", _named(method, lambda: beside.get("method", "supervised")), "method")
    beside = {**_companions("methods", method), **beside}
    algorithm = _named(recipe.algorithm, lambda: beside.get("algorithm", "adamw"))
    if isinstance(algorithm, Mapping) and algorithm.get("lr") == AUTO:
        do = "let theta fit find one, or tune rates by --trials"
        raise UserError("algorithm.lr=auto", "a number here: it is fit that tests a range of rates", do)
    algorithm = registry.complete("algorithms", algorithm, "algorithm")
    measures = recipe.measures
    if measures is None:
        measures = _suited(beside["measures"], schema) if "measures" in beside else default_measures(schema)
    measures = [measures] if isinstance(measures, str | Mapping) else measures
    if not isinstance(measures, Sequence):
        raise UserError(f"measures: got {measures!r}", "a list of names", "write for example measures=[accuracy]")
    measures = [registry.complete("measures", measure, "measures") for measure in measures]
    budget = part(Budget, recipe.budget or beside.get("budget", {}), "budget")
    if [budget.epochs, budget.steps, budget.seconds].count(None) == 3:
        budget = Budget(epochs=default_epochs(stream))
    if [budget.epochs, budget.steps, budget.seconds].count(None) != 2:
        raise UserError(
            f"budget: got {dict(recipe.budget)}", "one of epochs, steps and seconds", "leave the others out"
        )
    wanted = {**_companions("algorithms", algorithm).get("engine", {}), **recipe.engine}
    engine = part(Engine, wanted, "engine")
    if engine.monitor is None and measures:
        engine = part(Engine, {**wanted, "monitor": measures[0]["name"]}, "engine")
    _check_method(method["name"], schema, engine)
    named = [measure["name"] for measure in measures]
    _check_measures(named, schema)
    if engine.monitor is not None and engine.monitor not in named:
        raise UserError(
            f"engine.monitor={engine.monitor}", "one of the recipe's measures", nearest(engine.monitor, named)
        )
    if not isinstance(recipe.seed, int) or isinstance(recipe.seed, bool) or recipe.seed < 0:
        raise UserError(f"seed: got {recipe.seed!r}", "a whole number ≥ 0", "write seed=0")
    return Recipe(
        data=_settled(getattr(stream, "spec", recipe.data), stream),
        model=model,
        method=method,
        algorithm=algorithm,
        measures=measures,
        budget={key: value for key, value in vars(budget).items() if value is not None},
        engine=_placed(engine),
        seed=recipe.seed,
    )


def _check_method(name: str, schema: Schema, engine: Engine) -> None:
    """Refuse what the method says of itself that it cannot do."""
    component = registry.load("methods", name)
    kinds: frozenset[str] = getattr(component, "kinds", frozenset())
    fields = schema.input.values() if isinstance(schema.input, Mapping) else [schema.input]
    for given in fields:
        if kinds and given.kind not in kinds:
            raise UserError(f"{name} on {given.kind} inputs", " or ".join(sorted(kinds)), "choose another method")
    if engine.accumulate > 1 and getattr(component, "couples", False):
        raise UserError(
            f"engine.accumulate={engine.accumulate} with {name}, whose loss couples the examples of a batch",
            "engine.accumulate=1",
            "enlarge data.batch_size instead",
        )


def _suited(measures: Sequence[Any], schema: Schema) -> list[Any]:
    """The measures of a companion that can judge this kind of target."""
    specs = [registry.as_spec(measure, "measures") for measure in measures]
    kinds = [getattr(registry.load("measures", spec["name"]), "kinds", frozenset()) for spec in specs]
    own = schema.target.kind if schema.target else ""
    return [spec for spec, known in zip(specs, kinds, strict=True) if not known or own in known]


def _check_measures(names: Sequence[str], schema: Schema) -> None:
    """Refuse measures that say nothing about this kind of target, and two of a name: values are kept by name."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"measures: {name} {names.count(name)} times", "every measure once", "leave one out")
        kinds: frozenset[str] = getattr(registry.load("measures", name), "kinds", frozenset())
        if kinds and schema.target and schema.target.kind not in kinds:
            fitting = ", ".join(MEASURES.get(schema.target.kind, ()))
            raise UserError(f"measure {name} on a {schema.task} task", fitting, "choose another measure")


def _placed(engine: Engine) -> dict[str, Any]:
    """The engine's settings, with a path of weights that holds from any folder; none where f is drawn."""
    settings = {name: value for name, value in vars(engine).items() if name != "weights"}
    return settings | ({"weights": str(Path(engine.weights).expanduser().absolute())} if engine.weights else {})


def _settled(spec: Any, stream: Stream) -> Any:
    """The data spec with the batch size that the stream chose."""
    return {**spec, "batch_size": stream.batch_size} if isinstance(spec, Mapping) and "batch_size" in spec else spec


def _agreed(given: Any, companion: Any) -> Any:
    """The method that was named, with what the data say of that very one: eight draws are for eight members."""
    named = {"name": given} if isinstance(given, str) else given
    if isinstance(named, Mapping) and isinstance(companion, Mapping) and named.get("name") == companion["name"]:
        return {**companion, **named}
    return given


def _named(given: Any, default: Any) -> Any:
    """A spec that names its component: the default's where the recipe gave none or only arguments."""
    if given is None:
        return default()
    if isinstance(given, Mapping) and "name" not in given:
        base = default()
        return {**({"name": base} if isinstance(base, str) else base), **given}
    return given


def default_model(schema: Schema) -> str | Spec:
    if isinstance(schema.input, dict):
        kinds = {field.kind for field in schema.input.values()}
        return "towers" if kinds & {"tokens", "waveform"} else "wide_deep"
    if schema.target is not None and schema.target.kind == "mask":
        return NARROW
    if schema.input.quantiles:
        return "tabular_mlp"
    if schema.input.kind == "image" and min(schema.input.shape[1:]) < SMALLEST:
        return "mlp"
    if schema.target is not None and schema.target.kind == "number" and schema.input.kind == "words":
        return "mlp"
    return MODELS.get(schema.input.kind, "mlp")


def default_measures(schema: Schema) -> list[Any]:
    """What suits the target; of several numbers, errors in units of each one's deviation in training."""
    target = schema.target
    if target is None:
        return []
    if target.kind == "number" and target.shape and target.std and min(target.std) > 0:
        scale = list(target.std)
        return [{"name": "mse", "scale": scale}, {"name": "mae", "scale": scale}, "r2"]
    return list(MEASURES.get(target.kind, ()))


def default_epochs(stream: Stream) -> int:
    """About 2,000 steps, at least 10 epochs and at most 100: small sets need many passes, large ones few."""
    return max(10, min(100, math.ceil(2000 / max(stream.length("train"), 1))))
