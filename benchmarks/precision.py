"""Whether bfloat16 autocast, the default where it is native, learns as well as float32: equivalence over paired seeds.

    THETASTAR_DATA=... python -m benchmarks.precision [--seeds 10] [--out benchmarks/results/precision.json]

Two one-sided t-tests (Schuirmann 1987): the precisions count as equivalent where the 90% interval of the mean paired
difference of MNIST test accuracy lies within ±0.2 points.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from thetastar import equation
from thetastar.defaults import open_stream
from thetastar.evaluation import evaluate
from thetastar.hardware import provenance
from thetastar.recipe import Recipe

MARGIN = 0.2  # points
EPOCHS = {"mlp": 10, "cnn": 1}


def accuracies(model: str, seeds: int) -> dict[str, list[float]]:
    stream = open_stream("mnist")
    found: dict[str, list[float]] = {"float32": [], "bf16": []}
    for seed in range(seeds):
        for precision, values in found.items():
            recipe = Recipe(
                data="mnist",
                model=model,
                budget={"epochs": EPOCHS[model]},
                engine={"precision": precision, "evaluations": 0},
                measures=["accuracy"],
                seed=seed,
            )
            outcome = equation.fit(recipe, stream=stream)
            tested, _ = evaluate(outcome.program, stream, "test", outcome.recipe.measures, outcome.clock)
            values.append(100 * tested["accuracy"])
        print(model, seed, {name: round(values[-1], 2) for name, values in found.items()}, flush=True)
    return found


def verdict(found: dict[str, list[float]]) -> dict[str, object]:
    """The 90% interval of the mean difference bf16 − float32 in points, and whether it lies within the margin."""
    differences = [b - a for a, b in zip(found["float32"], found["bf16"], strict=True)]
    mean = statistics.mean(differences)
    half = stats.t.ppf(0.95, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return {
        "difference": round(mean, 4),
        "interval_90": [round(mean - half, 4), round(mean + half, 4)],
        "margin": MARGIN,
        "equivalent": bool(abs(mean) + half < MARGIN),
        "accuracy": {name: [round(value, 2) for value in values] for name, values in found.items()},
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["mlp", "cnn"], choices=list(EPOCHS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    results = {
        model: {"epochs": EPOCHS[model], **verdict(accuracies(model, options.seeds))} for model in options.models
    }
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps({"results": results, "provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
