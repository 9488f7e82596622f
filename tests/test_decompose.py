"""`theta decompose` and `theta curve`: what they say, what they write, how they go on, one line for every mistake."""

from __future__ import annotations

import json

import numpy as np
import pytest

from thetastar.outer import series
from thetastar.outer.curve import Curve, Point, over_sizes, over_widths
from thetastar.outer.power import fitted
from thetastar.outer.series import errors
from thetastar.recipe import Recipe
from thetastar.run import Run

CPU = "engine.device=cpu"
PLANE = [
    "decompose",
    "plane",
    "data.rows=1000",
    "data.noise=0.5",
    "data.seed=3",
    "data.valid=0",
    "--model",
    "linear",
    CPU,
]
MOONS = ["decompose", "moons", "--model", "mlp", "model.widths=[8]", "--epochs", "3", "--members", "3", CPU]
KNN = ["curve", "moons", "data.noise=0.3", "--model", "knn", "--seeds", "2", CPU]
WIDTHS = ["curve", "blobs", "data.rows=60", "--model", "mlp", "--epochs", "3", "--seeds", "2", "--widths", "1,2,4", CPU]


@pytest.mark.shows("X5")
def test_least_squares_on_parts_has_the_variance_of_the_textbook(theta):
    """Members of n rows each with d normal entries: σ² ((1 + 1/n) (1 + d / (n − d − 2)) − 1), no bias, noise σ²."""
    found = json.loads(theta(*PLANE, "--draw", "part", "--members", "16", "--noise", "0.5", "--json")[1])
    assert (found["rows"], found["pool"]) == (50, 800)
    (parts,) = found["parts"]
    values, n, d = parts["values"], 50, 4
    assert values["noise"] == 0.25
    assert values["noise"] + values["bias"] + values["variance"] == pytest.approx(values["error"], abs=1e-9)
    expected = 0.25 * ((1 + 1 / n) * (1 + d / (n - d - 2)) - 1)
    low, high = parts["intervals"]["variance"]
    assert low <= expected <= high
    assert values["variance"] == pytest.approx(expected, rel=0.4)
    low, high = parts["intervals"]["bias"]
    assert low <= 0 <= high


def test_members_are_plain_runs_of_other_draws_and_seeds_tested_once(theta, tmp_path):
    code, out, err = theta(*MOONS, "--out", "why")
    assert code == 0
    assert "3 members, each of a bootstrap sample of 260 of 260 training rows" in err
    for words in ("0-1 loss", "Brier score", "bias and noise", "variance", "harmful", "figure: why/decompose.svg"):
        assert words in out
    runs = [Run.open(tmp_path / "why" / "runs" / f"member-{k}") for k in range(3)]
    assert [run.recipe.seed for run in runs] == [0, 1, 2]
    assert [run.recipe.data["draw_seed"] for run in runs] == [0, 1, 2]
    assert {run.recipe.data["draw"] for run in runs} == {"bootstrap"}
    assert [len(run.measures["facts"]["test_openings"]) for run in runs] == [1, 1, 1]
    assert "<svg" in (tmp_path / "why" / "decompose.svg").read_text()
    kept = json.loads((tmp_path / "why" / "decompose.json").read_text())
    first = kept["parts"][0]["values"]
    assert first["error"] == pytest.approx(1 - np.mean([run.measures["test"]["accuracy"] for run in runs]))


def test_it_goes_on_where_it_was_interrupted_and_opens_test_only_at_the_end(theta, monkeypatch, tmp_path):
    whole = json.loads(theta(*MOONS, "--out", "whole", "--json")[1])
    train, count = series.train, []

    def stopping(*given, **named):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return train(*given, **named)

    monkeypatch.setattr(series, "train", stopping)
    code, out, err = theta(*MOONS)
    assert (code, out) == (130, "")
    assert "the same command goes on from here" in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert not list(folder.glob("runs/*/answers.json"))
    again = json.loads(theta(*MOONS, "--json")[1])
    assert len(count) == 4
    assert again["parts"] == whole["parts"]
    theta(*MOONS, "--json")
    assert len(count) == 4
    assert {len(Run.open(run).measures["facts"]["test_openings"]) for run in folder.glob("runs/*")} == {1}


@pytest.mark.shows("X5")
def test_on_digits_the_largest_size_lies_where_the_smaller_ones_say(tmp_path):
    """The law of five sizes, extrapolated to a sixth of twice the rows that the fit has not seen."""
    recipe = Recipe(data="digits", model="knn", engine={"device": "cpu"})
    sizes = [44, 89, 179, 359, 718, 1437]
    found = over_sizes(recipe, sizes, 3, tmp_path / "all")
    smaller = over_sizes(recipe, sizes[:5], 3, tmp_path / "all")
    assert smaller.points == found.points[:5]
    assert smaller.law is not None
    low, high = smaller.law.interval(1437)
    assert low <= found.points[-1].test <= high
    assert high < found.points[-2].high
    assert smaller.beyond[0]["at"] == 1436


def test_a_curve_is_told_and_drawn(theta, tmp_path):
    code, out, err = theta(*KNN, "--sizes", "40,80,160,320", "--out", "rows")
    assert code == 0
    assert "4 sizes × 2 seeds" in err
    assert "320" in out
    assert "expected" in out
    assert "error ≈ a + b n^−c" in out
    kept = json.loads((tmp_path / "rows" / "curve.json").read_text())
    assert [point["at"] for point in kept["points"]] == [40, 80, 160, 320]
    assert [row["at"] for row in kept["beyond"]] == [640, 1280]
    assert "Error on test and its power law" in (tmp_path / "rows" / "curve.svg").read_text()
    sizes = {at: {Run.open(run).recipe.data["draw_seed"] for run in (tmp_path / "rows/runs").glob(f"size-{at}/*")}
             for at in (40, 320)}  # fmt: skip
    assert sizes == {40: {0, 1}, 320: {0, 1}}


def test_widths_change_the_model_and_nothing_else(theta, tmp_path):
    code, out, _ = theta(*WIDTHS, "--label-noise", "0.2", "--keep", "20", "--out", "wide")
    assert code == 0
    assert "width" in out
    recipes = [Run.open(run).recipe for run in sorted((tmp_path / "wide/runs").glob("*/seed-0"))]
    assert [recipe.model["widths"] for recipe in recipes] == [[1, 1], [2, 2], [4, 4]]
    for recipe in recipes:
        assert (recipe.data["label_noise"], recipe.data["keep"]) == (0.2, 20)


def swept(loss, *test):
    """A curve with these errors at widths 1, 2, 4, …, of five seeds that are 0.01 apart."""
    seeds = [tuple(value + 0.01 * n for n in range(5)) for value in test]
    tops = [tuple(values[n] + 0.01 * (n % 2) for n in range(5)) for values in seeds]  # pairs differ by 0 or 0.01
    points = [Point(2**n, float(np.mean(each)), 0.0, 1.0, 0.0, each) for n, each in enumerate([seeds[0], *tops[1:]])]
    return Curve("made", "mlp", "width", loss, 5, points)


def test_a_peak_must_stand_out_on_both_sides():
    peak = swept("0-1", 0.4, 0.3, 0.36, 0.2).peak
    assert peak is not None
    assert peak.at == 4
    assert swept("0-1", 0.3, 0.305, 0.2).peak is None  # within the luck of seeds
    assert swept("0-1", 0.5, 0.4, 0.3, 0.2).peak is None
    assert swept("0-1", 0.2, 0.3, 0.4, 0.5).peak is None


@pytest.mark.shows("X5")
def test_least_squares_on_random_features_peaks_where_there_are_as_many_as_rows(tmp_path):
    """Double descent as theory has it (Belkin, Hsu and Xu 2020): at 60 rows the peak is at 60 features; a ridge takes
    it away."""
    data = {"name": "plane", "entries": 10, "noise": 0.5, "valid": 0.0, "keep": 60}
    model, engine = {"name": "mlp", "widths": [1]}, {"device": "cpu"}
    plain, held = (
        over_widths(
            Recipe(data=data, model=model, method={"name": "least_squares", "ridge": ridge}, engine=engine),
            [10, 60, 600],
            6,
            tmp_path / str(ridge),
        )
        for ridge in (0.0, 10.0)
    )
    assert plain.threshold == 60
    assert plain.peak is not None
    assert plain.peak.at == 60
    assert plain.points[1].test > 3 * max(plain.points[0].test, plain.points[2].test)
    assert held.peak is None
    assert "Test error rises to a peak at width 60" in plain.sentences()[1]


def test_errors_of_numbers_are_squared_and_of_classes_counted():
    assert errors(np.array([1, 2]), np.array([1, 0])).tolist() == [0, 1]
    assert errors(np.array([[1.0, 2.0]]), np.array([[3.0, 1.0]])).tolist() == [5.0]
    assert fitted([1, 2, 3, 4], np.ones((4, 2, 3)))(9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*MOONS, "--members", "2"], "--members 2; expected at least 3"),
        ([*MOONS, "--draw", "boot"], "did you mean 'bootstrap'?"),
        ([*MOONS, "--draw", "subset"], "add --keep N"),
        ([*MOONS, "--draw", "part", "--keep", "100"], "3 parts of 100 rows; expected at most the 260 training rows"),
        ([*MOONS, "--noise", "-1"], "--noise -1"),
        ([*MOONS, "--noise", "0.5"], "a share of wrong labels below 0.5"),
        ([*MOONS, "--label-noise", "1"], "label_noise"),
        ([*MOONS, "--label-noise", "0.1", "data.label_noise=0.2"], "one of the two"),
        ([*MOONS, "data.draw=part"], "use --draw and --keep"),
        ([*MOONS, "data.test=0"], "no test split"),
        ([*MOONS, "--out", "full"], "full is not empty"),
        ([*PLANE, "--label-noise", "0.1"], "label_noise=0.1 on a regression"),
        (["decompose"], "no data"),
        (["decompose", "cartpole"], "draw no training rows"),
        (["decompose", "shapes"], "classes or numbers"),
        ([*KNN, "--sizes", "10,20"], "at least 4"),
        ([*KNN, "--sizes", "10,x"], "whole numbers with commas"),
        ([*KNN, "--sizes", "10,20,40,999"], "between 2 and the 320 training rows"),
        ([*KNN, "--sizes", "10,20,40,80", "--widths", "1,2,3"], "one of the two"),
        ([*KNN, "--keep", "40"], "--keep without --widths"),
        ([*KNN, "--seeds", "1"], "at least 2"),
        ([*KNN, "--widths", "1,2,3"], "a model with a width"),
        ([*WIDTHS, "--widths", "1,2"], "at least 3"),
        ([*WIDTHS, "--widths", "0,1,2"], "each ≥ 1"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(words, said, theta, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    code, out, err = theta(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("theta: ")
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_another_question_in_the_same_folder_is_refused(theta):
    theta(*MOONS, "--out", "why")
    code, out, err = theta(*MOONS, "model.dropout=0.1", "--out", "why")
    assert (code, out) == (2, "")
    assert "why holds another series (recipe)" in err
