"""Training on data read from disk in pieces, beside the same data held in memory.

    python -m benchmarks.streaming [--repeats 5] [--out FILE]

A generated Parquet file of JPEG images, and one of columns of numbers, each of several windows. Whole passes over the
training rows are timed, from the first read to the last step.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decoding import jpegs, saved, training_on
from benchmarks.tasks import ours
from benchmarks.throughput import waiting
from benchmarks.turns import Case, Pair, in_turns, said, timed, written
from thetastar.hardware import choose_device, provenance

COLUMNS, BATCH = 32, 128


def pictures(place: Path, rows: int) -> tuple[Any, Any, str]:
    """Two data specs of the same images, held and streamed, and the model."""
    file = saved(place, *jpegs(rows))
    held = {"name": "resident", "source": {"name": "parquet_images", "path": str(file)}}
    return held, {"name": "streamed", "path": str(file)}, "cnn"


def numbers(place: Path, rows: int) -> tuple[Any, Any, str]:
    import pyarrow as pa
    from pyarrow import parquet

    random, file = np.random.default_rng(0), place / "numbers.parquet"
    columns = {f"x{i}": random.random(rows, dtype=np.float32) for i in range(COLUMNS)}
    label = np.where(random.random(rows) < 0.5, "no", "yes")
    parquet.write_table(pa.table({**columns, "label": label}), file, 4_096)
    held = {"name": "resident", "source": {"name": "table", "path": str(file), "target": "label"}}
    return held, {"name": "streamed", "path": str(file), "target": "label"}, "mlp"


KINDS = {"images": (pictures, 40_000), "numbers": (numbers, 100_000)}


def measured(kind: str, options: argparse.Namespace, device: str, place: Path) -> Case:
    make, rows = KINDS[kind]
    rows = options.rows or rows
    held, streamed, model = make(place, rows)
    rest = {"valid": 0.0, "test": 0.0, "batch_size": BATCH}
    acts, wait = {}, waiting(device)
    for name, data in (("held in memory", held), ("streamed", streamed)):
        training = training_on({**data, **rest}, model, "auto", device)
        acts[name] = timed(lambda loop=ours(training), steps=training.windows: (loop(steps), wait()))
        acts[name]()
    taken = in_turns(acts, options.repeats)
    case = Case(f"{kind}, {model}, batch {BATCH}", taken, [Pair("streamed", "held in memory")], rows, "rows")
    case.facts = {"rows": rows, "device": device}
    return case


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    cases: list[Case] = []
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as place:
            cases.append(measured(kind, options, device, Path(place)))
        print(said(cases[-1].lines()), flush=True)
    if options.out:
        written(options.out, cases, provenance())


if __name__ == "__main__":
    main()
