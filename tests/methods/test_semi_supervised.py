"""What all methods have in common that learn from few labels beside many examples without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods import few

from thetastar import equation
from thetastar.errors import UserError
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe
from thetastar.registry import build

METHODS = (
    "pseudo_labels",
    "entropy_minimisation",
    "pi_model",
    "temporal_ensembling",
    "mean_teacher",
    "vat",
    "mixmatch",
    "fixmatch",
)


def weights(method: Any) -> dict[str, torch.Tensor]:
    model = {"name": "mlp", "widths": [16]}
    settings = {"algorithm": {"name": "sgd", "lr": 0.1}, "budget": {"steps": 30}, "engine": {"evaluations": 0}}
    return equation.fit(few.recipe(method, few.BARS, model, **settings)).program.f.state_dict()


@pytest.mark.parametrize("name", sorted({*METHODS} - {"mixmatch"}))  # which mixes the labelled ones too
def test_without_weight_the_unlabelled_examples_change_nothing(name: str) -> None:
    alone = weights("supervised")
    for key, value in weights({"name": name, "weight": 0.0}).items():
        torch.testing.assert_close(value, alone[key], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weights({"name": name, "weight": 1.0, "ramp": 0.0})["head.weight"], alone["head.weight"])


@pytest.mark.parametrize("name", METHODS)
def test_data_without_unlabelled_examples_and_other_targets_are_refused(name: str) -> None:
    given = Recipe(data={"name": "resident", "source": "bars"}, method=name, budget={"steps": 1})
    with pytest.raises(UserError, match=f"{name} on data without unlabelled examples.*few_labels"):
        equation.fit(given)
    with pytest.raises(UserError, match=f"{name} on regression.*expected classes"):
        build("methods", name).attach(None, Schema(Field("vector", (2,)), Field("number")))


@pytest.mark.parametrize("name", METHODS)
def test_by_its_name_alone_it_gets_few_labels(name: str) -> None:
    stream = few.assembled(name, "blobs")[0]
    assert {"input", "target", "index", "unlabelled"} <= set(few.first_batch(stream))
