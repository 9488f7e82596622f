"""A recipe says everything a run is made from; it reads as the equation does and survives as YAML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.registry import Count, Positive, Whole

FORMAT = 1
GIVEN = "given in Python"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long to train: exactly one of the three; seconds are turned into steps once, after a probe, and recorded."""

    epochs: Positive | None = None
    steps: Count | None = None
    seconds: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What surrounds the equation without changing what it says.

    Args:
        device: "auto" takes the GPU where there is one.
        precision: "auto" is bfloat16 autocast where the hardware multiplies it natively and the net is large enough,
            else float32; "tf32" lets a GPU round the factors of float32 products to 10 bits, which nothing else does.
        compile: "auto" compiles f where an estimate says that this saves more time than it costs.
        accumulate: batches per update.
        micro: parts that each batch is cut into, one after the other in memory, where its loss is a mean over examples;
            where memory runs out it is doubled by itself.
        recompute: compute the activations of f's blocks again in the backward pass instead of keeping them.
        evaluations: how often at most the valid split is looked at during training.
        monitor: the measure on valid that `patience` and `keep` watch; the first measure by default.
        patience: stop after so many evaluations without a better value, and keep the best; null never stops early.
        keep: the weights that the run ends with: of the last step or of the best evaluation.
        checkpoint: seconds between checkpoints for resume.
        weights: a safetensors file, or the folder of a run, that f begins with; read once, at the start.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "tf32", "bf16"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    accumulate: Count = 1
    micro: Count = 1
    recompute: bool = False
    evaluations: Whole = 20
    monitor: str | None = None
    patience: Count | None = None
    keep: Literal["last", "best"] = "last"
    checkpoint: Positive = 30.0
    weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The letters of the equation: D, f, L, A, P, how long, around what, and the seed of all randomness.

    Each letter is a name or a spec {"name": …, argument: value}. What is left out (None) is chosen by `completed`,
    which needs the data: the model by the kind of input, method and algorithm by the model, measures by the task.
    `published` is a figure that others reported on these data; a comparison shows it beside ours, and nothing else
    knows of it.
    """

    data: Any
    model: Any = None
    method: Any = None
    algorithm: Any = None
    measures: Any = None
    budget: Mapping[str, Any] = field(default_factory=dict[str, Any])
    engine: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    published: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        beside = () if self.published is None else (("published", "published: {value: 0.98, source: …}"),)
        for name, example in (("budget", "budget.epochs=5"), ("engine", "engine.patience=3"), *beside):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise UserError(f"{name}: got {given!r}", "a mapping", f"write for example {example}")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], where: str = "recipe") -> Recipe:
        known = [part.name for part in dataclasses.fields(cls)]
        if "stages" in entry:
            raise UserError(f"{where} is a recipe of stages", "a recipe of one", "train it: theta fit --recipe FILE")
        for key in entry:
            if key not in known and key != "format":
                raise UserError(f"{where}: unknown key '{key}'", f"one of {', '.join(known)}", nearest(str(key), known))
        if "data" not in entry:
            raise UserError(f"{where}: no data", "a data set", "add data: digits")
        form = entry.get("format", FORMAT)
        if not isinstance(form, int) or form > FORMAT:
            raise UserError(f"{where}: format {form!r}", f"at most {FORMAT}", "update thetastar")
        return cls(**{key: value for key, value in entry.items() if key != "format"})

    @classmethod
    def from_yaml(cls, text: str | Path, where: str = "recipe") -> Recipe:
        """From YAML, or a file of it; messages call it `where`."""
        return cls.from_mapping(*read_yaml(text, where))

    def to_mapping(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"format": FORMAT}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if value is not None and not (isinstance(value, dict) and not value):
                entry[part.name] = _plain(value)
        return entry

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_mapping(), sort_keys=False, allow_unicode=True, width=120)

    def replace(self, **changes: Any) -> Recipe:
        return dataclasses.replace(self, **changes)

    def override(self, assignments: Iterable[str]) -> Recipe:
        """`algorithm.lr=0.05 model.widths=[256,128] seed=3` applied in order."""
        entry = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        for assignment in assignments:
            path, separator, text = assignment.partition("=")
            if not separator or not path:
                raise UserError(f"override '{assignment}'", "KEY=VALUE", "write for example algorithm.lr=0.05")
            keys = path.split(".")
            if keys[0] not in entry:
                raise UserError(f"override '{assignment}': unknown key '{keys[0]}'", "", nearest(keys[0], entry))
            try:
                value = parse_yaml(text)
            except yaml.YAMLError:
                raise UserError(f"override '{assignment}'", "a YAML value after =", "quote words with spaces") from None
            entry[keys[0]] = _set(entry[keys[0]], keys[1:], value, assignment)
        return Recipe(**entry)


def read_yaml(text: str | Path, where: str = "recipe") -> tuple[Mapping[str, Any], str]:
    """The mapping in YAML, or in a file of it, and what messages call it."""
    if isinstance(text, Path):
        where = str(text)
        try:
            text = text.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot read {where}: {error.strerror}", "a YAML recipe", "check the path") from None
        except UnicodeDecodeError:
            raise UserError(f"{where} is no text", "a YAML recipe", "check the path") from None
    try:
        entry = parse_yaml(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{where} is no YAML: {problem}", "a YAML mapping", "mend the file") from None
    if not isinstance(entry, Mapping):
        raise UserError(f"{where} holds {type(entry).__name__}", "a YAML mapping", "start it with data: NAME")
    return entry, where


def _set(node: Any, keys: list[str], value: Any, assignment: str) -> Any:
    if not keys:
        return value
    if isinstance(node, str):
        node = {"name": node}
    node = dict(node or {}) if isinstance(node, Mapping) or node is None else node
    if isinstance(node, list | tuple) and keys[0].isdigit() and int(keys[0]) < len(node):
        return [_set(item, keys[1:], value, assignment) if i == int(keys[0]) else item for i, item in enumerate(node)]
    if not isinstance(node, dict):
        raise UserError(
            f"override '{assignment}': '{keys[0]}' is inside {node!r}", "a component", "set the component first"
        )
    return {**node, keys[0]: _set(node.get(keys[0]), keys[1:], value, assignment)}


def _plain(value: Any) -> Any:
    """JSON-like values only; what was given as a Python object is named, since YAML cannot carry it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return f"<{type(value).__name__} {GIVEN}>"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 floats (1e-3 is a number) and no surprises such as `no` for false."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(text: str) -> Any:
    """YAML without code execution, with 1e-3 as a number."""
    return yaml.load(text, Loader=_Loader)


def part(kind: type[Any], given: Mapping[str, Any], where: str) -> Any:
    """A Budget or Engine from a mapping, checked."""
    known = registry.arguments(kind)
    for key in given:
        if key not in known:
            raise UserError(f"{where}: unknown key '{key}'", "", nearest(str(key), known))
    values = {name: registry.check(known[name].annotation, value, f"{where}.{name}") for name, value in given.items()}
    return kind(**values)
