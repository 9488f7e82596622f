"""`theta predict`: what a star says of every row of a file, a folder of images or the input stream.

Rows are read, encoded, answered and written part by part, so the file may be larger than memory.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from thetastar import deciding
from thetastar.deciding import Decision
from thetastar.errors import UserError
from thetastar.protocols import Field
from thetastar.star import Star, load
from thetastar.terminal.asking import rows_of
from thetastar.terminal.console import aside
from thetastar.terminal.counting import Counter
from thetastar.terminal.painting import Paintings, is_mask, shares
from thetastar.terminal.rows import Part, Rows
from thetastar.terminal.training import single
from thetastar.terminal.writing import ENDINGS, check_place, sheet


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the options of `theta predict` ask for."""

    probabilities: bool = False
    threshold: float | None = None
    costs: str | None = None
    positive: str | None = None
    keep: Sequence[str] = ()
    out: Path | None = None
    as_json: bool = False


def predict(place: Path, file: str, wanted: Wanted) -> None:
    """Answer every row; what was decided on the way is said on the error stream."""
    star = load(single(place))
    wanted, paintings = painting(star, wanted)
    check_place(wanted.out, wanted.as_json)
    decision = decided(star, wanted)
    rows = rows_of(file, star, wanted.keep)
    console, count = aside(), 0
    opening = [*(decision.said if decision else []), *rows.said]
    with sheet(wanted.out, wanted.as_json) as made, Counter(console, rows, shown=not _mixed(wanted)) as counter:
        for part in rows.parts():
            frame = answers(star, rows, part, count, decision, wanted.probabilities, paintings)
            while opening:  # now, so that a mistake in the first rows is all that is said
                console.print(opening.pop(0), markup=False, style="dim")
            made.write(frame)
            count += len(frame)
            counter.to(count)
    sys.stdout.flush()
    where = f" in {wanted.out}" if wanted.out else ""
    closing = [f"{count:,} row{'s' * (count != 1)} answered{where}"] if wanted.out or not count else []
    closing += [paintings.said] if paintings else []
    for line in [*rows.afterwards(), *closing]:
        console.print(line, markup=False, style="dim")


def painting(star: Star, wanted: Wanted) -> tuple[Wanted, Paintings | None]:
    """Where masks go: into the folder that --out names; the shares of their classes then go to the terminal."""
    target = star.schema.target
    if target is None or not is_mask(target):
        return wanted, None
    if wanted.probabilities or wanted.threshold is not None or wanted.costs is not None:
        got = "--probabilities" if wanted.probabilities else "a threshold"
        raise UserError(f"{got} for a star that answers masks", "--out FOLDER", "leave it out")
    if wanted.out is None or wanted.out.suffix.lower() in ENDINGS:
        return wanted, None
    return replace(wanted, out=None), Paintings(wanted.out, target)


def _mixed(wanted: Wanted) -> bool:
    """Whether answers go to the terminal, where a bar would stand between them."""
    return wanted.out is None and sys.stdout.isatty()


def decided(star: Star, wanted: Wanted) -> Decision | None:
    """The threshold asked for, or the one that costs ask for."""
    if wanted.threshold is not None and wanted.costs is not None:
        raise UserError("--threshold and --costs", "one of them", "leave one out")
    if wanted.costs is not None:
        return deciding.chosen(star, costs(wanted.costs), wanted.positive)
    if wanted.threshold is not None:
        return deciding.given(star, wanted.threshold, wanted.positive)
    if wanted.positive is not None:
        raise UserError("--positive alone", "it beside --threshold or --costs", "add one of them")
    return None


def costs(text: str) -> tuple[float, float]:
    """'1,5' → (1, 5)."""
    try:
        false_positive, false_negative = (float(word) for word in text.split(","))
    except ValueError:
        expected = "two numbers: of a false positive and of a false negative"
        raise UserError(f"--costs {text}", expected, "write for example --costs 1,5") from None
    return false_positive, false_negative


def answers(
    star: Star,
    rows: Rows,
    part: Part,
    first: int,
    decision: Decision | None,
    probabilities: bool,
    paintings: Paintings | None = None,
) -> pd.DataFrame:
    """The answers to a part, beside what tells its rows apart."""
    wants = {"prediction"} | ({"probabilities"} if probabilities or decision else set())
    try:
        out = star.outputs(part.raw, frozenset(wants), first=first)
    except UserError as error:
        raise rows.located(part.raw, error) from None
    for what in sorted(wants - set(out)):
        raise star.speechless(what)
    if paintings:
        paintings.write(out["prediction"], part)
    columns = predictions(out["prediction"], star.schema.target)
    if decision:
        columns = {"prediction": decision(out["probabilities"][:, deciding.place_of(star, decision)].numpy())}
    if probabilities:
        odds = out["probabilities"].numpy()
        columns |= {f"p({name})": odds[:, i] for i, name in enumerate(names_of(star.schema.target, odds.shape[1]))}
    twice = [name for name in part.beside.columns if name in columns]
    if twice:
        raise UserError(f"--keep {twice[0]}", "columns that no answer is called", "rename that column")
    return pd.DataFrame({**{str(name): column for name, column in part.beside.items()}, **columns})


def predictions(values: Tensor, target: Field | None) -> dict[str, Any]:
    """One column of class names or numbers; several answers a row in as many columns; of masks the shares."""
    if target is not None and is_mask(target):
        return shares(values, target)
    x = values.numpy()
    if target is not None and target.kind == "category":
        return {"prediction": np.asarray(target.names)[x] if target.names else x}
    if x.ndim == 1 or (target is not None and target.kind == "number" and not target.shape):
        return {"prediction": x.reshape(len(x))}
    flat = x.reshape(len(x), -1)
    return {f"prediction({name})": flat[:, i] for i, name in enumerate(names_of(target, flat.shape[1]))}


def names_of(target: Field | None, count: int) -> Sequence[Any]:
    """Of classes, labels or outputs; their numbers where they have none."""
    return target.names if target is not None and len(target.names) == count else range(count)
