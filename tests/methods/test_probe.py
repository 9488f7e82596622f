"""The linear probe: logistic regression on features that stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from thetastar import equation, registry
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.gathering import gathered
from thetastar.methods.probe import probe
from thetastar.protocols import Clock, Model
from thetastar.recipe import Recipe
from thetastar.star import Star

NET = {"name": "cnn", "channels": [4, 8], "hidden": 24, "norm": "batch", "dropout": 0.5}


def recipe(**more: Any) -> Recipe:
    given: dict[str, Any] = {"data": "digits", "model": NET, "method": "probe", "budget": {"steps": 20}, **more}
    given["engine"] = {"evaluations": 0, **given.get("engine", {})}
    return Recipe(**given)


def shaken(kept: Path) -> Path:
    """A net whose batch-norm moments are those of data, as after training."""
    method = {"name": "supervised"}
    outcome = equation.fit(recipe(method=method, algorithm={"name": "adamw", "lr": 3e-3}, budget={"steps": 60}))
    Star.of(outcome).save(kept)
    return kept


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shaken(tmp_path_factory.mktemp("probe") / "net")


@pytest.mark.parametrize("l2", [0.003, 0.1])
def test_it_is_multinomial_logistic_regression_on_the_features(trained: Path, l2: float) -> None:
    method = {"name": "probe", "inner": {"name": "penalised", "l2": l2}}
    data = {"name": "digits", "batch_size": "all", "keep": 300}
    engine = {"weights": str(trained)}
    outcome = equation.fit(recipe(data=data, method=method, algorithm="lbfgs", budget={"steps": 80}, engine=engine))
    f, stream = outcome.program.f.eval(), outcome.stream
    with torch.no_grad():
        x, y = gathered(stream, "train", Clock(0))
        z = f.features(x).double().numpy()
        unseen = f.features(stream.sample("valid", 270)["input"])
        ours = torch.softmax(f.head(unseen), 1).numpy()
    reference = LogisticRegression(C=1 / (l2 * len(z)), max_iter=5000, tol=1e-9).fit(z, y.numpy())
    linear = next(layer for layer in f.head.modules() if isinstance(layer, nn.Linear))
    np.testing.assert_allclose(linear.weight.detach().numpy(), reference.coef_, atol=2e-3)
    np.testing.assert_allclose(ours, reference.predict_proba(unseen.double().numpy()), atol=2e-3)


def test_all_but_the_head_stays_as_it_was_moments_and_averaged_weights_included(trained: Path) -> None:
    algorithm = {"name": "adamw", "lr": 0.01, "ema": 0.9}
    whole = recipe(engine={"weights": str(trained)}, algorithm=algorithm)
    stream = open_stream("digits")
    full = completed(whole, stream)
    before = {k: v.clone() for k, v in equation.assemble(full, stream.schema).state_dict().items()}
    after = equation.fit(whole).program.state_dict()
    assert any("running_mean" in name for name in after)
    for name, value in after.items():
        assert torch.equal(value, before[name]) == (".head." not in name or value.numel() < 2), name


def test_the_loss_sees_what_predict_sees(trained: Path) -> None:
    stream = open_stream("digits")
    program = equation.assemble(completed(recipe(engine={"weights": str(trained)}), stream), stream.schema)
    batch = stream.sample("train", 64)
    program.train()
    program.f.convolutions[1].eval()  # what was set apart before is set apart afterwards
    modes = {name: module.training for name, module in program.named_modules()}
    value, _ = program("loss", batch, Clock(0))
    assert {name: module.training for name, module in program.named_modules()} == modes
    with torch.no_grad():
        expected = nn.functional.cross_entropy(program.eval().f(batch["input"]), batch["target"])
    torch.testing.assert_close(value.detach(), expected)


def test_learnt_features_serve_better_than_random_ones(trained: Path) -> None:
    values = {}
    for name, engine in (("learnt", {"weights": str(trained)}), ("random", {})):
        values[name] = equation.fit(recipe(engine=engine, budget={"steps": 100})).values["accuracy"]
    assert values["learnt"] > values["random"] + 0.05


class Bare(Model):
    """A model whose head has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.width = nn.Linear(4, 3), nn.Identity(), 3

    def features(self, x: Any) -> torch.Tensor:
        return self.body(x)


def test_a_head_without_weights_is_refused() -> None:
    with pytest.raises(UserError, match="probe of Bare, whose head has no weights"):
        probe(inner=registry.build("methods", "supervised")).attach(Bare(), open_stream("iris").schema)
