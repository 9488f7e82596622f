"""The lecture tables in the form that two cores are enough for: every learner beside the others and published figures.

    THETASTAR_DATA=... python -m benchmarks.reduced [NAME …] [--seeds 1]

NAME is a set of recipes under recipes/vision. Each is a comparison on the test split, kept in --work and continued;
what it found is written to --out beside what was found before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu import learner
from thetastar.outer.compare import compare
from thetastar.terminal.words import recipe_files

NAMES = ("mnist_reduced", "mnist1d", "tiny_imagenet_reduced", "cifar10_depth_reduced")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-reduced"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reduced.json"))
    options = parser.parse_args(words)
    for name in options.names or NAMES:
        files = [str(file) for file in recipe_files(Path("vision") / name)]
        verdict = compare(None, recipes=files, seeds=options.seeds, out=options.work / name)
        found = {
            "learners": {row.name: learner(row, verdict) for row in verdict.ranked},
            "said": verdict.sentences(),
            "seeds": options.seeds,
            "provenance": {**verdict.provenance, "command": f"python -m benchmarks.reduced {name}"},
        }
        before = json.loads(options.out.read_text())["results"] if options.out.is_file() else {}
        options.out.write_text(json.dumps({"results": {**before, name: found}}, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {found['said'][0]}", flush=True)


if __name__ == "__main__":
    main()
