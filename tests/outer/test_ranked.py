"""Curves of kept answers are those of scikit-learn on the probabilities that the model gave."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference
import torch

from thetastar.functional.answers import answers
from thetastar.outer.ranked import Ranked, ranked
from thetastar.report import thresholds


def kept(logits: np.ndarray, target: np.ndarray) -> Ranked | None:
    """What remains of a run's answers, made into curves."""
    p = torch.softmax(torch.tensor(logits, dtype=torch.float32), 1)
    columns = answers({"probabilities": p, "prediction": p.argmax(1)}, {"target": torch.tensor(target)}, "category")
    return ranked(columns["of_truth"].numpy(), target == 1)


@pytest.mark.shows("F10")
@pytest.mark.parametrize("decimals", [0, 2])  # many ties, few ties
def test_curves_and_areas_are_scikit_learns(decimals: int) -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 2, 300)
    logits = (random.standard_normal((300, 2)) + np.eye(2)[target]).round(decimals)
    found = kept(logits, target)
    assert found is not None
    score = (logits[:, 1] - logits[:, 0]).round(decimals)
    assert found.area == pytest.approx(reference.roc_auc_score(target, score), abs=1e-12)
    assert found.precision == pytest.approx(reference.average_precision_score(target, score), abs=1e-12)
    assert found.share == target.mean()
    x, y, _ = reference.roc_curve(target, score, drop_intermediate=False)
    np.testing.assert_allclose(found.roc, np.stack([x, y], 1))
    precision, recall, _ = reference.precision_recall_curve(target, score)
    np.testing.assert_allclose(found.recall_precision, np.stack([recall, precision], 1)[::-1])


@pytest.mark.shows("F10")
def test_sure_answers_are_not_ranked_by_the_digits_that_were_kept() -> None:
    """p = 1e-9 is kept as it is for one class and as 1 for the other: both are 0 here, a tie."""
    found = kept(np.tile([20.7, 0.0], (10, 1)), np.array([0, 1] * 5))
    assert found is not None
    assert (found.area, found.precision) == (0.5, 0.5)
    assert kept(np.zeros((4, 2)), np.ones(4, np.int64)) is None
    assert kept(np.zeros((4, 2)), np.zeros(4, np.int64)) is None


@pytest.mark.shows("F10")
def test_figures_beside_the_drawing_by_hand() -> None:
    """Scores 0.9⁺ 0.8⁺ 0.7⁻ 0.6⁺ 0.5⁻ 0.4⁺: half is found at 0.8, all of them at 0.4."""
    score, positive = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([1, 1, 0, 1, 0, 1]).astype(bool)
    found = ranked(np.where(positive, score, 1 - score), positive)
    assert found is not None
    table = {row[0]: row[1:] for row in thresholds.rows([found])}
    assert table["50%"] == ("100.0%", "0.0%")
    assert table["99%"] == ("66.7%", "100.0%")
    assert found.precision == pytest.approx((1 + 1 + 3 / 4 + 4 / 6) / 4)
    assert thresholds.message([found]) == f"ROC-AUC {1 - 3 / 8:.3f}, average precision 0.854"
    assert [thresholds.short(values) for values in ([1.0, 1.0], [1.0, 0.9999], [0.5])] == ["1", "above 0.999", "0.500"]


def test_a_thinned_curve_keeps_its_corners() -> None:
    rates = np.repeat(np.linspace(0, 1, 20_001), 2)
    stairs = np.stack([rates[:-1], rates[1:]], 1)
    thin = thresholds.thinned(stairs)
    assert len(thin) < 2000
    assert thin[0].tolist() == stairs[0].tolist()
    assert thin[-1].tolist() == stairs[-1].tolist()
    np.testing.assert_allclose(np.interp(0.37, *thin.T), 0.37, atol=0.005)
    step = np.array([[0, 0], [0, 0.0001], [0, 0.9], [0.0001, 0.9], [0.5, 0.9], [1, 1]])
    assert np.interp(0.25, *thresholds.thinned(step).T) == pytest.approx(0.9, abs=0.01)
