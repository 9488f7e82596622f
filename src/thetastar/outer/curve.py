"""Error against how many rows are learnt from, or against how wide the model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from thetastar import registry
from thetastar.defaults import completed
from thetastar.errors import UserError
from thetastar.outer.decompose import pool_of
from thetastar.outer.power import FEWEST, Law, fitted
from thetastar.outer.series import Piece, Series, opened, question, ready
from thetastar.outer.statistics import ALPHA, Array, Spread, fixed_spread, interval, is_binary
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.watch import Watch

Over = Literal["size", "width"]
BEYOND = (2, 4)  # times the largest size
SMALLEST = 2  # rows a class of the smallest size that is chosen
LEARNT = 0.01  # share of errors, or of the target's variance, on train below which it counts as interpolated


@dataclass(frozen=True)
class Point:
    """Errors at one size or width: mean on test with its 95% interval, mean on train, mean on test of each seed."""

    at: int
    test: float
    low: float
    high: float
    train: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """What came out.

    Attributes:
        loss: "0-1" or "squared".
        law: of sizes.
        threshold: the smallest width from which on the members fit their training rows; None where none does.
    """

    data: str
    model: str
    over: Over
    loss: str
    seeds: int
    points: Sequence[Point]
    law: Law | None = None
    threshold: int | None = None

    @property
    def beyond(self) -> list[dict[str, Any]]:
        """What the law says of larger sizes."""
        if self.law is None:
            return []
        sizes = [factor * self.points[-1].at for factor in BEYOND]
        said = [(size, self.law(size), self.law.interval(size)) for size in sizes]
        return [{"at": size, "test": value, "low": low, "high": high} for size, value, (low, high) in said]

    @property
    def peak(self) -> Point | None:
        """Where test error rises with width and falls again, beyond the luck of seeds; None where it does not.

        The largest error between the ends must be above one before it and above one after it, by paired t-tests over
        seeds, of logs where errors are squares; as it is held against all others, α is divided by how many there are
        (Bonferroni).
        """
        if self.over != "width":
            return None
        middle = max(range(1, len(self.points) - 1), key=lambda place: self.points[place].test)
        top, sides = self.points[middle], (self.points[:middle], self.points[middle + 1 :])
        return top if all(any(self.above(top, other) for other in side) for side in sides) else None

    def above(self, top: Point, low: Point) -> bool:
        """Whether the error of one width is larger than that of another with every correction."""
        pairs = np.array([top.seeds, low.seeds])
        if self.loss == "squared":
            pairs = np.log(np.maximum(pairs, np.finfo(np.float64).tiny))
        d = pairs[0] - pairs[1]
        return bool(d.mean() > Spread((d.var(ddof=1) / len(d),), (len(d) - 1.0,)).half(ALPHA / len(self.points)))

    def to_json(self) -> dict[str, Any]:
        about = {key: value for key, value in vars(self).items() if key not in ("points", "law")}
        found = {**about, "points": [vars(point) for point in self.points], "sentences": self.sentences()}
        if self.law is not None:
            found |= {"law": self.law.to_json(), "beyond": self.beyond}
        return found | ({"peak": self.peak.at if self.peak else None} if self.over == "width" else {})

    def sentences(self) -> list[str]:
        if self.law is not None:
            return [self.lawful(self.law)]
        said = f"from width {self.threshold} on" if self.threshold is not None else "at no width here"
        lines = [f"The training rows are fitted {said}."]
        if self.peak:
            lines.append(f"Test error rises to a peak at width {self.peak.at} and falls again beyond it.")
        else:
            lines.append("No peak of the test error stands out of the luck of seeds.")
        return lines

    def lawful(self, law: Law) -> str:
        ranges = law.to_json()["intervals"]
        floor, low, high = (self.figure(value) for value in (law.a, *ranges["a"]))
        steepness = f"c = {law.c:.2f} ({ranges['c'][0]:.2f} to {ranges['c'][1]:.2f})"
        return f"error ≈ a + b n^−c with {steepness} and a = {floor} ({low} to {high}) beyond any number of rows."

    def figure(self, value: float) -> str:
        """An error for people: shares in percent."""
        return f"{100 * value:.1f}%" if self.loss == "0-1" else f"{value:.3g}"


def over_sizes(
    recipe: Recipe, sizes: Sequence[int] | None, seeds: int, folder: Path, watch: Watch | None = None
) -> Curve:
    """Train on nested subsets of the training rows, the same for all sizes of a seed, and fit a power law.

    Args:
        sizes: at least 4; None halves the training rows again and again.
        seeds: ≥ 2, each with rows of its own.
    """
    stream = checked(recipe, seeds)
    if stream.spec["keep"] is not None:  # type: ignore[attr-defined]
        raise UserError("--keep without --widths", "all training rows to draw from", "write --sizes N,N,…")
    pool = pool_of(stream)
    sizes = sorted(set(sizes)) if sizes is not None else halved(pool, stream)
    if len(sizes) < FEWEST:
        raise UserError(f"--sizes {', '.join(map(str, sizes))}", f"at least {FEWEST}", "name more of them")
    if sizes[0] < 2 or sizes[-1] > pool:
        got = f"--sizes from {sizes[0]:,} to {sizes[-1]:,}"
        raise UserError(got, f"between 2 and the {pool:,} training rows", "change them")
    return swept(recipe, stream, "size", {size: {"data": {"keep": size}} for size in sizes}, seeds, folder, watch)


def over_widths(recipe: Recipe, widths: Sequence[int], seeds: int, folder: Path, watch: Watch | None = None) -> Curve:
    """Train models of several widths on the same rows.

    Args:
        widths: at least 3; of every hidden layer.
    """
    stream = checked(recipe, seeds)
    widths = sorted(set(widths))
    if len(widths) < 3 or widths[0] < 1:
        raise UserError(f"--widths {', '.join(map(str, widths))}", "at least 3, each ≥ 1", "name more of them")
    changes = {width: {"model": widened(completed(recipe, stream).model, width)} for width in widths}
    return swept(recipe, stream, "width", changes, seeds, folder, watch)


def checked(recipe: Recipe, seeds: int) -> Stream:
    if seeds < 2:
        raise UserError(f"--seeds {seeds}", "at least 2: they tell how far errors vary", "write for example --seeds 5")
    return opened(recipe)


def halved(pool: int, stream: Stream) -> list[int]:
    """All training rows, half of them, and so on, six sizes or as many as leave each class some."""
    target = stream.schema.target
    fewest = max(SMALLEST * (target.classes or 0) if target else 0, 8)
    found = [pool // 2**step for step in range(6)]
    return sorted(size for size in found if size >= fewest)


def widened(model: Mapping[str, Any], width: int) -> dict[str, Any]:
    """What makes every hidden layer of a model that wide."""
    known = registry.arguments(registry.load("models", model["name"]))
    if "widths" in known:
        return {"widths": [width] * max(len(model["widths"] or ()), 1)}
    if "width" in known:
        return {"width": width}
    raise UserError(f"--widths of {model['name']}", "a model with a width", "choose --model mlp")


def swept(
    recipe: Recipe,
    stream: Stream,
    over: Over,
    changes: Mapping[int, Mapping[str, Mapping[str, Any]]],
    seeds: int,
    folder: Path,
    watch: Watch | None,
) -> Curve:
    """Train every change of the recipe with every seed, test, and gather."""
    watch = watch or Watch()
    for line in stream.said:
        watch.say(line)
    watch.say(f"{len(changes)} {over}s × {seeds} seeds")
    whole, common = ready(recipe, stream)
    first = int(common.data["draw_seed"])
    pieces: list[Piece] = []
    for seed in range(seeds):
        for at, change in changes.items():
            data = {**common.data, **change.get("data", {}), "draw_seed": first + seed}
            model = {**whole.model, **change.get("model", {})}
            changed = common.replace(seed=common.seed + seed, data=data, model=model)
            pieces.append(Piece(f"{over}-{at}/seed-{seed}", changed))
    answers = Series(over, folder, pieces, {"recipe": question(whole)}, watch).answers()
    table = np.stack([each.errors for each in answers]).reshape(seeds, len(changes), -1).swapaxes(0, 1)
    train = np.array([each.train for each in answers]).reshape(seeds, len(changes)).mean(0)
    field: Any = stream.schema.target
    loss = "squared" if field.kind == "number" else "0-1"
    points = [point(at, table[place], train[place]) for place, at in enumerate(changes)]
    law = fitted(list(changes), table) if over == "size" else None
    source: Any = getattr(stream, "source", None)
    scale = float(np.square(field.std).sum()) if field.kind == "number" and field.std else 1.0
    threshold = interpolation(points, LEARNT * scale) if over == "width" else None
    return Curve(source.name, whole.model["name"], over, loss, seeds, points, law, threshold)


def point(at: int, errors: Array, train: float) -> Point:
    """Shapes: errors (seeds, examples)."""
    mean, binary = float(errors.mean()), is_binary(errors)
    low, high = interval(mean, fixed_spread(errors, binary), errors.shape[1], binary)
    return Point(at, mean, max(low, 0.0), high, float(train), tuple(errors.mean(1).tolist()))


def interpolation(points: Sequence[Point], limit: float) -> int | None:
    """The smallest width from which on all training errors are below the limit."""
    fitting: int | None = None
    for point in reversed(points):
        if point.train > limit:
            break
        fitting = point.at
    return fitting
