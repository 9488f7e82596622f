"""Training on compressed images beside DataLoaders that decode and augment them one by one.

    python -m benchmarks.decoding [--batch 128] [--repeats 9] [--out FILE]

Ours opens a Parquet file of JPEG images once, holds them as bytes, and crops and flips whole batches; what opening took
is told beside. The loaders read the same bytes in memory, decode each with Pillow, crop and flip it, and collate: in
the process of the training, and in as many workers as there are cores. A trainer around such a loader is no faster than
the bare loop here.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks import loops
from benchmarks.tasks import alike, first_layer, ours, ready
from benchmarks.throughput import watched
from benchmarks.turns import Case, Pair, in_turns, said, written
from thetastar import equation, registry
from thetastar.hardware import choose_device, provenance
from thetastar.recipe import Recipe

ROWS, SIDE, PAD = 10_000, 32, 4
BAR = 5.0
STEPS = {"mlp": 30, "cnn": 20}


def jpegs(rows: int) -> tuple[list[bytes], list[int]]:
    """Coloured noise, smooth enough to compress as photographs do, and labels."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (rows, SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    blobs: list[bytes] = []
    for pixels in coarse:
        stream = io.BytesIO()
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        blobs.append(stream.getvalue())
    return blobs, random.integers(0, 10, rows).tolist()


def saved(place: Path, blobs: Sequence[bytes], labels: Sequence[int], group: int = 1_000) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    images = pa.array([{"bytes": blob} for blob in blobs], pa.struct([("bytes", pa.binary())]))
    parquet.write_table(pa.table({"image": images, "label": pa.array(labels)}), place / "train.parquet", group)
    return place / "train.parquet"


class Encoded(Dataset[tuple[Tensor, int]]):
    """Each image is decoded, padded, cropped, flipped and made a tensor when it is asked for."""

    def __init__(self, blobs: Sequence[bytes], labels: Sequence[int]) -> None:
        self.blobs, self.labels = blobs, labels

    def __len__(self) -> int:
        return len(self.blobs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = np.asarray(Image.open(io.BytesIO(self.blobs[index])).convert("RGB"))
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
        x = torch.nn.functional.pad(x, (PAD, PAD, PAD, PAD))
        top, left = torch.randint(0, 2 * PAD + 1, (2,)).tolist()
        x = x[:, top : top + SIDE, left : left + SIDE]
        return (x.flip(2) if torch.rand(()) < 0.5 else x), self.labels[index]


def training_on(data: Any, model: Any, precision: str, device: str) -> equation.Training:
    stream = registry.build("data", data)
    return ready(Recipe(data=data, model=model, engine={"precision": precision, "device": device}), stream)


def measured(model: str, options: argparse.Namespace, device: str, place: Path) -> Case:
    blobs, labels = jpegs(options.rows)
    file = saved(place, blobs, labels)
    source = {"name": "parquet_images", "path": str(file)}
    data = {"name": "resident", "source": source, "valid": 0.0, "test": 0.0, "batch_size": options.batch}
    data["augment"] = ["crop", "flip"]
    began = time.perf_counter()
    training = training_on(data, model, "auto", device)
    opening = time.perf_counter() - began
    made: dict[str, tuple[Any, loops.Loop]] = {
        f"ours {training.precision}": (first_layer(training.program.f), ours(training))
    }
    if training.precision != "float32":
        plain = training_on(data, model, "float32", device)
        made["ours float32"] = (first_layer(plain.program.f), ours(plain))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for workers in (0, cores):
        f = alike(training)
        more = {"num_workers": workers, "persistent_workers": workers > 0}
        loop = loops.loader(f, Encoded(blobs, labels), options.batch, **more)
        made[f"loader, {workers} workers"] = (first_layer(f), loop)
    steps = options.steps or STEPS[model]
    acts = {name: watched(layer, loop, steps, device) for name, (layer, loop) in made.items()}
    for act in acts.values():
        act()
    case = Case(f"JPEG {SIDE}², {model}, batch {options.batch}", in_turns(acts, options.repeats), [])
    case.amount = steps * options.batch
    loaders = [name for name in made if name.startswith("loader")]
    case.pairs = [Pair(f"ours {training.precision}", case.best(loaders), BAR)]
    case.pairs += [Pair(name, loader) for name in made if name.startswith("ours") for loader in loaders]
    case.pairs = list({(pair.ours, pair.other): pair for pair in reversed(case.pairs)}.values())[::-1]
    case.facts = {"rows": options.rows, "opened_in_seconds": opening, "device": device, "steps": steps}
    return case


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    cases: list[Case] = []
    for model in options.models:
        with tempfile.TemporaryDirectory() as place:
            cases.append(measured(model, options, device, Path(place)))
        print(said(cases[-1].lines()))
        opening = cases[-1].facts["opened_in_seconds"]
        print(f"images a second: {cases[-1].speeds()}; ours opened {options.rows:,} images in {opening:.2f} s\n")
    if options.out:
        written(options.out, cases, provenance())


if __name__ == "__main__":
    main()
