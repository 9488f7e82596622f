"""What there is to choose from: listed without importing it, shown with its equation, arguments, shapes and source."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.registry import Entry
from thetastar.terminal.console import table
from thetastar.terminal.kinds import KINDS
from thetastar.terminal.words import shipped

SECTIONS = ("Args", "Attributes", "Shapes", "Returns", "Raises", "Source")


def listing(kind: str | None) -> dict[str, list[Entry]]:
    """Entries by folder: all folders, or the one that is named."""
    if kind is not None and kind not in KINDS:
        raise UserError(f"unknown kind '{kind}'", f"one of {', '.join(KINDS)}", nearest(kind, KINDS))
    folders = [KINDS[kind]] if kind else list(KINDS.values())
    return {folder: sorted(entries(folder), key=lambda entry: entry.name) for folder in folders}


def entries(folder: str) -> list[Entry]:
    if folder != "recipes":
        return list(registry.entries(folder).values())
    return [Entry(name, folder, path, _comment(path)) for name, path in shipped().items()]


def _comment(recipe: Path) -> str:
    """The first line of a recipe says what it is for; of a set, what it holds."""
    if recipe.is_dir():
        return f"All of {', '.join(path.stem for path in sorted(recipe.glob('*.yaml')))}, for theta compare --recipes"
    return recipe.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def listing_values(found: dict[str, list[Entry]]) -> dict[str, list[dict[str, str]]]:
    return {
        folder: [{"name": entry.name, "summary": entry.summary} for entry in inside] for folder, inside in found.items()
    }


def listing_table(found: dict[str, list[Entry]]) -> RenderableType:
    """One table a folder: names and first lines."""
    parts: list[RenderableType] = []
    for folder, entries in found.items():
        made = table(folder, "")
        for entry in entries:
            made.add_row(entry.name, Text(entry.summary))
        parts.append(Padding(made, (0, 0, 1, 0)))
    return Group(*parts)


def where(name: str) -> list[str]:
    """Folders that have the name."""
    found = [folder for folder in registry.FOLDERS if name in registry.entries(folder)]
    if not found:
        every = {known for folder in registry.FOLDERS for known in registry.entries(folder)}
        raise UserError(f"nothing is called '{name}'", "a name in `theta list`", nearest(name, every))
    return found


def described(folder: str, name: str) -> dict[str, Any]:
    """A component as JSON values: the parts of its docstring and its arguments."""
    component = registry.load(folder, name)
    own, *others = [sections(doc) for doc in registry.documentation(component)]
    family = next((part for part in others if "Args" in part), {})  # of a variant: what it shares with its siblings
    shared = "\n\n".join(family[key] for key in ("equation", "more") if family.get(key))
    text = {**family, **own, "more": own["more"] or shared}
    notes: dict[str, str] = {}
    for part in reversed([own, *others]):
        notes |= entries_of(part.get("Args", ""))
    arguments = [
        {
            "name": argument.name,
            "type": registry.describe(argument.annotation),
            "required": argument.default is inspect.Parameter.empty,
            "default": None if argument.default is inspect.Parameter.empty else argument.default,
            "meaning": notes.get(argument.name, ""),
        }
        for argument in registry.arguments(component).values()
    ]
    entry = registry.find(folder, name)
    return {
        "name": name,
        "folder": folder,
        "equation": text["equation"],
        "more": text["more"],
        "arguments": arguments,
        **{key.lower(): " ".join(text[key].split()) for key in ("Shapes", "Source") if key in text},
        "file": str(entry.path),
    }


def sections(doc: str) -> dict[str, str]:
    """A docstring's first paragraph ("equation"), what follows it ("more"), and its titled sections."""
    pattern = re.compile(rf"^({'|'.join(SECTIONS)}):[ ]?", re.MULTILINE)
    pieces = pattern.split(doc)
    first, _, rest = pieces[0].strip().partition("\n\n")
    found = {"equation": first.strip(), "more": rest.strip()}
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        found[title] = inspect.cleandoc(body)
    return found


def entries_of(section: str) -> dict[str, str]:
    """`name, other: meaning` lines, with their indented continuations, by name."""
    found: dict[str, str] = {}
    current: list[str] = []
    for line in section.splitlines():
        head = re.match(r"^([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*):\s*(.*)", line)
        if head:
            current = head[1].split(", ")
            found |= dict.fromkeys(current, head[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in current}
    return found


def shown(component: dict[str, Any]) -> RenderableType:
    """A component for people."""
    parts: list[RenderableType] = [Text(f"{component['name']}  ({component['folder']})", style="bold")]
    parts += [Padding(Text(component[key]), (1, 0, 0, 2)) for key in ("equation", "more") if component[key]]
    if component["arguments"]:
        made = table("argument", "type", "default", "meaning")
        for argument in component["arguments"]:
            default = "required" if argument["required"] else plain(argument["default"])
            made.add_row(argument["name"], argument["type"], default, Text(argument["meaning"]))
        parts.append(Padding(made, (1, 0, 0, 2)))
    parts += [
        Padding(Text(f"{key}: {component[key.lower()]}"), (1, 0, 0, 2))
        for key in ("Shapes", "Source")
        if key.lower() in component
    ]
    parts.append(Padding(Text(f"File: {_short(component['file'])}"), (1, 0, 0, 2)))
    return Group(*parts)


def plain(value: Any) -> str:
    words = {None: "none", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _short(path: str) -> str:
    inside = Path(path)
    return f"thetastar/{inside.relative_to(registry.root)}" if inside.is_relative_to(registry.root) else path
