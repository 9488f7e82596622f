"""Attention on a sentence of four words: queries, keys, values, scores, weights, output."""

from __future__ import annotations

import torch
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor

from thetastar.explain.drawing import bold, sheet, text
from thetastar.explain.settings import chosen, offers
from thetastar.explain.showing import Shown
from thetastar.functional.attention import attention, attention_in_steps, causal
from thetastar.functional.differentiation import deviation

TOKENS = ("the", "cat", "sat", "down")
WORDS = {"mask": ("none", "causal")}
X = [[1.0, 0.0, 0.5, 0.0], [0.0, 2.0, 0.0, 1.0], [0.5, 1.0, -1.0, 0.0], [-1.0, 0.0, 1.0, 1.0]]  # (tokens, width)
WEIGHTS = {
    "W_Q": [[1.0, 0.0], [0.0, 1.0], [0.5, -0.5], [1.0, 1.0]],  # (width, d)
    "W_K": [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.5], [0.5, 0.0]],
    "W_V": [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [-0.5, 1.0]],
}
SQUARE = ("S", "A")  # a row and a column for every token
CELL, ROW, LABEL, GAP = 50.0, 22.0, 42.0, 20.0  # pixels: of an entry, before a row, between matrices
RIGHT, NARROW, LETTERS = 240.0, 372.0, 56  # pixels: of a second matrix, of a phone; letters of a line there


def show(arguments: list[str]) -> Shown:
    """`[mask=none]`."""
    words, _ = chosen("attention", arguments, WORDS, {})
    x = torch.tensor(X, dtype=torch.float64)
    maps = {name: torch.tensor(entries, dtype=torch.float64) for name, entries in WEIGHTS.items()}
    query, key, value = (x @ weight for weight in maps.values())
    allowed = causal(len(X)) if words["mask"] == "causal" else None
    found = attention_in_steps(query, key, value, allowed)
    apart = deviation(found.output, attention(query, key, value, allowed))
    steps = {
        "X": ("X: four words as vectors", x),
        "Q": ("Q = X W_Q: what each word asks", query),
        "K": ("K = X W_K: what each word answers to", key),
        "V": ("V = X W_V: what each word hands on", value),
        "S": ("S = Q Kᵀ / √2: how well the key of each column answers the query of each row", found.scores),
        "A": ("A = softmax of each row of S: shares that sum to one", found.weights),
        "Y": ("Y = A V: each word's mixture of what all hand on", found.output),
    }
    said = f"One head of d = 2 on {len(X)} tokens of width {len(X[0])}" + (
        "; a word sees itself and those before it\n" if allowed is not None else "\n"
    )
    parts: list[RenderableType] = [Text(said)]
    for name, (said, matrix) in steps.items():
        parts.append(Text(f"{said}\n{grid(matrix, TOKENS if name in SQUARE else ())}\n"))
        if name == "X":
            parts += [Text(f"{name} = {matrix_in_line(weight)}") for name, weight in maps.items()]
            parts.append(Text(""))
    parts.append(Text(first_row(query, key, value, found.scores, found.weights)))
    end = f"\nLargest deviation from torch's fused kernel, relative to its largest entry: {apart:.0e}."
    parts.append(Text(f"{end}\n{offers(WORDS, {})}"))
    data = {
        "mask": words["mask"],
        "tokens": list(TOKENS),
        **{name: matrix.tolist() for name, (_, matrix) in steps.items()},
        **{name: weight.tolist() for name, weight in maps.items()},
        "deviation": apart,
    }
    label = f"Attention among four words, {'a word sees those before it' if allowed is not None else 'each sees all'}"
    return Shown(parts, data, drawn(steps, maps, label), label)


def first_row(query: Tensor, key: Tensor, value: Tensor, scores: Tensor, weights: Tensor) -> str:
    """The second word's row in full, so that each number can be recomputed by hand."""
    q, word, k, i = query[1].tolist(), TOKENS[1], key[0].tolist(), 1
    product = " + ".join(f"{a:g}·{b:g}" for a, b in zip(q, k, strict=True)).replace("-", "−")
    mixed = " + ".join(f"{w:.3f}·{v:g}" for w, v in zip(weights[i].tolist(), value[:, 0].tolist(), strict=True))
    total = (weights[i] * value[:, 0]).sum().item()
    return (
        f"By hand, '{word}' asks '{TOKENS[0]}': ({product}) / √2 = {number(scores[i, 0].item())}\n"
        f"the first entry of its output: {mixed.replace('-', '−')} = {number(total)}"
    )


def number(value: float) -> str:
    return "−∞" if value == float("-inf") else f"{value + 0.0:.3f}".replace("-", "−")


def matrix_in_line(matrix: Tensor) -> str:
    """[1 0; 0 1]"""
    rows = "; ".join(" ".join(f"{entry:g}" for entry in row) for row in matrix.tolist())
    return f"[{rows}]".replace("-", "−")


def grid(matrix: Tensor, columns: tuple[str, ...]) -> str:
    head = [" " * 6 + " ".join(f"{name:>7}" for name in columns)] if columns else []
    rows = zip(TOKENS, matrix.tolist(), strict=True)
    return "\n".join([*head, *(f"{name:>6}" + " ".join(f"{number(v):>7}" for v in row) for name, row in rows)])


def drawn(steps: dict[str, tuple[str, Tensor]], maps: dict[str, Tensor], label: str) -> str:
    """Matrices one below another, as wide as a phone; the darker a cell, the larger its entry."""
    body: list[str] = []
    y = 12.0
    for name, (words, matrix) in steps.items():
        title, _, rest = words.partition(": ")
        lines = wrapped(rest, LETTERS)
        body.append(bold(8, y + 10, title))
        body += [text(8, y + 24 + 14 * i, line, "soft", 10) for i, line in enumerate(lines)]
        y += 18 + 14 * len(lines)
        if name in SQUARE:
            body += [text(LABEL + CELL * (j + 0.5), y + 8, TOKENS[j], "soft", 10, "middle") for j in range(len(TOKENS))]
            y += 14
        body += [text(LABEL - 6, y + ROW * (i + 0.5) + 4, word, "soft", 10, "end") for i, word in enumerate(TOKENS)]
        body += cells(matrix, LABEL, y)
        if f"W_{name}" in maps:
            body.append(text(RIGHT - 8, y + 2 * ROW + 4, f"W_{name}", "soft", 10, "end"))
            body += cells(maps[f"W_{name}"], RIGHT, y)
        y += ROW * len(matrix) + GAP
    return sheet("".join(body), NARROW, y, label)


def cells(matrix: Tensor, left: float, top: float) -> list[str]:
    """Numbers in rows, each on a ground whose strength is its place between the least and the largest."""
    finite = matrix[matrix.isfinite()]
    low, high = finite.min().item(), finite.max().item()
    entries = [(i, j, entry) for i, row in enumerate(matrix.tolist()) for j, entry in enumerate(row)]
    return [part for i, j, e in entries for part in cell(left + CELL * j, top + ROW * i, e, low, high)]


def cell(x: float, y: float, entry: float, low: float, high: float) -> list[str]:
    share = 0.0 if entry == float("-inf") else 0.5 * (entry - low) / max(high - low, 1e-12)
    place = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{CELL - 2:.0f}" height="{ROW - 2:.0f}"'
    ground = f'<rect {place} rx="2" class="card"/><rect {place} rx="2" class="accent" opacity="{share:.3f}"/>'
    return [ground, text(x + CELL / 2, y + ROW / 2 + 4, number(entry), "ink", 10.5, "middle")]


def wrapped(line: str, most: int) -> list[str]:
    """Lines of at most so many letters."""
    found: list[str] = []
    for word in line.split():
        if found and len(found[-1]) + len(word) + 1 <= most:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found
