"""Documentation: pages in Markdown, components from the registry, modules from their docstrings."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from thetastar import __version__
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
        group = nodes.tgroup(cols=4)
        group += [nodes.colspec(colwidth=width) for width in (2, 3, 2, 6)]
        head, body = nodes.thead(), nodes.tbody()
        for number, row in enumerate(rows):
            line = nodes.row()
            for cell in row:
                entry = nodes.entry()
                entry += nodes.paragraph(text=str(cell))
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
    app.connect("autodoc-process-docstring", as_written)
