"""Augmentation as ratios: crop and flip to a plain gather of the batch, every other change to one bilinear resampling.

    python -m benchmarks.augmentation [--repeats 41] [--threads N] [--out benchmarks/results/augmentation.json]

All take the same float images in channels-last memory, as training batches have them, and take turns in one process,
so that what disturbs the machine disturbs all of them; medians are compared. "pixels" is `data[index, row, column]` of
NHWC memory, the gather by which one would crop; "images" is `data[index]` of whole images. A resampling is
`grid_sample` with its grid given, which leaves the result in NCHW memory; ours includes the draws, the grid and the way
back to channels last; "mapped" is `grid_sample` with the grid that `affine_grid` makes of a matrix an image. Changes
with a probability are made on every example; colour is four changes, and each of them alone; of rand_augment one is
made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.turns import Line
from thetastar import registry
from thetastar.data.resident import augmented
from thetastar.hardware import provenance

ROWS = 4096
SIZES = ((32, 128), (32, 512), (128, 32))  # side of the images, images a batch
FAST, SLOW = 0.5, 3.0  # the bars: crop and flip to a gather, a change to a resampling
Act = Callable[[], Any]


def batch_of(data: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """A training batch in channels-last memory, and its row numbers."""
    index = torch.randint(len(data), (count,), generator=torch.Generator().manual_seed(0))
    return data[index].permute(0, 3, 1, 2), index


def ours(x: Tensor, *specs: Any) -> Act:
    changes = tuple(registry.build("data/augment", spec) for spec in specs)
    return lambda: augmented(x, changes, 0, "speed")


def medians(acts: dict[str, Act], repeats: int) -> dict[str, float]:
    """Seconds of each, taking turns in a rotating order."""
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    names = list(acts)
    for act in acts.values():
        act()
        act()
    for turn in range(repeats):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            began = time.perf_counter()
            acts[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gathers(side: int, count: int, repeats: int) -> dict[str, Any]:
    """Speed of crop and flip relative to a gather of the same batch."""
    data = torch.rand(ROWS, side, side, 3)
    x, index = batch_of(data, count)
    row = torch.arange(side)[:, None].expand(count, side, 1)
    column = torch.arange(side).expand(count, 1, side)
    acts = {
        "ours": ours(x, "crop", "flip"),
        "images": lambda: data[index],
        "pixels": lambda: data[index[:, None, None], row, column],
    }
    taken = medians(acts, repeats)
    ratios = {f"to_{name}": round(taken[name] / taken["ours"], 3) for name in ("images", "pixels")}
    speeds = {f"{name}_per_second": round(count / taken[name]) for name in acts}
    return {"change": "crop, flip", "side": side, "batch": count, **ratios, **speeds}


def changes() -> dict[str, Any]:
    """Every change, made on all examples."""
    found: dict[str, Any] = {}
    for name in registry.entries("data/augment"):
        arguments = registry.arguments(registry.load("data/augment", name))
        found[name] = {"name": name, **({"p": 1.0} if "p" in arguments else {})}
    found["rand_augment"]["n"] = 1
    for kind in ("brightness", "contrast", "saturation", "hue"):
        none = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
        found[f"colour: {kind} alone"] = {"name": "colour", **none, kind: 0.4}
    return found


def resamplings(side: int, count: int, repeats: int) -> list[dict[str, Any]]:
    """Cost of every change relative to one resampling of the same batch."""
    x, _ = batch_of(torch.rand(ROWS if side < 64 else count, side, side, 3), count)
    matrix = torch.eye(2, 3).expand(count, 2, 3) + 0.1 * torch.rand(count, 2, 3)
    size = list(x.shape)
    grid = F.affine_grid(matrix, size, align_corners=False)
    acts: dict[str, Act] = {
        "resampling": lambda: F.grid_sample(x, grid, align_corners=False),
        "mapped": lambda: F.grid_sample(x, F.affine_grid(matrix, size, align_corners=False), align_corners=False),
    }
    acts |= {name: ours(x, spec) for name, spec in changes().items()}
    taken = medians(acts, repeats)
    rows: list[dict[str, Any]] = []
    for name in changes():
        ratios = {f"to_{other}": round(taken[name] / taken[other], 3) for other in ("resampling", "mapped")}
        within = taken[name] <= SLOW * (4 if name == "colour" else 1) * taken["resampling"]
        rows.append({"change": name, "side": side, "batch": count, **ratios, "within": within})
    return rows


def lines(found: Mapping[str, Any]) -> list[Line]:
    """For the table of all ratios; a change's is the share of its cost that a resampling is."""
    told: list[Line] = []
    for row in (*found["gather"], *found["resampling"]):
        case = f"{row['side']}² × {row['batch']}"
        if "to_pixels" in row:
            told.append(Line(case, row["change"], "gather of pixels", row["to_pixels"], bar=FAST))
        else:
            bar = 1 / SLOW / (4 if row["change"] == "colour" else 1)
            told.append(Line(case, row["change"], "resampling", 1 / row["to_resampling"], bar=bar))
    return told


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    fast = [gathers(side, count, options.repeats) for side, count in SIZES[:2]]
    for row in fast:
        told = "{change} of {side}² × {batch}: {to_pixels:.2f} × pixels, {to_images:.2f} × images (bar {bar})"
        print(told.format(bar=FAST, **row))
        speeds = {name: f"{row[f'{name}_per_second']:,}" for name in ("ours", "pixels", "images")}
        print("images a second: " + ", ".join(f"{name} {speed}" for name, speed in speeds.items()))
    slow = [row for side, count in SIZES for row in resamplings(side, count, options.repeats)]
    for row in slow:
        told = "{change:24s} {side}² × {batch}: {to_resampling:5.2f} × resampling, {to_mapped:5.2f} × mapped"
        print(told.format(**row) + ("" if row["within"] else f"  above {SLOW:g} a change"))
    if options.out:
        found = {"bars": {"gather": FAST, "resampling": SLOW}, "gather": fast, "resampling": slow}
        found |= {"threads": options.threads, "provenance": provenance()}
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
