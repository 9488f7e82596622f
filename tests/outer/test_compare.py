"""The main job end to end, on toys: equal terms, one opening of the test split, failures, interruption, resumption."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from thetastar import compare
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.outer import compare as module
from thetastar.outer.folder import load_verdict
from thetastar.outer.learners import measures_of
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

SMALL = {"name": "mlp", "widths": [16]}
TERMS = {"budget": {"epochs": 3}, "engine": {"evaluations": 2}}


class Listening(Watch):
    def __init__(self):
        self.lines, self.steps, self.rows = [], [], []

    def say(self, line):
        self.lines.append(line)

    def step(self, step, steps):
        self.steps.append((step, steps))

    def row(self, row):
        self.rows.append(row)


def openings(folder, learner, seed):
    return Run.open(folder / "runs" / learner / f"seed-{seed}").measures["facts"]["test_openings"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two learners, three seeds on redrawn splits of a small set."""
    out = tmp_path_factory.mktemp("compare") / "moons"
    watch = Listening()
    return compare("moons", [SMALL, "softmax", "knn"], seeds=3, out=out, watch=watch, **TERMS), out, watch


@pytest.mark.shows("P5")
def test_every_learner_has_the_same_splits_budget_and_seeds(finished):
    verdict, out, _ = finished
    recipes = {
        name: [Run.open(out / "runs" / name / f"seed-{s}").recipe for s in range(3)]
        for name in ("mlp", "softmax", "knn")
    }
    for seed in range(3):
        assert len({str(of[seed].data) for of in recipes.values()}) == 1
        assert {str(of[seed].budget) for of in recipes.values()} == {"{'epochs': 3.0}"}
        assert {of[seed].seed for of in recipes.values()} == {seed}
        assert recipes["mlp"][seed].data["split_seed"] == seed
    assert verdict.question.resplit
    assert all(row.state == "finished" and row.seeds == [0, 1, 2] for row in verdict.rows)


def test_rows_hold_quality_calibration_robustness_and_cost(finished):
    verdict, out, _ = finished
    for row in verdict.rows:
        by_hand = [
            np.load(out / "runs" / row.name / f"seed-{s}" / "columns" / "test.accuracy.npy").mean() for s in range(3)
        ]
        assert row.quality == pytest.approx(np.mean(by_hand))
        assert row.low <= row.quality <= row.high
        assert {"accuracy", "nll", "ece"} <= set(row.test)
        assert 0 <= row.noisy <= 1
        assert row.train_seconds > 0
        assert row.predict_ms > 0
        assert row.memory >= 0
    ends = [curve[-1] for curve in next(row for row in verdict.rows if row.name == "mlp").curves]
    runs = [Run.open(out / "runs" / "mlp" / f"seed-{s}").measures for s in range(3)]
    assert ends == [[run["facts"]["steps"], run["valid"]["accuracy"]] for run in runs]
    assert {row.name: row.parameters for row in verdict.rows} == {"mlp": 16 * 3 + 17 * 2, "softmax": 6, "knn": 0}


def test_it_says_what_it_will_do_before_and_shows_all_of_the_progress(finished):
    _, _, watch = finished
    told = "\n".join(watch.lines)
    assert "3 learners × 3 seeds, each on a split of its own, nothing tuned" in told
    assert "9 trainings to do, about" in told
    assert watch.steps[-1][0] == watch.steps[-1][1]
    assert all(a[0] <= b[0] for a, b in zip(watch.steps, watch.steps[1:], strict=False))


@pytest.mark.shows("P5")
def test_the_test_split_is_opened_once_and_a_rerun_reads_it(finished):
    verdict, out, _ = finished
    assert verdict.openings == []
    before = openings(out, "mlp", 0)
    assert len(before) == 1
    again = compare("moons", [SMALL, "softmax", "knn"], seeds=3, out=out, **TERMS)
    assert openings(out, "mlp", 0) == before
    assert "opened before" in again.sentence()
    assert [row.quality for row in again.rows] == [row.quality for row in verdict.rows]


def test_the_folder_holds_question_verdict_and_report(finished):
    verdict, out, _ = finished
    asked = json.loads((out / "compare.json").read_text())
    assert asked["asked"]["resplit"] is True
    assert set(asked["learners"]) == {"mlp", "softmax", "knn"}
    assert load_verdict(out).rows == verdict.rows
    assert verdict.sentences()[0] in (out / "report.html").read_text()


def test_another_question_is_refused_and_more_seeds_are_welcome(finished):
    _, out, _ = finished
    with pytest.raises(UserError, match="trials"):
        compare("moons", [SMALL], seeds=3, trials=2, out=out, **TERMS)
    with pytest.raises(UserError, match="another 'mlp'"):
        compare("moons", [{"name": "mlp", "widths": [8]}], seeds=3, out=out, **TERMS)
    more = compare("moons", ["softmax", "knn"], seeds=4, out=out, **TERMS)
    assert [row.seeds for row in more.rows] == [[0, 1, 2, 3]] * 2


def test_a_learner_that_fails_is_a_row_and_the_rest_goes_on(tmp_path):
    out = tmp_path / "c"
    verdict = compare("blobs", ["linear", "softmax", "knn"], seeds=2, resplit=False, out=out, **TERMS)
    failed = next(row for row in verdict.rows if row.name == "linear")
    assert failed.state == "failed"
    assert "choose softmax" in failed.reason
    assert "Traceback" in (out / "failures" / "linear.txt").read_text()
    assert verdict.pair("softmax", "knn") is not None
    assert verdict.pair("linear", "knn") is None


def test_an_error_of_any_kind_in_training_becomes_a_reason(monkeypatch):
    train = module.train_trial

    def broken(recipe, *rest):
        if recipe.model["name"] == "knn":
            raise ZeroDivisionError("by hand")
        train(recipe, *rest)

    monkeypatch.setattr(module, "train_trial", broken)
    verdict = compare("blobs", ["softmax", "knn"], seeds=2, **TERMS)
    assert {row.name: row.reason for row in verdict.rows} == {"softmax": None, "knn": "ZeroDivisionError: by hand"}


def test_a_users_mistake_is_told_before_anything_is_trained(tmp_path):
    for wrong, match in (
        ({"models": ["sofmax"]}, "did you mean 'softmax'"),
        ({"models": [{"name": "mlp", "width": [3]}]}, "no argument 'width'"),
        ({"overrides": ["algorithm.lr=-1"]}, "algorithm.lr"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": 1, "resplit": True}, "one seed"),
    ):
        with pytest.raises(UserError, match=match):
            compare("blobs", **wrong, out=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_interrupted_keeps_what_is_done_and_the_same_call_continues(tmp_path, monkeypatch):
    train, done = module.train_trial, []

    def stops(recipe, path, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        train(recipe, path, *rest)
        done.append(path)

    call = {"models": [SMALL, "softmax"], "seeds": 3, "resplit": False, "out": tmp_path / "c", **TERMS}
    monkeypatch.setattr(module, "train_trial", stops)
    partial = compare("moons", **call)
    assert partial.partial
    assert [row.seeds for row in partial.rows] == [[0, 1], [0, 1]]
    assert partial.pairs[0].seeds == 2
    assert "Partial" in partial.sentence()
    monkeypatch.setattr(module, "train_trial", train)
    whole = compare("moons", **call)
    assert not whole.partial
    assert [row.seeds for row in whole.rows] == [[0, 1, 2]] * 2
    assert whole.rows[0].per_seed[:2] == partial.rows[0].per_seed
    undisturbed = compare("moons", **{**call, "out": None})
    assert [row.per_seed for row in whole.rows] == [row.per_seed for row in undisturbed.rows]


def test_an_interruption_through_the_watch_leaves_a_checkpoint_and_is_continued_to_the_same_result(tmp_path):
    class Leaves(Watch):
        calls, leaving = 0, False

        def step(self, step, steps):
            self.calls += 1
            if self.leaving:
                raise KeyboardInterrupt
            self.leaving = self.calls >= 30

    call = {"models": [SMALL], "seeds": 2, "resplit": False, "out": tmp_path / "c", "budget": {"epochs": 4}}
    partial = compare("moons", **call, watch=Leaves())
    assert partial.partial
    assert list((tmp_path / "c" / "runs" / "mlp").glob("seed-*/state/*"))
    whole = compare("moons", **call)
    undisturbed = compare("moons", **{**call, "out": None})
    assert whole.rows[0].per_seed == undisturbed.rows[0].per_seed
    assert whole.rows[0].test == undisturbed.rows[0].test


def test_methods_recipes_and_overrides_make_learners(tmp_path):
    file = tmp_path / "wide.yaml"
    file.write_text(Recipe(data="moons", model={"name": "mlp", "widths": [4]}, algorithm="sgd").to_yaml())
    verdict = compare(
        "blobs", [SMALL], methods=["supervised", {"name": "supervised", "label_smoothing": 0.1}], recipes=[file],
        seeds=1, overrides=["data.batch_size=64", "algorithm.lr=0.02"], **TERMS,
    )  # fmt: skip
    assert [row.name for row in verdict.rows] == ["mlp+supervised", "mlp+supervised-2", "wide"]
    recipes = [Recipe.from_yaml(row.recipe) for row in verdict.rows]
    assert [recipe.algorithm["name"] for recipe in recipes] == ["adamw", "adamw", "sgd"]
    assert {recipe.algorithm["lr"] for recipe in recipes} == {0.02}
    assert {recipe.data["batch_size"] for recipe in recipes} == {64}
    assert {recipe.data["source"]["name"] for recipe in recipes} == {"blobs"}
    assert "One seed" in verdict.sentence()


def test_regression_on_arrays_is_judged_by_squared_errors():
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 4)).astype("float32")
    y = (x @ [3.0, -2.0, 0.0, 1.0] + 0.1 * random.standard_normal(300)).astype("float32")
    verdict = compare((x, y), ["linear", "knn"], seeds=5, **TERMS)
    assert verdict.question.measure == "rmse"
    assert verdict.ranked[0].name == "linear"
    assert verdict.ranked[0].quality == pytest.approx(0.1, rel=0.3)
    assert verdict.pair("linear", "knn").outcome == "first"
    assert "mse" not in verdict.ranked[0].test


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("bars", ["softmax", "knn", "mlp", "cnn"]),
        ("plane", ["linear", "knn", "mlp", "random_forest", "gradient_boosting"]),
        ("shapes", ["fcn_resnet50", "pspnet_resnet50", "unet"]),
    ],
)
def test_default_learners_suit_the_task(data, names):
    from thetastar.defaults import open_stream
    from thetastar.outer.learners import default_models

    models = default_models(open_stream(data).schema)
    assert [model if isinstance(model, str) else model["name"] for model in models] == names


def test_masks_are_compared_image_by_image(tmp_path):
    """The first measure has a value for every image; the mean IoU over all pixels has none."""
    nets = [{"name": "unet", "width": 2, "depth": 1, "skips": skips} for skips in (True, False)]
    data = {"name": "shapes", "rows": 40, "size": 16}
    verdict = compare(data, nets, seeds=2, out=tmp_path / "masks", budget={"steps": 4})
    assert verdict.question.measure == "image_iou"
    assert [len(row.per_seed) for row in verdict.ranked] == [2, 2]


@pytest.mark.parametrize(
    "changed",
    [{"overrides": ["data.split_seed=7"]}, {"engine": {"evaluations": 3}}, {"overrides": ["algorithm.lr=0.5"]}],
    ids=["data", "engine", "algorithm"],
)
def test_runs_on_other_terms_are_never_taken_for_these(tmp_path, changed):
    terms = {"seeds": 1, "budget": {"epochs": 1}, "engine": {"evaluations": 2}, "out": tmp_path / "iris"}
    compare("iris", ["softmax", "perceptron"], **terms)
    with pytest.raises(UserError, match="softmax"):
        compare("iris", ["softmax", SMALL], **{**terms, **changed})
    compare("iris", [SMALL], **{**terms, **changed})  # nobody here that was there before
    with pytest.raises(UserError, match="softmax"):
        compare("iris", ["softmax", SMALL], **{**terms, **changed})


@pytest.mark.parametrize("outputs", [1, 2])
def test_rmse_judges_one_number_only(outputs):
    """Its value for several, the mean of their roots, is not the root of what could be tested example by example."""
    random = np.random.default_rng(0)
    data = tuple(random.standard_normal((60, size)).astype(np.float32) for size in (3, outputs))
    terms = {"seeds": 1, "budget": {"epochs": 1}, "overrides": ["measures=[rmse]"]}
    if outputs == 2:
        with pytest.raises(UserError, match=r"rmse of several numbers.*mse or mae"):
            compare(data, ["linear"], **terms)
        return
    (row,) = compare(data, ["linear"], **terms).rows
    assert row.quality == pytest.approx(row.test["rmse"], rel=1e-6)


def test_tuning_on_one_of_several_splits_is_said():
    terms = {"seeds": 2, "budget": {"epochs": 1}, "engine": {"evaluations": 0}, "trials": 1}
    redrawn = compare("iris", ["softmax"], resplit=True, **terms)
    assert any("Tuning saw the first split only" in note for note in redrawn.notes)
    assert not compare("iris", ["softmax"], resplit=False, **terms).notes


def test_a_frame_is_compared_by_the_column_named_as_target():
    x = np.random.default_rng(0).standard_normal((80, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "sign": np.where(x[:, 0] > 0, "up", "down")})
    found = compare(frame, ["softmax", "knn"], target="sign", seeds=2, budget={"steps": 5})
    assert {row.name for row in found.ranked} == {"softmax", "knn"}
    assert found.question.task == "classification"


def test_recipes_that_name_one_measure_alike_are_judged_by_it():
    """Models of images have no accuracy; where recipes disagree, what suits the target judges."""

    def recipe(name, measures):
        model = {"name": name, "levels": 2, "width": 4, "depth": 1}
        return Recipe(data="bars", model=model, measures=measures, budget={"steps": 2})

    verdict = compare(None, recipes=[recipe(name, ["bits_per_dim"]) for name in ("pixelcnn", "row_lstm")], seeds=1)
    assert verdict.question.measure == "bits_per_dim"
    assert all(row.quality is not None and row.quality > 0 for row in verdict.rows)
    schema = open_stream("bars").schema
    assert measures_of(schema, [recipe("pixelcnn", ["bits_per_dim"]), recipe("row_lstm", None)]) == measures_of(schema)
