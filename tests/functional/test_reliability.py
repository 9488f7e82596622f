"""Bins of a reliability diagram, and answers kept of every example."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.calibration import calibration_curve

from thetastar.functional.answers import answers
from thetastar.functional.reliability import reliability_means, reliability_sums


def drawn(count=500):
    random = np.random.default_rng(0)
    probability = random.random(count)
    return probability, random.random(count) < probability**2


def test_bins_are_those_of_scikit_learn():
    probability, came_true = drawn()
    sums = reliability_sums(torch.from_numpy(probability), torch.from_numpy(came_true), 10)
    count, mean, frequency = (part.numpy() for part in reliability_means(sums))
    true, predicted = calibration_curve(came_true, probability, n_bins=10)
    np.testing.assert_allclose(frequency[count > 0], true)
    np.testing.assert_allclose(mean[count > 0], predicted)
    np.testing.assert_array_equal(count, np.histogram(probability, 10, (0, 1))[0])


def test_sums_of_parts_add_up_and_empty_bins_are_nought():
    probability, came_true = map(torch.from_numpy, drawn())
    parts = [reliability_sums(probability[part], came_true[part], 7) for part in (slice(100), slice(100, None))]
    torch.testing.assert_close(sum(parts), reliability_sums(probability, came_true, 7))
    count, mean, frequency = reliability_means(reliability_sums(torch.tensor([1.0, 0.95]), torch.tensor([1, 0]), 10))
    assert count.tolist() == [0.0] * 9 + [2.0]
    assert (mean[:9] == 0).all()
    assert frequency[9] == 0.5


def test_answers_keep_the_probabilities_of_what_was_said_and_of_what_is_true():
    shares = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    batch = {"target": torch.tensor([0, 1]), "index": torch.tensor([40, 7])}
    kept = answers({"prediction": shares.argmax(-1), "probabilities": shares}, batch, "category")
    assert kept["predicted"].tolist() == [0, 2]
    assert kept["row"].tolist() == [40, 7]
    torch.testing.assert_close(kept["confidence"], torch.tensor([0.7, 0.6]))
    torch.testing.assert_close(kept["of_truth"], torch.tensor([0.7, 0.3]))


def test_answers_of_several_numbers_or_of_no_target_are_not_kept():
    assert answers({"prediction": torch.zeros(2, 3)}, {"target": torch.zeros(2, 3)}, "number") == {}
    assert answers({"features": torch.zeros(2, 3)}, {}, "category") == {}
    one = answers({"prediction": torch.tensor([[1.0], [2.0]])}, {"target": torch.tensor([1.0, 4.0])}, "number")
    assert one["predicted"].tolist() == [1.0, 2.0]
