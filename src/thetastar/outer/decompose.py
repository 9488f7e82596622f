"""Why a recipe errs: its error taken apart by members that each learnt from another draw of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetastar.errors import UserError
from thetastar.functional.subsets import Draw
from thetastar.outer.parts import FEWEST, Parts, squared, zero_one
from thetastar.outer.series import Answers, Piece, Series, opened, question, ready
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.watch import Watch


@dataclass(frozen=True)
class Terms:
    """How members are made and what is known of the targets.

    Attributes:
        members: ≥ 3.
        draw: which training rows a member learns from: a bootstrap sample, one of disjoint parts, or a subset.
        keep: how many; None is as many as there are, or as many as disjoint parts leave each.
        noise: of the test targets: standard deviation of numbers, share of wrong labels of classes; None is unknown.
    """

    members: int = 16
    draw: Draw = "bootstrap"
    keep: int | None = None
    noise: float | None = None

    def check(self) -> None:
        if self.members < FEWEST:
            raise UserError(f"--members {self.members}", f"at least {FEWEST}", "write for example --members 16")
        if self.draw == "subset" and self.keep is None:
            raise UserError("--draw subset without --keep", "how many rows a member learns from", "add --keep N")
        if self.noise is not None and self.noise < 0:
            raise UserError(f"--noise {self.noise:g}", "a number ≥ 0", "leave it out where it is not known")


@dataclass(frozen=True)
class Decomposition:
    """What came out: one set of parts a loss.

    Attributes:
        rows: that each member learnt from, of `pool` there are.
    """

    data: str
    model: str
    terms: Terms
    rows: int
    pool: int
    parts: Sequence[Parts]

    def to_json(self) -> dict[str, Any]:
        about = {"data": self.data, "model": self.model, **vars(self.terms), "rows": self.rows, "pool": self.pool}
        return {**about, "parts": [each.to_json() for each in self.parts], "sentences": self.sentences()}

    def sentences(self) -> list[str]:
        """What the parts say, where they are known well enough to say it."""
        first = self.parts[0]
        held = "bias" if first.noise_known else "bias, with whatever noise there is,"
        lines: list[str] = []
        if first.larger == "bias":
            lines.append(f"The {held} is the larger part: averaging members or more such rows leaves it as it is.")
        elif first.larger == "variance":
            lines.append("The variance is the larger part: an average of members, or more rows, takes it away.")
        else:
            lines.append("Which of bias and variance is larger is open: more members or test rows would tell.")
        if self.terms.draw != "part":
            lines.append(
                "The members share rows, so they differ less than learners of separate samples: what that hides of the "
                "variance counts as bias. --draw part has no such overlap, with fewer rows each."
            )
        return lines


def decompose(recipe: Recipe, terms: Terms, folder: Path, watch: Watch | None = None) -> Decomposition:
    """Train the members as runs in a folder, open the test split once all are trained, and take their error apart.

    Args:
        recipe: what it leaves out is chosen by the data; member k has its seed + k.
    """
    watch = watch or Watch()
    terms.check()
    stream = opened(recipe)
    check_noise(terms, stream)
    whole, common = ready(recipe, stream)
    pieces = [Piece(f"member-{k}", member(common, stream, terms, k)) for k in range(terms.members)]
    pool = pool_of(stream)
    rows = int(pieces[0].recipe.data["keep"] or pool)
    for line in stream.said:
        watch.say(line)
    watch.say(f"{terms.members} members, each of {drawn(terms.draw)} {rows:,} of {pool:,} training rows")
    asked = {"recipe": question(whole), "draw": terms.draw, "keep": rows}
    answers = Series("decompose", folder, pieces, asked, watch).answers()
    source: Any = getattr(stream, "source", None)
    parts = taken_apart(answers, stream, terms.noise)
    return Decomposition(source.name, whole.model["name"], terms, rows, pool, parts)


def pool_of(stream: Stream) -> int:
    """Training rows there are to draw from."""
    spec: Any = getattr(stream, "spec", {})
    if spec["keep"] is None and spec["draw"] == "subset":
        return stream.size("train")
    raise UserError(
        f"data.draw={spec['draw']}, data.keep={spec['keep']}", "all training rows to draw from", "use --draw and --keep"
    )


def drawn(draw: Draw) -> str:
    return {"bootstrap": "a bootstrap sample of", "part": "a part of its own,", "subset": "a random subset,"}[draw]


def member(recipe: Recipe, stream: Stream, terms: Terms, k: int) -> Recipe:
    """The recipe of member k: a seed and a draw of its own."""
    pool = pool_of(stream)
    keep = terms.keep or (pool // terms.members if terms.draw == "part" else None)
    spec: Any = {**recipe.data, "draw": terms.draw, "keep": keep, "draw_seed": recipe.data["draw_seed"] + k}
    if terms.draw != "bootstrap" and keep is not None and keep * (terms.members if terms.draw == "part" else 1) > pool:
        got = f"{terms.members} parts of {keep:,} rows" if terms.draw == "part" else f"--keep {keep:,}"
        raise UserError(got, f"at most the {pool:,} training rows", "lower --keep or --members")
    return recipe.replace(seed=recipe.seed + k, data=spec)


def check_noise(terms: Terms, stream: Stream) -> None:
    target = stream.schema.target
    assert target is not None
    if terms.noise is not None and target.kind == "category":
        most = 1 - 1 / (target.classes or 2)
        if terms.noise >= most:
            got = f"--noise {terms.noise:g} of {target.classes} classes"
            raise UserError(got, f"a share of wrong labels below {most:.2g}", "lower it")


def taken_apart(answers: Sequence[Answers], stream: Stream, noise: float | None) -> list[Parts]:
    """Squared error of numbers; 0-1 loss of classes, and Brier's score where members say probabilities."""
    target, field = answers[0].target, stream.schema.target
    assert field is not None
    if field.kind == "number":
        said = np.stack([each.said for each in answers]).astype(np.float64)
        variance = None if noise is None else noise**2 * said.shape[-1]
        return [squared(said, target.astype(np.float64), variance)]
    classes = int(field.classes or 0)
    labels = np.stack([each.said for each in answers]).astype(np.int64)
    found = [zero_one(labels, target.astype(np.int64), classes, noise)]
    if all(each.probabilities is not None for each in answers):
        shares = np.stack([each.probabilities for each in answers if each.probabilities is not None])
        found.append(squared(shares.astype(np.float64), np.eye(classes)[target.astype(np.int64)], None, "brier"))
    return found
