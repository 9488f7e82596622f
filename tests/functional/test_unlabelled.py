"""What methods with an unlabelled part share: one pass over several batches, sharpening, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.errors import UserError
from thetastar.functional.unlabelled import disagreement, sharpened, together, unlabelled
from thetastar.models.mlp import mlp
from thetastar.protocols import Field, Schema


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.1])
def test_sharpening_is_a_power_and_a_division(temperature: float) -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    expected = [[entry ** (1 / temperature) / sum(e ** (1 / temperature) for e in row) for entry in row] for row in p]
    np.testing.assert_allclose(sharpened(torch.tensor(p), temperature), expected, rtol=1e-9, atol=1e-30)


def test_sharpening_stays_finite_where_powers_do_not() -> None:
    p = torch.tensor([[1e-30, 2e-30, 1.0], [0.0, 0.0, 1.0]])
    assert torch.equal(sharpened(p, 0.01), torch.tensor([[0.0, 0.0, 1.0]] * 2))


def test_disagreement_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.25, 0.75], [0.0, 1.0]])
    torch.testing.assert_close(disagreement(p, q), torch.tensor([0.125, 2.0]))


def test_one_pass_has_one_set_of_moments() -> None:
    schema = Schema(Field("vector", (3,)), Field("category", classes=2))
    f = mlp(schema, widths=(4,), norm="batch").train()
    one, other = torch.randn(6, 3), 2 + torch.randn(10, 3)
    a, b = together(f, one, other)
    assert (a.shape, b.shape) == ((6, 2), (10, 2))
    torch.testing.assert_close(torch.cat([a, b]), f(torch.cat([one, other])))
    assert not torch.allclose(a, f(one))  # alone it is normalised by other moments
    f.hidden[1].reset_running_stats()
    together(f, one, other)
    hidden = f.hidden[0](torch.cat([one, other]))
    torch.testing.assert_close(f.hidden[1].running_mean, 0.1 * hidden.mean(0))


def test_data_without_unlabelled_examples_are_refused() -> None:
    with pytest.raises(UserError, match=r"vat on data without unlabelled examples.*few_labels"):
        unlabelled({"input": torch.zeros(2, 3)}, "vat")
