"""Linear probes of features that were learnt without labels: the recipes few_labels/cifar10/NAME_probe.

    python -m benchmarks.probes [--methods simclr byol …] [--seeds 1] [--work FOLDER] [--out FILE]

Each is pre-trained for eight minutes of a GPU, in a folder of its own that is continued, and probed with all labels of
the training split; the test split is opened once, at the end. A bar is what the accuracy of the probe must reach.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.tuning import opened
from thetastar.hardware import provenance
from thetastar.outer import stages
from thetastar.terminal.words import recipe_file

BARS = {"simclr": 0.82, "byol": 0.82, "moco": 0.80, "simsiam": 0.80, "dino": 0.75, "rotation": 0.60}
REHEARSAL = ["model.width=4", "stages.pretrain.data.batch_size=8", "stages.probe.data.batch_size=8"]


def probed(method: str, seed: int, place: Path, device: str, steps: int | None) -> dict[str, Any]:
    """What a seed of a method comes to."""
    staged = stages.read(recipe_file(Path(f"few_labels/cifar10/{method}_probe")))
    assert staged is not None
    words = [f"seed={seed}", f"engine.device={device}"]
    if steps is not None:
        budget = [f"stages.{name}.budget={{steps: {steps}}}" for name in staged.own]
        words += [*REHEARSAL, *budget]
    stars = stages.run(stages.opened(staged.override(words).stages()), place)
    last = stages.folder(place, len(stars), list(staged.own)[-1])
    return {
        "accuracy": opened(last, "accuracy"),
        "pretrain_seconds": stars[0].facts["seconds"],
        "pretrain_steps": stars[0].facts["steps"],
        "gauges": stars[0].measures.get("valid", {}),
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=list(BARS), default=list(BARS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, help="in place of the budgets, for a rehearsal")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs/probes"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    found: dict[str, Any] = {}
    for method in options.methods:
        each = [
            probed(method, seed, options.work / f"{method}-{seed}", options.device, options.steps)
            for seed in range(options.seeds)
        ]
        mean = sum(one["accuracy"] for one in each) / len(each)
        found[method] = {"accuracy": mean, "bar": BARS[method], "met": mean >= BARS[method], "seeds": each}
        print(f"{method}: {100 * mean:.1f}% of {100 * BARS[method]:.0f}%", flush=True)
        if options.out:
            text = json.dumps({"probes": found, "provenance": provenance()}, indent=1)
            options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
