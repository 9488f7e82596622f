"""Name → component. A folder is listed by parsing its files, never by importing them.

The names in a file's `__all__` are the registered names; the keyword-only, annotated signature of each is its
configuration. `complete` checks a spec against it and fills in every default, `build` makes the component.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, cast

from annotated_types import Ge, Gt, Le, Lt

from thetastar.errors import UserError, nearest

Positive = Annotated[float, Gt(0)]
Spec = dict[str, Any]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]

root = Path(__file__).parent
FOLDERS = ("data", "measures", "methods", "models", "algorithms", "algorithms/schedules", "data/augment")


@dataclass(frozen=True)
class Entry:
    """Where a registered name lives; `summary` is the first line of its docstring."""

    name: str
    folder: str
    path: Path
    summary: str


_user_files: dict[str, list[Path]] = {}


def include(path: Path) -> list[Entry]:
    """Register a file from outside the package; a name goes to the folder of its base class or return type."""
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"no file {path}", "a Python file with components", "check the path after --with")
    if path.suffix != ".py":
        raise UserError(f"{path.name} is no Python file", "a file ending in .py with components", "check the path")
    module = _module(path)
    found: list[Entry] = []
    for name in getattr(module, "__all__", []):
        folder = _folder_of(getattr(module, name, None))
        if folder is None:
            raise UserError(
                f"{path.name}: '{name}' is no component",
                "a subclass of Method, Model, Stream, Source, Measure or Algorithm, or a function that returns one",
                "name its base class or return type",
            )
        paths = _user_files.setdefault(folder, [])
        if path not in paths:
            paths.append(path)
        found.append(Entry(name, folder, path, _first_line(inspect.getdoc(getattr(module, name)))))
    if not found:
        raise UserError(f"{path.name} exports nothing", "names in __all__", "add __all__ = ['my_component']")
    entries.cache_clear()
    return found


def _folder_of(component: Any) -> str | None:
    if isinstance(component, type):
        return getattr(component, "folder", None)
    if callable(component):
        return getattr(typing.get_type_hints(component).get("return"), "folder", None)
    return None


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n", 1)[0]


@cache
def _installed() -> dict[str, dict[Path, str]]:
    """Folder → file → module of what other packages offer as entry points, "methods.cubic" = "package.cubic"."""
    found: dict[str, dict[Path, str]] = {}
    for point in importlib.metadata.entry_points(group="thetastar"):
        path = _located(point.module)
        if path:
            found.setdefault(point.name.partition(".")[0], {})[path] = point.module
    return found


def _located(module: str) -> Path | None:
    """The file of a module, found without importing it or the packages around it."""
    names = module.split(".")
    spec = importlib.util.find_spec(names[0])
    for count in range(2, len(names) + 1):
        inside = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join(names[:count]), inside) if inside else None
    return Path(spec.origin) if spec and spec.origin else None


@cache
def entries(folder: str) -> dict[str, Entry]:
    """Registered names of a folder, from `__all__` and docstrings alone. A file that does not parse lists nothing."""
    found: dict[str, Entry] = {}
    files = sorted((root / folder).glob("*.py"))
    for path in [*files, *_installed().get(folder, {}), *_user_files.get(folder, [])]:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # reported by name when it is asked for; see `find`
        exported, docs = _exports(tree)
        for name in exported:
            found[name] = Entry(name, folder, path, _first_line(docs.get(name) or ast.get_docstring(tree)))
    return found


def _exports(tree: ast.Module) -> tuple[list[str], dict[str, str | None]]:
    exported: list[str] = []
    docs: dict[str, str | None] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            exported = [str(name) for name in ast.literal_eval(node.value)]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            docs[node.name] = ast.get_docstring(node)
    return exported, docs


def find(folder: str, name: str) -> Entry:
    """The entry of a name, or a UserError with the nearest one."""
    known = entries(folder)
    if name in known:
        return known[name]
    kind = folder.rsplit("/", 1)[-1]
    kind = kind[:-1] if kind.endswith("s") else kind
    broken = root / folder / f"{name}.py"
    if broken.is_file() and not broken.name.startswith("_"):
        raise UserError(
            f"{kind} file {broken.name} does not parse or exports nothing", "valid Python with __all__", "mend the file"
        )
    raise UserError(
        f"unknown {kind} '{name}'",
        f"one of the {len(known)} in `theta list {folder.rsplit('/', 1)[-1]}`",
        nearest(name, known),
    )


def _module(path: Path) -> Any:
    if path.is_relative_to(root):
        return importlib.import_module("thetastar." + ".".join(path.relative_to(root).with_suffix("").parts))
    offered = next((names[path] for names in _installed().values() if path in names), None)
    if offered:
        return _imported(path, lambda: importlib.import_module(offered))
    name = f"thetastar_user_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _imported(path, lambda: loader.exec_module(module))
    except UserError:
        del sys.modules[name]
        raise
    return module


def _imported(path: Path, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (Exception, SystemExit) as error:  # a script ends the process where it is imported
        raise UserError(
            f"{path.name} does not import: {type(error).__name__}: {error}", "a file that imports", "mend the file"
        ) from error


def load(folder: str, name: str) -> Callable[..., Any]:
    """The component itself, imported now."""
    entry = find(folder, name)
    return getattr(_module(entry.path), name)


@dataclass(frozen=True)
class Argument:
    """One keyword of a component: its annotation, default and, for nested components, the folder they come from."""

    name: str
    annotation: Any
    default: Any
    nested: str | None


_required = inspect.Parameter.empty


@cache
def arguments(component: Callable[..., Any]) -> dict[str, Argument]:
    """The configuration of a component, read off its keyword-only parameters."""
    fields = _has_fields(component)
    target: Any = component.__init__ if isinstance(component, type) and not fields else component
    hints = typing.get_type_hints(target, include_extras=True)
    own = inspect.get_annotations(target) if fields else hints
    found: dict[str, Argument] = {}
    taken = inspect.signature(component).parameters.values()
    for parameter in sorted(taken, key=lambda p: p.name not in own):  # own fields first, then those that siblings share
        if parameter.kind is parameter.KEYWORD_ONLY:
            annotation = hints.get(parameter.name, Any)
            found[parameter.name] = Argument(parameter.name, annotation, parameter.default, _nested(annotation))
    return found


def _nested(annotation: Any) -> str | None:
    """The folder, where an annotation speaks of a component: Method, Schedule | None, tuple[Augment, …]."""
    folder = getattr(annotation, "folder", None)
    if isinstance(folder, str):
        return folder
    return next((inner for part in typing.get_args(annotation) if (inner := _nested(part))), None)


def _has_fields(component: Any) -> bool:
    """Whether the arguments are the fields of a dataclass, which siblings inherit."""
    return isinstance(component, type) and dataclasses.is_dataclass(component)


def documentation(component: Any) -> list[str]:
    """The component's docstring, then those of the classes whose arguments it shares."""
    if not isinstance(component, type):
        return [inspect.getdoc(component) or ""]
    parents = list(inspect.getmro(component))
    if not _has_fields(component):
        parents = parents[: 1 + next(i for i, parent in enumerate(parents) if "__init__" in vars(parent))]
    return [inspect.cleandoc(parent.__doc__) for parent in parents if parent.__doc__]


def as_spec(value: Any, where: str) -> dict[str, Any]:
    """'mlp' or {'name': 'mlp', …} → a spec."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        spec = dict(cast("Mapping[str, Any]", value))
        if isinstance(spec.get("name"), str):
            return spec
    raise UserError(f"{where}: got {value!r}", "a name or {name: …, argument: value}", f"write {where}=NAME")


def complete(folder: str, value: Any, where: str | None = None) -> dict[str, Any]:
    """A spec with types and ranges checked and every default filled in, nested components included."""
    where = where or folder
    spec = as_spec(value, where)
    known = arguments(load(folder, spec["name"]))
    for key in spec:
        if key != "name" and key not in known:
            raise UserError(f"{where}.{key}: {spec['name']} has no argument '{key}'", "", nearest(key, known))
    full: dict[str, Any] = {"name": spec["name"]}
    for argument in known.values():
        given = spec.get(argument.name, argument.default)
        place = f"{where}.{argument.name}"
        if given is _required:
            raise UserError(f"{place} is missing", f"a value for {spec['name']}", f"write {place}=…")
        full[argument.name] = _checked(argument, given, place)
    return full


def _checked(argument: Argument, given: Any, place: str) -> Any:
    if argument.nested:
        if given is None:
            return None
        several = tuple in _origins(argument.annotation)
        if several and isinstance(given, str | Mapping):
            given = [given]
        if several and isinstance(given, list | tuple):
            return [complete(argument.nested, item, place) for item in cast("Sequence[Any]", given)]
        if isinstance(given, str | Mapping | list | int | float):
            return complete(argument.nested, given, place)
        return given  # an object made in Python
    return check(argument.annotation, given, place)


def check(annotation: Any, given: Any, place: str) -> Any:
    """`given` as the annotated type, finite and within its range; else a UserError that names the place."""
    import pydantic

    config = pydantic.ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    try:
        value = pydantic.TypeAdapter(annotation, config=None if _is_model(annotation) else config).validate_python(
            given
        )
    except pydantic.ValidationError as error:
        raise UserError(f"{place}: got {given!r}", describe(annotation), _hint(annotation, given, error)) from None
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value


def _hint(annotation: Any, given: Any, error: Any) -> str:
    """The nearest of several words, else what the check says."""
    choices = [choice for choice in typing.get_args(annotation) if isinstance(choice, str)]
    if typing.get_origin(annotation) is typing.Literal and isinstance(given, str):
        return nearest(given, choices)
    problem: str = error.errors()[0]["msg"]
    return problem[0].lower() + problem[1:]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def describe(annotation: Any) -> str:
    """An annotation in words: 'a number > 0', 'an integer ≥ 1 or none', "one of 'adam', 'sgd'"."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        bounds = [
            f"{sign} {getattr(limit, attribute):g}"
            for limit in args[1:]
            for attribute, sign in _signs
            if hasattr(limit, attribute)
        ]
        return " ".join([describe(args[0]), " and ".join(bounds)]).strip()
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in args)
    if origin in (tuple, list):
        kinds = " / ".join(dict.fromkeys(describe(a) for a in args if a is not Ellipsis))
        count = f"{len(args)}, each " if len(args) > 1 and Ellipsis not in args else ""
        return f"a list of {count}{kinds}"
    if origin is dict:
        return f"a mapping of {describe(args[0])} to {describe(args[1])}"
    if args:
        return " or ".join(describe(a) for a in args)
    words = {float: "a number", int: "an integer", bool: "true or false", str: "a word", type(None): "none"}
    folder = getattr(annotation, "folder", None)
    return (
        f"a component of {folder}"
        if folder
        else words.get(annotation, getattr(annotation, "__name__", str(annotation)))
    )


_signs = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


def build(folder: str, value: Any, *context: Any, where: str | None = None) -> Any:
    """The component of a spec; `context` are its positional arguments (the schema, for models)."""
    return _construct(folder, complete(folder, value, where), context)


def _construct(folder: str, full: Mapping[str, Any], context: tuple[Any, ...]) -> Any:
    component = load(folder, full["name"])
    values: dict[str, Any] = {}
    for argument in arguments(component).values():
        value = full[argument.name]
        if argument.nested and isinstance(value, list):
            value = tuple(_construct(argument.nested, item, ()) for item in cast("list[Spec]", value))
        elif argument.nested == "models" and folder != "models":
            pass  # a method's own models wait for their schema: it gets the complete spec and builds them in `attach`
        elif argument.nested and isinstance(value, Mapping):
            # a nested model is built from the same schema as the one around it
            inner = context if argument.nested == folder else ()
            value = _construct(argument.nested, cast("Spec", value), inner)
        elif isinstance(value, list) and tuple in _origins(argument.annotation):
            value = tuple(cast("list[Any]", value))
        values[argument.name] = value
    made = component(*context, **values)
    made.spec = dict(full)
    return made


def _origins(annotation: Any) -> set[Any]:
    inner = {origin for part in typing.get_args(annotation) for origin in _origins(part)}
    return {typing.get_origin(annotation), annotation, *inner}


def schema_of(folder: str, name: str) -> dict[str, Any]:
    """The JSON schema of a component's arguments, for forms."""
    import pydantic

    fields: dict[str, Any] = {}
    for argument in arguments(load(folder, name)).values():
        default = ... if argument.default is _required else argument.default
        annotation = dict[str, Any] | str | None if argument.nested else argument.annotation
        fields[argument.name] = (annotation, default)
    return pydantic.create_model(name, **fields).model_json_schema()
