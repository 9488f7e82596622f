"""The recipes of vision in the form that two cores are enough for: alone, or a set beside one another and published.

    THETASTAR_DATA=... python -m benchmarks.reduced [NAME …] [--seeds 1]

NAME is a recipe under recipes/vision or a set of them. A set is a comparison on the test split, a single recipe a run
that is tested once; both are kept in --work and continued. What they found is written to --out beside what was found
before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import learner
from thetastar.outer.compare import compare
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import train
from thetastar.terminal.words import recipe_files

NAMES = (
    "mnist_reduced",
    "mnist1d",
    "cifar10_reduced",
    "camvid_reduced",
    "tiny_imagenet_reduced",
    "cifar10_depth_reduced",
)


def together(files: Sequence[Path], seeds: int, out: Path) -> dict[str, Any]:
    """A set of recipes, compared."""
    verdict = compare(None, recipes=[str(file) for file in files], seeds=seeds, out=out)
    return {
        "learners": {row.name: learner(row, verdict) for row in verdict.ranked},
        "said": verdict.sentences(),
        "seeds": seeds,
        "provenance": verdict.provenance,
    }


def alone(file: Path, out: Path) -> dict[str, Any]:
    """One recipe: its run, tested once."""
    star = train(Recipe.from_yaml(file), out)
    if "test" not in star.measures:
        star.test()
    seconds = {"train_seconds": star.facts["seconds"], "precision": star.facts["precision"]}
    of = {
        "measures": {**star.measures, "facts": star.facts},
        "parameters": star.parameters,
        **seconds,
        "recipe": star.recipe.to_yaml(),
    }
    measure, value = next(iter(star.measures["test"].items()))
    return {**of, "said": [f"{measure} {value:.4f} on test"], "provenance": Run(out).read_json("provenance.json")}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-reduced"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reduced.json"))
    options = parser.parse_args(words)
    for name in options.names or NAMES:
        files, out = recipe_files(Path("vision") / name), options.work / name
        found = together(files, options.seeds, out) if len(files) > 1 else alone(files[0], out)
        found["provenance"] |= {"command": f"python -m benchmarks.reduced {name}"}
        before = json.loads(options.out.read_text())["results"] if options.out.is_file() else {}
        options.out.write_text(json.dumps({"results": {**before, name: found}}, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {found['said'][0]}", flush=True)


if __name__ == "__main__":
    main()
