"""A few lines of HTML for notebooks: every word escaped, no scripts, no styles that reach beyond the fragment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from thetastar.protocols import Field, Schema, Stream


def fragment(
    title: str, lines: Iterable[str] = (), heads: Sequence[str] = (), rows: Iterable[Sequence[str]] = ()
) -> str:
    """A bold title, a line each, then a table where it has rows."""
    parts = [f"<div><strong>{escape(title)}</strong></div>", *(f"<div>{escape(line)}</div>" for line in lines)]
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    if body:
        parts.append(f"<table><thead><tr>{_cells('th', heads)}</tr></thead><tbody>{body}</tbody></table>")
    return f"<div>{''.join(parts)}</div>"


def _cells(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)


def of_measures(title: str, lines: Iterable[str], measures: Mapping[str, Mapping[str, float]]) -> str:
    """One row a split, one column a measure."""
    names = list(dict.fromkeys(name for values in measures.values() for name in values))
    rows = [
        [split, *(f"{values[name]:.4g}" if name in values else "–" for name in names)]
        for split, values in measures.items()
    ]
    return fragment(title, lines, ["split", *names], rows)


def of_stream(name: str, stream: Stream) -> str:
    """What goes in, what comes out, how many examples; then each decision that was taken."""
    splits = [(split, f"{stream.size(split):,}") for split in ("train", "valid", "test")]
    return fragment(f"{name}: {shape_of(stream.schema)}", stream.said, ["split", "examples"], splits)


def shape_of(schema: Schema) -> str:
    """'image 1 × 8 × 8 → classification into 10 classes'."""
    fields = schema.input if isinstance(schema.input, dict) else {"": schema.input}
    inputs = ", ".join(f"{name} {_field(given)}".strip() for name, given in fields.items())
    many = schema.target is not None and schema.target.classes
    return f"{inputs} → {schema.task}" + (f" into {schema.outputs} classes" if many else "")


def _field(given: Field) -> str:
    return " ".join(filter(None, [given.kind, " × ".join(map(str, given.shape))]))
