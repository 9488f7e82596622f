"""Documentation: pages in Markdown, components from the registry, modules from their docstrings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from typer.main import get_command

from thetastar import __version__, cli, registry
from thetastar.terminal import components

project = "thetastar"
author = "The thetastar authors"
copyright = author
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"thetastar {release}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_typehints = "none"  # signatures carry them; nothing is said twice


class Components(Directive):
    """Every component of a folder, with its equation, arguments, shapes and source: `{components} methods`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (kind,) = self.arguments
        ((folder, entries),) = components.listing(kind).items()
        return [self.section(components.described(folder, entry.name)) for entry in entries]

    def section(self, component: dict[str, Any]) -> nodes.section:
        made = nodes.section(ids=[nodes.make_id(f"{component['folder']}-{component['name']}")])
        made += nodes.title(text=component["name"])
        for key in ("equation", "more"):
            if component[key]:
                made += nodes.literal_block(component[key], component[key], language="text")
        if component["arguments"]:
            made += self.arguments_table(component["arguments"])
        for key in ("shapes", "source"):
            if key in component:
                made += nodes.paragraph(text=f"{key.capitalize()}: {component[key]}")
        return made

    def arguments_table(self, arguments: list[dict[str, Any]]) -> nodes.table:
        rows = [("argument", "type", "default", "meaning")]
        for argument in arguments:
            default = "required" if argument["required"] else components.plain(argument["default"])
            rows.append((argument["name"], argument["type"], default, argument["meaning"]))
        return table(rows, (2, 3, 2, 6))


class Keys(Directive):
    """Names of parameters beside those of the usual checkpoints, from the models' `keys`: `{keys}`."""

    def run(self) -> list[nodes.Node]:
        families: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for name in sorted(registry.entries("models")):
            keys = getattr(registry.load("models", name), "keys", {})
            if keys:
                families.setdefault(tuple(sorted(keys.items())), []).append(name)
        rows = [("models", "name here", "name in the checkpoint")]
        for keys, names in sorted(families.items(), key=lambda family: family[1]):
            first = (", ".join(names), *[""] * (len(keys) - 1))
            rows += [(models, f"{ours}…", f"{theirs}…") for models, (ours, theirs) in zip(first, keys, strict=True)]
        return [table(rows, (5, 3, 4))]


class Options(Directive):
    """Arguments and options of a verb, from the command line itself: `{options} compare`, `{options} explain topic`."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        command: Any = get_command(cli.app)
        for word in self.arguments:
            command = command.commands[word]
        rows = [("option", "default", "meaning"), *(option(given) for given in command.params)]
        return [table(rows, (4, 2, 7))]


def option(given: Any) -> tuple[str, str, str]:
    """(how it is written, its default, what it means)."""
    value = given.metavar or given.name.upper()
    if given.param_type_name == "option":
        names = ", ".join([*given.opts, *given.secondary_opts])
        value = names if given.is_flag else f"{names} {value}"
    default = "required" if given.required else "" if given.default in (None, False) else str(given.default)
    return value, default, given.help or ""


def table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> nodes.table:
    """The first row is the head; the first column is code."""
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head, body = nodes.thead(), nodes.tbody()
    for number, row in enumerate(rows):
        line = nodes.row()
        for place, cell in enumerate(row):
            entry = nodes.entry()
            paragraph = nodes.paragraph()
            paragraph += nodes.literal(text=str(cell)) if number and not place else nodes.Text(str(cell))
            entry += paragraph
            line += entry
        (body if number else head).append(line)
    group += [head, body]
    made = nodes.table()
    made += group
    return made


def as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings hold equations, so they are shown as they are written, not read as markup."""
    if any(lines):
        lines[:] = ["::", "", *(f"   {line}" for line in lines), ""]


def setup(app: Any) -> None:
    app.add_directive("components", Components)
    app.add_directive("keys", Keys)
    app.add_directive("options", Options)
    app.connect("autodoc-process-docstring", as_written)
