"""Where the settings of a recipe are searched: written LOW..HIGH or A|B|C, by us for what usually matters or by users.

A choice of component (`algorithm.name=sgd|adamw`) brings the settings of each; those of one are searched only where it
is drawn. `log:` and `lin:` before a range set its scale; without them it is logarithmic where the name says that size
is what matters (lr, weight_decay) or where it spans two powers of ten.
"""

from __future__ import annotations

import itertools
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from thetastar import equation, registry
from thetastar.errors import UserError, nearest
from thetastar.protocols import Stream
from thetastar.recipe import Budget, Engine, Recipe, parse_yaml

Distribution = Any  # optuna's, imported only where something is tuned
Choice = tuple[tuple[str, str], ...]  # which component was drawn for each letter that has a choice

LETTERS = {"model": "models", "method": "methods", "algorithm": "algorithms", "data": "data"}
CHOICES = tuple(f"{letter}.name" for letter in LETTERS)
AROUND = {"budget": Budget, "engine": Engine}
FORMS = {"--space": "KEY=LOW..HIGH or KEY=A|B|C", "--grid": "KEY=A,B,C"}
EXAMPLES = {"--space": "1e-4..1e-1", "--grid": "0.1,0.01"}
MARKS = {"--space": "|", "--grid": ","}
FIXED = ("source", "valid", "test", "split_seed")  # of data: they decide which rows judge
COMPARED = ("lr", "learning_rate", "weight_decay", "dropout", "widths", "k", "leaves", "min_leaf", "max_features", "l2")
COMPARED += ("ridge",)
BY_SIZE = ("lr", "learning_rate", "weight_decay", "l1", "l2", "ridge", "sigma", "temperature", "rate")
USUAL = {
    "algorithm.momentum": "0.8..0.99",
    "algorithm.schedule": "constant|linear|cosine|onecycle",
    "method.label_smoothing": "0..0.2",
    "method.ridge": "log:1e-3..1e3",
    "method.l1": "log:1e-7..1e-3",
    "method.l2": "log:1e-6..1e-2",
    "method.sigma": "log:0.005..0.5",
    "model.dropout": "0..0.5",
    "model.norm": "null|batch|layer",
    "model.leaves": "log:4..128",
    "model.rounds": "log:30..300",
    "model.max_features": "sqrt|log2|all",
    "model.max_depth": "null|4|8|16",
    "model.metric": "l2|l1|cosine",
    "model.l2": "log:1e-3..1e3",
    "model.ridge": "log:1e-3..1e3",
}


@dataclass(frozen=True)
class Space:
    """Where one setting is searched.

    Attributes:
        path: of the setting in a recipe, for example algorithm.lr.
        distribution: choices are JSON texts, so that lists are choices too.
        start: the draw that is the default; None where it lies outside.
        when: the choices of component under which it is searched; empty where always.
    """

    path: str
    distribution: Distribution
    start: Any = None
    when: frozenset[Choice] = frozenset()

    def draw(self, trial: Any, label: str) -> Any:
        d = self.distribution
        if hasattr(d, "choices"):
            return trial.suggest_categorical(label, d.choices)
        suggest = trial.suggest_int if isinstance(d.low, int) else trial.suggest_float
        return suggest(label, d.low, d.high, log=d.log)

    def value(self, drawn: Any) -> Any:
        """The setting of a draw; numbers to four digits, which is all that matters and easy to read."""
        if hasattr(self.distribution, "choices"):
            return json.loads(drawn)
        if isinstance(drawn, int):
            return drawn
        return min(max(float(f"{drawn:.4g}"), self.distribution.low), self.distribution.high)

    def described(self) -> str:
        d = self.distribution
        if hasattr(d, "choices"):
            return " | ".join(spoken(json.loads(choice)) for choice in d.choices)
        return f"{spoken(d.low)} … {spoken(d.high)}" + (", log" if d.log else "")


def spoken(value: Any) -> str:
    """A setting as users write it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def active(searched: Mapping[str, Space], drawn: Mapping[str, Any]) -> list[str]:
    """The labels that are searched under what was drawn for the choices of component, which come first."""
    chosen = tuple((label, json.loads(drawn[label])) for label in searched if label in drawn and is_choice(label))
    return [label for label, space in searched.items() if not space.when or chosen in space.when]


def is_choice(label: str) -> bool:
    return label in CHOICES


def usual(recipe: Recipe, stream: Stream, only: Sequence[str] | None = None) -> dict[str, str]:
    """What usually matters of a complete recipe, as users would write it: {"algorithm.lr": "log:1e-4..1e-2"}.

    No algorithm where nothing is stepped. `only` restricts to some names of arguments.
    """
    program = equation.assemble(recipe, stream.schema)
    steps = bool(program.method.moves(program.f))
    found: dict[str, str] = {}
    for letter in ("model", "method", *(["algorithm"] if steps else [])):
        for name, default in getattr(recipe, letter).items():
            text = by_default(name, default, stream) or USUAL.get(f"{letter}.{name}")
            if text and (only is None or name in only) and suits(recipe, stream, f"{letter}.{name}", text):
                found[f"{letter}.{name}"] = text
    size = recipe.data.get("batch_size")
    rows = stream.size("train")
    if only is None and steps and recipe.data["name"] == "resident" and isinstance(size, int) and size < rows:
        sizes = [b for b in (size // 2, size, 2 * size, 4 * size) if 2 <= b <= max(size, rows // 4)]
        found |= {"data.batch_size": "|".join(map(str, sizes))} if len(sizes) > 1 else {}
    return found


def suits(recipe: Recipe, stream: Stream, path: str, text: str) -> bool:
    """Whether model and method can be built there: what smooths labels does not suit numbers, for example."""
    if path.startswith("algorithm.") or by_default(path.rpartition(".")[2], (8,), stream):
        return True
    space = parsed(path, text, recipe)
    d = space.distribution
    for drawn in getattr(d, "choices", None) or (d.high,):
        try:
            equation.assemble(with_values(recipe, {path: space.value(drawn)}), stream.schema)
        except UserError:
            return False
    return True


def by_default(name: str, default: Any, stream: Stream) -> str | None:
    """A range around the default, or one that the number of rows bounds."""
    most = max(stream.size("train"), 2)
    if name in ("lr", "learning_rate") and isinstance(default, float):
        return f"log:{default / 10:g}..{default * 10:g}"
    if name in ("widths", "channels") and default:
        shapes = [[max(4, round(w * share)) for w in default] for share in (0.25, 0.5, 1, 2)]
        if name == "widths":  # one layer fewer, one more
            shapes += [list(default[:-1])] * (len(default) > 1) + [[*default, default[-1]]]
        return "|".join(dict.fromkeys(map(json.dumps, shapes)))
    if name == "weight_decay":  # what is 0 by default is coupled to the gradient, and collapses where it is large
        return "log:1e-5..0.3" if default else "log:1e-6..0.01"
    if name == "k":
        return f"log:1..{max(2, min(50, most // 2))}"
    if name == "min_leaf":
        return f"log:1..{max(2, min(100, most // 10))}"
    return None


def spaces(recipe: Recipe, stream: Stream) -> dict[str, Space]:
    """The few settings that a comparison tunes, by path."""
    texts = usual(recipe, stream, COMPARED)
    return {path: parsed(path, text, recipe) for path, text in texts.items()}


# --- what users write -------------------------------------------------------------------------------------------------


def asked(texts: Sequence[str], option: str = "--space") -> dict[str, str]:
    """`algorithm.lr=1e-4..1e-1` → {"algorithm.lr": "1e-4..1e-1"}; a letter alone is a choice of component."""
    found: dict[str, str] = {}
    for text in texts:
        path, separator, spec = text.partition("=")
        if not (separator and path and spec.strip()):
            raise UserError(f"{option} {text!r}", FORMS[option], f"write for example algorithm.lr={EXAMPLES[option]}")
        letter, _, rest = path.partition(".")
        if letter in ("seed", "measures"):
            raise UserError(
                f"{option} {path}: a {letter.removesuffix('s')} is not chosen by its score", "a setting", "leave it out"
            )
        if letter == "data" and rest.split(".")[0] in FIXED:
            raise UserError(f"{option} {path}: it decides which rows judge", "a setting beside them", "leave it out")
        path = f"{letter}.name" if letter in LETTERS and not rest else path
        if path in found:
            raise UserError(f"{option} {path} twice", "each key once", f"join them with {MARKS[option]}")
        if path == "data.name":
            raise UserError(f"{option} data: the rows must stay the same", "a setting of the data", "leave it out")
        found[path] = spec
    return found


def names_of(path: str, spec: str, option: str = "--space") -> list[str]:
    """The components between which `algorithm.name=sgd|adamw` chooses."""
    mark = MARKS[option]
    names = [name.strip() for name in spec.split(mark)]
    for name in names:
        registry.find(LETTERS[path.split(".")[0]], name)
    if len(set(names)) < max(len(names), 2):
        raise UserError(f"{option} {path}={spec}", f"several different names with {mark} between", "name at least two")
    return names


def gather(
    bases: Mapping[Choice, tuple[Recipe, Stream]],
    texts: Mapping[str, str],
    fixed: Sequence[str],
    start: Choice,
    parse: Callable[[str, str, Recipe], Space] | None = None,
) -> dict[str, Space]:
    """What is searched: the choices of component, then for each of them what usually matters, or what was asked for.

    Args:
        bases: the complete recipe under every choice of component, with its stream.
        texts: what was asked for, choices of component aside.
        fixed: paths that the user gave a value.
        start: the choice that is the default; it need not be one of them.
        parse: reads what was asked for, and nothing else is searched; None is the notation of spaces.
    """
    from optuna.distributions import CategoricalDistribution

    found: dict[str, Space] = {}
    for letter in dict(next(iter(bases))):
        names = [json.dumps(name) for name in sorted({dict(choice)[letter] for choice in bases})]
        first = json.dumps(dict(start)[letter])
        found[letter] = Space(letter, CategoricalDistribution(names), first if first in names else None)
    by_space: dict[tuple[str, str], dict[Choice, Space]] = {}
    unknown: dict[str, UserError] = {}
    for choice, (recipe, stream) in bases.items():
        wanted = {} if parse else {path: text for path, text in usual(recipe, stream).items() if path not in fixed}
        for path, text in {**wanted, **texts}.items():
            try:
                space = (parse or parsed)(path, text, recipe)
            except Missing as error:
                unknown[path] = error
                continue
            by_space.setdefault((path, space.described()), {})[choice] = space
    for path, error in unknown.items():
        if all(path != known for known, _ in by_space):
            raise error
    for (path, _), under in by_space.items():
        # a default is that of the default component: others begin elsewhere
        space = under.get(start) or replace(next(iter(under.values())), start=None)
        if len(under) == len(bases):
            found[path] = space
        else:
            label = f"{path} ({', '.join('+'.join(dict(choice).values()) for choice in under)})"
            found[label] = replace(space, when=frozenset(under))
    return found


class Missing(UserError):
    """A recipe has no such setting; another choice of component may."""


def place(recipe: Recipe, path: str, option: str = "--space") -> tuple[registry.Argument, Any]:
    """The argument at a path of a complete recipe, and its value there."""
    letter, *keys = path.split(".")
    if letter not in (*LETTERS, *AROUND) or not keys:
        every = [f"{part}.{key}" for part in (*LETTERS, *AROUND) for key in known(recipe, part)]
        same = [one for one in every if one.split(".")[-1] == path.split(".")[-1]]
        raise Missing(
            f"{option}: unknown key '{path}'", "", f"did you mean '{same[0]}'?" if same else nearest(path, every)
        )
    if letter in AROUND:
        arguments, value = registry.arguments(AROUND[letter]), getattr(recipe, letter)
    else:
        value = getattr(recipe, letter)
        arguments = registry.arguments(registry.load(LETTERS[letter], value["name"]))
    argument: registry.Argument | None = None
    for depth, key in enumerate(keys):
        if argument is not None:
            if not (argument.nested and isinstance(value, Mapping)):
                here = ".".join([letter, *keys[:depth]])
                raise Missing(f"{option} {path}: {here} is {spoken(value)}", "a component", "set the component first")
            arguments = registry.arguments(registry.load(argument.nested, value["name"]))
        if key not in arguments:
            owner = value.get("name", letter) if isinstance(value, Mapping) else letter
            raise Missing(f"{option} {path}: {owner} has no argument '{key}'", "", nearest(key, arguments))
        argument, value = arguments[key], value.get(key) if isinstance(value, Mapping) else None
    assert argument is not None
    return argument, value


def known(recipe: Recipe, letter: str) -> list[str]:
    value = getattr(recipe, letter)
    return [key for key in value if key != "name"] if isinstance(value, Mapping) else []


def parsed(path: str, text: str, recipe: Recipe) -> Space:
    """A space in the notation of users, checked against the type and range of the argument it is about."""
    argument, default = place(recipe, path)
    scale, _, rest = text.partition(":") if text[:4] in ("log:", "lin:") else ("", "", text)
    if ".." in rest:
        return ranged(path, scale, rest, argument, default)
    if scale or "|" not in rest:
        raise UserError(
            f"--space {path}={text}", "LOW..HIGH or A|B|C", f"for one value write {path}={rest} without --space"
        )
    values = [read(path, word) for word in rest.split("|")]
    return of_values(path, text, values, argument, default)


def of_values(
    path: str, text: str, given: Sequence[Any], argument: registry.Argument, default: Any, option: str = "--space"
) -> Space:
    """One of several values that the argument takes."""
    from optuna.distributions import CategoricalDistribution

    values = [checked(argument, value, path) for value in given]
    texts = [json.dumps(value) for value in values]
    if len(set(texts)) < len(texts):
        raise UserError(f"{option} {path}={text}", "different values", "name each once")
    name = default["name"] if isinstance(default, Mapping) else default
    start = next((text for text, value in zip(texts, values, strict=True) if value == name), None)
    return Space(path, CategoricalDistribution(texts), start)


def read(path: str, word: str) -> Any:
    try:
        return parse_yaml(word)
    except yaml.YAMLError:
        raise UserError(f"--space {path}: {word!r} is no YAML", "values with | between", "mend it") from None


def checked(argument: registry.Argument, value: Any, path: str) -> Any:
    """A value that the argument takes; components by name."""
    if argument.nested and value is not None:
        registry.complete(argument.nested, value, path)
        return value
    return registry.check(argument.annotation, value, path)


def ranged(path: str, scale: str, text: str, argument: registry.Argument, default: Any) -> Space:
    from optuna.distributions import FloatDistribution, IntDistribution

    try:
        low, high = (float(end) for end in text.split(".."))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"--space {path}={text}", "two numbers, LOW..HIGH", f"write for example {path}=0.1..10")
    whole = is_whole(argument.annotation)
    low, high = (registry.check(argument.annotation, int(e) if whole and e == int(e) else e, path) for e in (low, high))
    if not low < high:
        raise UserError(f"--space {path}={text} is empty", "LOW < HIGH", "turn it round or widen it")
    if scale == "log" and low <= 0:
        raise UserError(f"--space {path}=log:{text}", "LOW > 0 on a logarithmic scale", "raise LOW or write lin:")
    log = scale == "log" or (scale != "lin" and low > 0 and (high / low >= 100 or path.rpartition(".")[2] in BY_SIZE))
    made = IntDistribution(low, high, log=log) if whole else FloatDistribution(low, high, log=log)
    inside = isinstance(default, int | float) and not isinstance(default, bool) and low <= default <= high
    return Space(path, made, (default if whole else float(default)) if inside else None)


def is_whole(annotation: Any) -> bool:
    """Whether an argument takes whole numbers only."""
    kinds = set(leaves(annotation))
    return int in kinds and float not in kinds


def leaves(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is typing.Annotated:
        return leaves(typing.get_args(annotation)[0])
    inside = typing.get_args(annotation)
    return list(itertools.chain(*map(leaves, inside))) if inside else [annotation]


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some settings replaced, by path."""
    for path, value in values.items():
        if path.startswith("budget."):  # one of the three ways to say it takes the place of the others
            recipe = recipe.replace(budget={path.removeprefix("budget."): value})
        else:
            recipe = recipe.override([f"{path}={json.dumps(value)}"])
    return recipe
