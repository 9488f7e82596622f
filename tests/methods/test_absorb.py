"""Learning without steps: all rows in stored order, no trace of the seed, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import star
from thetastar.errors import UserError
from thetastar.functional.gathering import gathered, label_logits, vote_logits
from thetastar.protocols import Clock


def test_the_training_split_is_taken_in_whole_and_in_order() -> None:
    found = star.fit("bars", model="knn", seed=5)
    assert found.facts["steps"] == 0
    index = torch.as_tensor(found.stream.rows["train"])
    assert torch.equal(found.program.f.memory, found.stream.columns["input"][index].flatten(1))
    assert torch.equal(found.program.f.answers, found.stream.columns["target"][index])
    again = gathered(found.stream, "train", Clock(seed=6))
    assert torch.equal(again[0].flatten(1), found.program.f.memory)


def test_no_valid_split_is_needed() -> None:
    found = star.fit({"name": "bars", "valid": 0.0}, model="knn")
    assert "valid" not in found.measures
    assert len(found.program.f.memory) == 256 - round(0.2 * 256)


@pytest.mark.parametrize(
    ("model", "method", "says"),
    [("mlp", "absorb", "choose method supervised"), ("knn", "supervised", "choose method absorb")],
)
def test_a_model_and_a_method_that_do_not_fit_are_refused(model: str, method: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        star.fit("bars", model=model, method=method)


def test_smoothed_votes_by_hand() -> None:
    p = torch.softmax(vote_logits(torch.tensor([[3.0, 0.0, 1.0]]), 4, 1.0), -1)
    assert p[0].tolist() == pytest.approx(np.array([3 + 1 / 3, 1 / 3, 1 + 1 / 3]) / 5)
    q = torch.sigmoid(label_logits(torch.tensor([3.0]), 4, 1.0))
    assert q.item() == pytest.approx(3.5 / 5)
