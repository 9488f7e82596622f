"""The range test: near the edge of a planted quadratic, better than rates far off, and nothing changed by it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import thetastar as ts
from thetastar import equation, rates
from thetastar.cli import main
from thetastar.defaults import completed, open_for
from thetastar.errors import UserError
from thetastar.protocols import Program
from thetastar.recipe import Recipe
from thetastar.star import train

SMALL = {"name": "mlp", "widths": [16]}


def swept(**letters: Any) -> rates.Sweep:
    recipe = Recipe(**letters)
    stream = open_for(recipe)
    found = rates.settled(recipe, stream)[1]
    assert found is not None
    return found


def same(one: Program, other: Program) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.shows("O3")
@pytest.mark.parametrize("entries", [2, 4, 12])
@pytest.mark.parametrize("batch", ["all", 32])
def test_on_a_quadratic_it_is_within_a_factor_of_ten_below_the_edge(entries: int, batch: Any) -> None:
    """Least squares in standard units diverges under gradient descent from 2 / λ_max on, λ_max that of 2 XᵀX / n."""
    data = {"name": "plane", "entries": entries, "batch_size": batch}
    recipe = Recipe(
        data=data, model="linear", method="supervised", algorithm={"name": "sgd", "momentum": 0.0, "lr": "auto"}
    )
    stream = open_for(recipe)
    full, found = rates.settled(recipe, stream)
    assert found is not None
    batch_of_all = stream.examples("train")  # type: ignore[attr-defined]
    x = batch_of_all["input"].double().numpy()
    x = np.hstack([(x - x.mean(0)) / x.std(0), np.ones((len(x), 1))])  # as the first layer standardises
    edge = 2 / np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
    assert edge / 10 <= found.chosen < edge
    assert full.algorithm["lr"] == found.chosen
    assert found.left is not None
    assert found.left > edge


@pytest.mark.shows("O3")
@pytest.mark.parametrize("algorithm", ["sgd", "adamw"])
def test_it_beats_rates_a_hundredth_and_thirty_times_as_large(algorithm: str) -> None:
    """Digits, three seeds: loss on valid after three epochs, and never far behind the rule's usual rate."""
    usual, chosen, small, large = [], [], [], []
    for seed in range(3):
        recipe = Recipe(data="digits", model=SMALL, algorithm=algorithm, budget={"epochs": 3}, seed=seed)
        stream = open_for(recipe)
        full = completed(recipe, stream)
        rate = swept(data="digits", model=SMALL, algorithm={"name": algorithm, "lr": "auto"}, seed=seed).chosen
        for lr, into in ((full.algorithm["lr"], usual), (rate, chosen), (rate / 100, small), (30 * rate, large)):
            outcome = equation.fit(full.replace(algorithm={**full.algorithm, "lr": lr}), stream=stream)
            nll = outcome.values["nll"]
            into.append(nll if math.isfinite(nll) else math.inf)
    for one, low, high in zip(chosen, small, large, strict=True):
        assert one < low
        assert one < high
    assert np.mean(chosen) < np.mean(usual) + 0.1


@pytest.mark.shows("O3")
def test_training_is_that_of_the_number_written_out_to_the_bit(tmp_path: Path) -> None:
    model = {**SMALL, "dropout": 0.2, "norm": "batch"}
    letters: dict[str, Any] = {"data": "bars", "model": model, "epochs": 2, "seed": 3}
    star = ts.fit(**letters, algorithm={"name": "sgd", "lr": "auto"}, out=tmp_path / "auto")
    rate = star.recipe.algorithm["lr"]
    assert isinstance(rate, float)
    again = ts.fit(**letters, algorithm={"name": "sgd", "lr": rate})
    assert same(star.program, again.program)
    assert star.measures == again.measures
    assert star.recipe == again.recipe
    kept = json.loads((tmp_path / "auto" / "learning_rate.json").read_text())
    assert kept["chosen"] == rate
    assert len(kept["rates"]) == len(kept["losses"])
    assert "prefers-color-scheme: dark" in (tmp_path / "auto" / "learning_rate.svg").read_text()
    assert f"lr: {rate}" in (tmp_path / "auto" / "recipe.yaml").read_text()
    assert ts.load(tmp_path / "auto").recipe.algorithm["lr"] == rate


def test_the_sweep_is_a_function_of_the_seed_and_leaves_program_stream_and_generator() -> None:
    recipe = Recipe(data="bars", model=SMALL, algorithm={"name": "adamw", "lr": "auto"}, seed=1)
    stream = open_for(recipe)
    full = rates.completed(recipe, stream)
    start = equation.assemble(full, stream.schema)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    state = torch.default_generator.get_state()
    first = rates.settled(recipe, stream, start)[1]
    assert torch.equal(state, torch.default_generator.get_state())
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())
    assert rates.settled(recipe, open_for(recipe))[1] == first
    assert rates.settled(recipe.replace(seed=2), stream)[1] != first


def test_the_rule_on_curves_that_are_known() -> None:
    """A fall to a bowl at 0.1, a rise after 1; then a curve that only falls."""
    sweep = [1e-5 * 10 ** (k / 20) for k in range(120)]
    bowl = [1 + math.log10(rate / 0.1) ** 2 if rate < 1 else 2 + 40 * (rate - 1) for rate in sweep]
    found = rates.judged("sgd", sweep, bowl)
    assert found.lowest == pytest.approx(0.1, rel=0.2)
    assert found.left == sweep[-1]
    assert found.chosen == float(f"{found.lowest / 2:.2g}")
    edge = rates.judged("sgd", sweep[:105], [*bowl[:104], math.inf])
    assert edge.left == sweep[104]
    assert len(edge.smoothed) == 104
    falling = [1 / (1 + (rate / 0.01) ** 2) for rate in sweep]
    found = rates.judged("sgd", sweep, falling)
    assert found.left is None
    assert 0.003 < found.chosen < 0.03, "where it falls most, since no rate was too large"
    with pytest.raises(UserError, match="not finite"):
        rates.judged("sgd", sweep[:1], [math.inf])


def test_noise_around_a_tiny_loss_is_no_rise() -> None:
    random = np.random.default_rng(0)
    losses = [1.0] * 20 + [float(value) for value in 1e-6 * random.exponential(size=200) ** 4]
    assert not any(rates.has_left(losses[:k]) for k in range(1, len(losses)))
    assert rates.has_left([*losses, *[1.0] * 5])


def test_a_plan_without_the_name_of_a_rule_and_several_seeds() -> None:
    star = ts.fit("bars", SMALL, algorithm={"lr": "auto", "weight_decay": 0.0}, steps=4)
    assert star.recipe.algorithm["name"] == "adamw"
    assert star.recipe.algorithm["weight_decay"] == 0.0
    assert 1e-4 < star.recipe.algorithm["lr"] < 1


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ({"algorithm": {"name": "lbfgs", "lr": "auto"}}, "lbfgs, which has no rate"),
        ({"algorithm": {"name": "newton", "lr": "auto"}}, "newton, which has no rate"),
        ({"model": "knn", "algorithm": {"name": "sgd", "lr": "auto"}}, "takes no steps"),
        ({"method": "population", "algorithm": {"name": "sgd", "lr": "auto"}}, "several nets"),
        ({"algorithm": {"name": "sgd", "lr": "fast"}}, "a number > 0"),
    ],
)
def test_what_has_no_single_rate_is_refused(letters: dict[str, Any], words: str, tmp_path: Path) -> None:
    recipe = Recipe(**{"data": "blobs", "model": SMALL, "budget": {"steps": 2}, **letters})
    with pytest.raises(UserError, match=words):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "a mistake leaves no folder"


def test_outside_of_fit_it_is_refused() -> None:
    recipe = Recipe(data="blobs", model=SMALL, algorithm={"name": "sgd", "lr": "auto"}, budget={"steps": 2})
    with pytest.raises(UserError, match="it is fit that tests"):
        equation.fit(recipe)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["fit", "bars", "--model", "mlp", "model.widths=[16]", "algorithm.lr=auto", "--steps", "5"]
    assert main([*words, "--out", "run"]) == 0
    captured = capsys.readouterr()
    kept = json.loads(Path("run/learning_rate.json").read_text())
    assert f"learning rate {kept['chosen']:g} by a range test" in captured.err
    assert main([*words, "--out", "run"]) == 0, "the same words find the same rate, and the finished run"
    assert capsys.readouterr().out == captured.out
    assert main([*words, "--print"]) == 0
    assert f"lr: {kept['chosen']}" in capsys.readouterr().out
    assert main([*words, "--seeds", "2", "--out", "many"]) == 0
    capsys.readouterr()
    both = [json.loads(Path(f"many/seed-{seed}/learning_rate.json").read_text()) for seed in range(2)]
    assert both[0] == kept
    assert both[1]["losses"] != kept["losses"]
    assert main(["compare", "bars", "--models", "mlp", "algorithm.lr=auto", "--seeds", "2"]) == 2
    assert "it is fit that tests a range of rates" in capsys.readouterr().err
