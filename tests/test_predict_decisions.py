"""Thresholds of `theta predict`: given, or chosen by costs on valid, with test sealed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thetastar import star
from thetastar.cli import main
from thetastar.errors import UserError

Predict = Callable[..., tuple[int, pd.DataFrame, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("loans")
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(400, 3)), columns=list("abc"))
    frame["paid"] = np.where(frame["a"] + random.normal(size=400) > 0.8, "no", "yes")
    frame.to_csv(where / "loans.csv", index=False)
    fit = ["fit", str(where / "loans.csv"), "--target", "paid", "--model", "softmax", "--steps", "50"]
    assert main([*fit, "--out", str(where / "run")]) == 0
    assert main(["fit", "iris", "--model", "softmax", "--steps", "2", "--out", str(where / "iris")]) == 0
    return where


@pytest.fixture
def predict(place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Predict:
    monkeypatch.chdir(place)

    def run(*words: str) -> tuple[int, pd.DataFrame, str]:
        capfd.readouterr()
        code = main(["predict", *words])
        said = capfd.readouterr()
        return code, pd.read_csv(io.StringIO(said.out)) if said.out else pd.DataFrame(), said.err

    return run


@pytest.mark.parametrize("positive", [None, "no"])
def test_a_given_threshold_decides(predict: Predict, positive: str | None) -> None:
    words = ["--positive", positive] if positive else []
    _, found, err = predict("run", "loans.csv", "--threshold", "0.8", "--probabilities", *words)
    yes, no = (positive, "yes") if positive else ("yes", "no")
    assert list(found["prediction"]) == [yes if p >= 0.8 else no for p in found[f"p({yes})"]]
    assert 0 < (found["prediction"] == yes).sum() < 400
    assert f"'{yes}' is predicted where its probability is at least 0.8" in err
    loaded = star.load("run")
    decided = loaded.decide(Path("loans.csv"), threshold=0.8, positive=positive)
    assert list(decided) == list(found["prediction"])


@pytest.mark.parametrize("costs", [(1.0, 5.0), (5.0, 1.0), (1.0, 1.0), (0.0, 1.0)])
def test_costs_choose_the_cheapest_threshold_on_valid_alone(
    predict: Predict, costs: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every threshold is tried on the valid rows of the file, predicted anew; no batch of test is ever made."""
    loaded = star.load("run")
    stream = loaded.stream
    rows = pd.read_csv("loans.csv").iloc[stream.rows["valid"]]  # type: ignore[attr-defined]
    p, bad = loaded.predict_proba(rows)[:, 0].astype(float), (rows["paid"] == "no").to_numpy()

    def cost(threshold: float) -> float:
        return float(np.mean(costs[0] * ((p >= threshold) & ~bad) + costs[1] * ((p < threshold) & bad)))

    kind, batches = type(stream), type(stream).batches

    def watched(self, split, *rest, **options):
        assert split == "valid"
        return batches(self, split, *rest, **options)

    monkeypatch.setattr(kind, "batches", watched)
    decision = loaded.choose_threshold(costs, positive="no")
    assert decision.rows == len(rows)
    assert decision.cost == pytest.approx(min(map(cost, [0.0, *p, 1.1])))
    assert decision.cost == pytest.approx(cost(decision.threshold))
    assert decision.cost_at_half == pytest.approx(cost(0.5))
    text = f"{costs[0]:g},{costs[1]:g}"
    _, found, err = predict("run", "loans.csv", "--costs", text, "--positive", "no")
    assert list(found["prediction"]) == list(loaded.decide("loans.csv", decision))
    assert f"chosen on {len(rows)} valid rows" in err
    assert f"{decision.cost:.4g} a row against {decision.cost_at_half:.4g} at 0.5" in err
    assert "test_openings" not in star.load("run").facts


def test_without_the_data_costs_choose_by_theory_and_say_so(predict: Predict, place: Path) -> None:
    (place / "moved.csv").write_bytes((place / "loans.csv").read_bytes())
    (place / "loans.csv").rename(place / "gone.csv")
    try:
        _, found, err = predict("run", "moved.csv", "--costs", "1,4", "--proba")
    finally:
        (place / "gone.csv").rename(place / "loans.csv")
    assert list(found["prediction"]) == ["yes" if p >= 0.2 else "no" for p in found["p(yes)"]]
    assert "FP/(FP+FN), which is right where the probabilities are; not from valid:" in err
    assert "loans.csv" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "loans.csv", "--costs", "1"], "--costs 1; expected two numbers"),
        (["run", "loans.csv", "--costs", "a,b"], "--costs a,b"),
        (["run", "loans.csv", "--costs", "0,0"], "not both 0"),
        (["run", "loans.csv", "--costs", "1,nan"], "costs 1, nan"),
        (["run", "loans.csv", "--threshold", "1.5"], "between 0 and 1"),
        (["run", "loans.csv", "--threshold", "0.5", "--costs", "1,2"], "one of them"),
        (["run", "loans.csv", "--threshold", "0.5", "--positive", "yess"], "did you mean 'yes'?"),
        (["iris", "loans.csv", "--costs", "1,2"], "costs for classification into 3 classes"),
        (["iris", "loans.csv", "--threshold", "0.3"], "expected classification into two classes"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(predict: Predict, words: list[str], message: str) -> None:
    code, found, err = predict(*words)
    assert (code, len(found)) == (2, 0)
    assert err.count("\n") == 1
    assert message in err


def test_a_star_in_python_refuses_the_same(place: Path) -> None:
    with pytest.raises(UserError, match="into 3 classes"):
        star.load(place / "iris").choose_threshold((1, 2))
