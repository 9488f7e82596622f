"""The default model for tables beside scikit-learn's histogram gradient boosting, on census income and housing prices.

    python -m benchmarks.tables FOLDER [--seeds 5] [--workers 2] [--out benchmarks/results/tables.json]

FOLDER holds `housing.csv`, `adult-train.csv` and `adult-test.csv`. Housing is split anew for every seed, a fifth for
test; adult comes split. Both learners are given the same rows and their own defaults: ours holds out a tenth that it
never trains on, boosting holds out a tenth to decide when to stop and reads categories as such.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import thetastar as ts
from thetastar.hardware import provenance

TARGETS = {"housing": "median_house_value", "adult": "income"}
MEASURES = {"housing": "rmse", "adult": "accuracy"}


def rows(data: str, folder: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What may be learnt from, and the test rows."""
    if data == "adult":
        train, test = (pd.read_csv(folder / f"adult-{split}.csv", na_values="?") for split in ("train", "test"))
        return train, test.assign(income=test["income"].str.removesuffix("."))
    frame = pd.read_csv(folder / "housing.csv")
    order = np.random.default_rng(seed).permutation(len(frame))
    test = len(frame) // 5
    return frame.iloc[order[test:]].reset_index(drop=True), frame.iloc[order[:test]].reset_index(drop=True)


def boosted(train: pd.DataFrame, test: pd.DataFrame, target: str, seed: int) -> np.ndarray[Any, Any]:
    """Predictions of scikit-learn's defaults; words are categories."""
    x = pd.concat([train, test]).drop(columns=target)
    x = x.assign(**{name: column.astype("category") for name, column in x.items() if column.dtype.kind not in "if"})
    numbers = train[target].dtype.kind in "if"
    kind = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    model = kind(categorical_features="from_dtype", random_state=seed)
    return model.fit(x[: len(train)], train[target]).predict(x[len(train) :])


def ours(train: pd.DataFrame, test: pd.DataFrame, target: str, seed: int) -> tuple[np.ndarray[Any, Any], ts.Star]:
    data = {"name": "table", "frame": train, "target": target, "valid": 0.1, "test": 0.0, "split_seed": seed}
    star = ts.fit(data, seed=seed)
    return star.predict(test.drop(columns=target)), star


def score(measure: str, predicted: np.ndarray[Any, Any], target: pd.Series) -> float:
    y = target.to_numpy()
    return float(np.sqrt(np.mean((predicted - y) ** 2)) if measure == "rmse" else np.mean(predicted == y))


def one(data: str, folder: Path, seed: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    train, test = rows(data, folder, seed)
    target, measure = TARGETS[data], MEASURES[data]
    began = time.perf_counter()
    predicted, star = ours(train, test, target, seed)
    seconds = time.perf_counter() - began
    return {
        "data": data,
        "seed": seed,
        "ours": score(measure, predicted, test[target]),
        "boosting": score(measure, boosted(train, test, target, seed), test[target]),
        "seconds": round(seconds, 1),
        "recipe": {key: value for key, value in star.recipe.to_mapping().items() if key != "data"},
        "precision": star.facts["precision"],
    }


def summary(data: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and how far ours is from boosting: points of accuracy, or a share of the RMSE."""
    measure = MEASURES[data]
    means = {name: statistics.mean(run[name] for run in runs) for name in ("ours", "boosting")}
    spread = {f"{name}_sd": statistics.stdev(run[name] for run in runs) for name in means if len(runs) > 1}
    gap = 100 * (means["boosting"] - means["ours"]) if measure == "accuracy" else means["ours"] / means["boosting"] - 1
    entry = {"points_behind": gap} if measure == "accuracy" else {"share_behind": gap}
    within = gap <= (1.0 if measure == "accuracy" else 0.03)
    return {"data": data, "measure": measure, **means, **spread, **entry, "within": within}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    asked = [(data, options.folder, seed) for seed in range(options.seeds) for data in TARGETS]
    with ProcessPoolExecutor(options.workers) as pool:
        runs = list(pool.map(one, *zip(*asked, strict=True)))
    for run in runs:
        print("{data} seed {seed}: ours {ours:.6g}, boosting {boosting:.6g}, {seconds} s".format(**run))
    summaries = [summary(data, [run for run in runs if run["data"] == data]) for data in TARGETS]
    print(json.dumps(summaries, indent=1))
    if options.out:
        found = {
            "summary": summaries,
            "runs": runs,
            "provenance": {**provenance(), "command": "python -m benchmarks.tables FOLDER"},
        }
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
