"""`theta explain run`: finished runs, looked at from inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thetastar.errors import UserError, nearest
from thetastar.terminal.console import aside

if TYPE_CHECKING:
    from thetastar.explain.showing import Shown

WHAT = ("landscape", "critical", "vit", "attention")
IMAGES, MOST = 6, 12  # of valid, where none is named; drawn at all
GRID = 25  # places along each axis of a landscape


@dataclass(frozen=True)
class Asked:
    """The words of the command."""

    places: Sequence[Path]
    what: str | None
    examples: int | None
    grid: int | None


def explained(asked: Asked) -> Shown:
    """What is asked for, computed under a progress bar."""
    expected = f"one of {', '.join(WHAT)}"
    if asked.what is None:
        do = f"write for example theta explain run {asked.places[0]} critical"
        raise UserError("theta explain run without WHAT", expected, do)
    if asked.what not in WHAT:
        raise UserError(f"theta explain run: unknown '{asked.what}'", expected, nearest(asked.what, WHAT))
    if asked.what == "vit":
        return looked(asked)
    if asked.what == "attention":
        return attended(asked)
    if asked.what == "critical" and len(asked.places) > 1:
        raise UserError(f"critical of {len(asked.places)} runs", "one run", "ask for one after the other")
    if asked.what == "critical" and asked.grid is not None:
        raise UserError("--grid with critical", "it with landscape", "leave --grid out")
    from thetastar.explain import critical, landscape
    from thetastar.hardware import choose_device
    from thetastar.star import load
    from thetastar.terminal.progress import Bar
    from thetastar.terminal.training import single

    stars = [load(single(place)) for place in asked.places]
    for star in stars:
        star.program.to(choose_device(star.recipe.engine["device"]))
    with Bar(aside(), asked.what, counts=False) as bar:
        if asked.what == "critical":
            return critical.show(stars[0], asked.examples, bar)
        runs = dict(zip(named(asked.places), stars, strict=True))
        return landscape.show(runs, asked.examples, asked.grid or GRID, bar)


def looked(asked: Asked) -> Shown:
    """A run of a Vision Transformer, and what it is shown: the last word, one image."""
    run, *images = asked.places
    bare(asked, "a run and one image")
    if len(images) != 1:
        got = f"vit with {len(images)} images" if images else "vit without an image"
        raise UserError(got, "a run and one image", f"write theta explain run {run} vit IMAGE")
    from thetastar.explain import vit
    from thetastar.star import load
    from thetastar.terminal.asking import rows_of
    from thetastar.terminal.training import single

    star = load(single(run))
    vit.check(star)
    if images[0].is_dir():
        raise UserError(f"vit with the folder {images[0]}", "one image", "choose one in it")
    part = next(rows_of(str(images[0]), star, ()).parts())
    if len(part.raw) != 1:
        raise UserError(f"{len(part.raw):,} images in {images[0]}", "one image", "choose one of them")
    return vit.show(star, part.raw, images[0].name)


def attended(asked: Asked) -> Shown:
    """A run of a Vision Transformer on images: those named, or some of valid."""
    run, *images = asked.places
    bare(asked, "a run, and images if you like")
    import torch

    from thetastar.explain import class_attention, vit
    from thetastar.outer.embedding import some_of
    from thetastar.star import load
    from thetastar.terminal.asking import rows_of
    from thetastar.terminal.training import single

    star = load(single(run))
    vit.check(star, "attention")
    if not images:
        batch = some_of(star.stream, "valid", IMAGES)
        if not len(batch["input"]):
            got = f"{run} without a valid split"
            raise UserError(got, "images to look at", f"write theta explain run {run} attention IMAGE")
        return class_attention.show(star, batch["input"], [f"row {row}" for row in batch["index"].tolist()])
    assert star.source is not None
    raws = [next(rows_of(str(image), star, ()).parts()) for image in images]
    x = torch.cat([star.source.transform(part.raw)["input"] for part in raws])
    names = [str(name) for part in raws for name in part.beside.iloc[:, 0]]
    return class_attention.show(star, x[:MOST], [Path(name).name for name in names[:MOST]])


def bare(asked: Asked, expected: str) -> None:
    """Refuse options that say nothing of images."""
    for option, value in (("--examples", asked.examples), ("--grid", asked.grid)):
        if value is not None:
            raise UserError(f"{option} with {asked.what}", expected, f"leave {option} out")


def named(places: Sequence[Path]) -> list[str]:
    """The folders' own names, or whole paths where two are the same."""
    short, whole = [place.name for place in places], [str(place) for place in places]
    if len(set(whole)) < len(whole):
        raise UserError(f"{max(whole, key=whole.count)} twice", "every run once", "leave one out")
    return short if len(set(short)) == len(short) else whole
