"""Masks: the overlap of every class, and pictures of prediction against truth where it is smallest."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from thetastar.data.resident import resident
from thetastar.errors import UserError
from thetastar.functional.masks import VOID
from thetastar.functional.palettes import painted, palette
from thetastar.outer import wording
from thetastar.protocols import Split
from thetastar.report.page import Section, section
from thetastar.run import Run
from thetastar.star import load

WORST, SIDE, GAP = 8, 150, 4  # images shown; pixels of the longer side of a tile, and between tiles


def masks(runs: Mapping[str, Sequence[Path]], split: Split) -> Section | None:
    """Runs by learner, the best first; None where their target is no mask."""
    every = [path for paths in runs.values() for path in paths]
    target = Run.open(every[0]).read_json("schema.json")["schema"].get("target") or {} if every else {}
    if target.get("kind") != "mask":
        return None
    names = [str(name) for name in target["names"] or range(target["classes"])]
    first = next(iter(runs))
    shown, seen = pictures(runs[first][0], split, len(names))
    return section(
        "masks",
        "Classes and masks",
        heads=["class", "share of train", *map(wording.spoken, runs)],
        rows=by_class(runs, split, names, target.get("counts") or []),
        legend=legend(names, seen),
        pictures=shown,
        learner=wording.spoken(first),
        split=split,
    )


def by_class(
    runs: Mapping[str, Sequence[Path]], split: Split, names: Sequence[str], counts: Sequence[int]
) -> list[list[str]]:
    """A row a class: its share of the pixels trained on, then its IoU by learner, a mean over seeds."""
    values = [[Run.open(path).measures.get(split, {}) for path in paths] for paths in runs.values()]
    table: list[list[str]] = []
    for place, name in enumerate(names):
        share = f"{counts[place] / max(sum(counts), 1):.1%}" if place < len(counts) else "–"
        cells = [[seed.get(f"mean_iou[{place}]") for seed in seeds] for seeds in values]
        known = [[value for value in column if value is not None] for column in cells]
        means = [sum(column) / len(column) if column else None for column in known]
        table.append([name, share, *(wording.amount("mean_iou", mean) for mean in means)])
    return table


def legend(names: Sequence[str], seen: set[int]) -> list[tuple[str, str]]:
    """Colour and name of every class in the pictures."""
    colours = palette(len(names))
    shown = [(colours[place], name) for place, name in enumerate(names) if place in seen]
    void = [(colours[VOID], "void, which counts for nothing")] if VOID in seen else []
    return [("#" + bytes(colour.tolist()).hex(), name) for colour, name in (*shown, *void)]


def pictures(path: Path, split: Split, classes: int) -> tuple[list[dict[str, Any]], set[int]]:
    """Image, truth and prediction of the images of a run with the smallest IoU, and the classes that they show."""
    columns = Run.open(path).columns(split)
    if "row" not in columns or "iou" not in columns:
        return [], set()
    order = np.argsort(columns["iou"], kind="stable")[:WORST]
    rows = columns["row"][order].astype(np.int64)
    try:
        star = load(path)
        stream = star.stream
    except UserError:
        return [], set()  # the page says that the data are not at hand
    if not isinstance(stream, resident):
        return [], set()
    batch = stream.gather(torch.from_numpy(rows).to(stream.device))
    said = star.outputs(batch["input"].cpu(), frozenset({"prediction"}))["prediction"].numpy()
    truth = batch["target"].cpu().numpy()
    images = (batch["input"].cpu().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    strips = [strip(*tiles, classes) for tiles in zip(images, truth, said, strict=True)]
    ious = [wording.amount("image_iou", float(iou)) for iou in columns["iou"][order]]
    found = [
        {"row": int(row), "iou": iou, "picture": picture} for row, iou, picture in zip(rows, ious, strips, strict=True)
    ]
    return found, set(np.unique(truth).tolist()) | set(np.unique(said).tolist())


def strip(image: NDArray[np.uint8], truth: NDArray[Any], said: NDArray[Any], classes: int) -> str:
    """An image, its true mask and the predicted one beside one another, as the data URI of a PNG."""
    height, width = truth.shape
    share = SIDE / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    smooth = Image.Resampling.LANCZOS if share < 1 else Image.Resampling.NEAREST
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] < 3 else image[..., :3]))
    tiles = [picture.convert("RGB").resize(size, smooth), *(painted(one, classes, size) for one in (truth, said))]
    page = Image.new("RGB", (3 * size[0] + 2 * GAP, size[1]), (255, 255, 255))
    for place, tile in enumerate(tiles):
        page.paste(tile.convert("RGB"), (place * (size[0] + GAP), 0))
    stream = io.BytesIO()
    page.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
