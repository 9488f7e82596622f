"""Recorded results say what their own numbers say, and the recipes behind them still exist."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path

import pytest
import yaml
from scipy import stats

from thetastar import registry

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_default_precision_is_equivalent_to_float32_over_ten_seeds(model: str) -> None:
    """Two one-sided t-tests, recomputed from the recorded accuracies."""
    found = json.loads((RESULTS / "precision.json").read_text())["results"][model]
    pairs = list(zip(found["accuracy"]["bf16"], found["accuracy"]["float32"], strict=True))
    assert len(pairs) >= 10
    differences = [bf16 - float32 for bf16, float32 in pairs]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5
    too_low = stats.t.sf((mean + 0.2) / error, len(differences) - 1)
    too_high = stats.t.cdf((mean - 0.2) / error, len(differences) - 1)
    assert max(too_low, too_high) < 0.05
    assert found["equivalent"]


def test_tables_are_within_reach_of_boosting_over_five_seeds() -> None:
    """The recorded means, recomputed: within 3% of its RMSE on housing, within 1 point of its accuracy on adult."""
    recorded = json.loads((RESULTS / "tables.json").read_text())
    for data, within in (("housing", lambda a, b: a <= 1.03 * b), ("adult", lambda a, b: a >= b - 0.01)):
        runs = [run for run in recorded["runs"] if run["data"] == data]
        assert len({run["seed"] for run in runs}) >= 5
        ours, boosting = (statistics.mean(run[name] for run in runs) for name in ("ours", "boosting"))
        assert within(ours, boosting)
        for run in runs:
            model = run["recipe"]["model"]
            complete = registry.complete("models", model)
            assert complete | model == complete, "but for arguments that came later"


def test_defaults_are_near_tuned_settings_where_that_was_measured() -> None:
    """Recomputed from the test values of paired seeds: within a point, or 3% of an error; test opened once a run."""
    recorded = json.loads((RESULTS / "tuning.json").read_text())["results"]
    assert len(recorded) >= 3
    for name, found in recorded.items():
        assert found["trials"] >= 60
        assert len(found["seeds"]) >= 5
        assert set(found["openings"]) == {1}
        default, tuned = (statistics.mean(found["test"][kind]) for kind in ("default", "tuned"))
        assert found["default"] == pytest.approx(default)
        near = default <= 1.03 * tuned if found["measure"] == "rmse" else default >= tuned - 0.01
        assert near, name


@pytest.mark.shows("V9")
@pytest.mark.shows("V10")
def test_the_reduced_lecture_tables_are_in_their_order_and_above_what_was_published() -> None:
    """Qualities recomputed from the seeds; MNIST by a convolutional net at 99%, half the error on MNIST-1D."""
    found = json.loads((RESULTS / "reduced.json").read_text())["results"]
    orders = {"mnist_reduced": ["cnn", "mlp"], "mnist1d": ["conv", "mlp"]}
    orders["tiny_imagenet_reduced"] = ["resnet18", "cnn", "mlp"]
    for table in orders.keys() & found.keys():
        learners = found[table]["learners"]
        quality = {name: statistics.mean(entry["per_seed"]) for name, entry in learners.items()}
        assert quality == pytest.approx({name: entry["quality"] for name, entry in learners.items()})
        assert sorted(quality, key=lambda name: -quality[name]) == orders[table]
        for name, entry in learners.items():
            assert name in orders[table]
            if "published" in entry:
                assert quality[name] >= entry["published"]["value"]
        assert all(learners[a]["low"] > learners[b]["high"] for a, b in itertools.pairwise(orders[table]))
    assert found["mnist_reduced"]["learners"]["cnn"]["quality"] >= 0.99
    error = {name: 1 - entry["quality"] for name, entry in found["mnist1d"]["learners"].items()}
    assert error["conv"] < 0.5 * error["mlp"]


@pytest.mark.shows("V7")
@pytest.mark.parametrize(
    ("name", "measure", "bar"), [("cifar10_reduced", "accuracy", 0.8), ("camvid_reduced", "mean_iou", 0.25)]
)
def test_a_reduced_recipe_was_tested_once_and_is_above_its_bar(name: str, measure: str, bar: float) -> None:
    found = json.loads((RESULTS / "reduced.json").read_text())["results"][name]
    assert found["measures"]["test"][measure] >= bar
    assert len(found["measures"]["facts"]["test_openings"]) == 1
    assert yaml.safe_load(found["recipe"])["budget"]["epochs"]


def test_what_few_labels_are_worth_follows_from_the_recorded_runs() -> None:
    """Differences to the twin by hand from the accuracies of each seed; verdicts by Holm's correction."""
    found = json.loads((RESULTS / "few_labels.json").read_text())
    for job in found["results"].values():
        twin = job["cells"]["supervised"]["accuracy"]
        ranked = sorted(job["methods"].values(), key=lambda entry: entry["p"])
        highest = 0.0
        for place, entry in enumerate(ranked):
            highest = max(highest, min(1.0, (len(ranked) - place) * entry["p"]))
            assert entry["p_holm"] == pytest.approx(highest)
            decided = "wins" if entry["difference"] > 0 else "loses"
            assert entry["verdict"] == (decided if highest <= 0.05 else "open")
        for name, entry in job["methods"].items():
            each = [a - b for a, b in zip(job["cells"][name]["accuracy"], twin, strict=True)]
            assert entry["per_seed"] == pytest.approx(each)
            assert entry["difference"] == pytest.approx(sum(each) / len(each))
