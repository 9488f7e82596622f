"""Adversarial training: the inner method where there is no attack, sturdier than its twin where there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import thetastar as ts
from thetastar import contract
from thetastar.errors import UserError
from thetastar.functional.attacks import pgd_attack
from thetastar.functional.keys import keyed, reseed
from thetastar.star import Star

PLAIN = {"evaluations": 0, "precision": "float32"}
EPS = 0.1


def digits_star(method: Any, seed: int) -> Star:
    return ts.fit(
        {"name": "digits", "batch_size": 128, "valid": 0.3, "test": 0.0},
        {"name": "mlp", "widths": [64]},
        method,
        {"name": "adamw", "lr": 0.01},
        epochs=12,
        seed=seed,
        engine=PLAIN,
    )


def robust_accuracy(star: Star) -> float:
    """Accuracy on valid under an attack twice as long as the one in training, from another start."""
    f, right, count = star.program.f.eval(), 0.0, 0
    for batch in star.stream.batches("valid", star.clock):
        x, y = batch["input"], batch["target"]
        worst = pgd_attack(lambda z, y=y: F.cross_entropy(f(z), y), x, eps=EPS, step_size=EPS / 4, steps=10)
        right += (f(worst).argmax(1) == y).sum().item()
        count += len(y)
    return right / count


def test_adversarial_training_is_more_robust_than_its_twin_for_every_seed() -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        standard = robust_accuracy(digits_star("supervised", seed))
        hardened = robust_accuracy(digits_star({"name": "pgd", "eps": EPS, "steps": 4}, seed))
        assert hardened > standard + 0.1


@pytest.mark.parametrize("off", [{"eps": 0.0}, {"steps": 0}])
def test_without_an_attack_it_is_the_inner_method_bit_for_bit(off: dict[str, Any]) -> None:
    model = {"name": "mlp", "widths": [16], "dropout": 0.3, "norm": "batch"}
    plain, wrapped = (
        ts.fit("bars", model, method, steps=12, engine=PLAIN).program.f.state_dict()
        for method in ("supervised", {"name": "pgd", **off})
    )
    assert all(torch.equal(value, wrapped[name]) for name, value in plain.items())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_loss_is_the_inner_loss_at_the_attacked_inputs_and_buffers_move_once(norm: str) -> None:
    trial = contract.opened("methods", "pgd")
    method = trial.program.method
    method.norm, method.random_start = norm, False
    plain = method.inner.loss(trial.program.f, trial.batch, trial.clock)[0]
    worst = method.attack(trial.program.f, trial.batch, trial.clock)
    there = method.inner.loss(trial.program.f, {**trial.batch, "input": worst}, trial.clock)[0]
    assert method.loss(trial.program.f, trial.batch, trial.clock)[0] == there
    assert there > plain


def test_the_attack_writes_no_batch_norm_moments() -> None:
    from thetastar import equation
    from thetastar.defaults import completed, open_stream
    from thetastar.recipe import Recipe

    recipe = Recipe(data="bars", model={"name": "mlp", "widths": [8], "norm": "batch"}, method="pgd")
    stream = open_stream(recipe.data)
    program = equation.assemble(completed(recipe, stream), stream.schema)
    batch = next(stream.batches("train", ts.protocols.Clock(0)))
    before = {name: value.clone() for name, value in program.state_dict().items()}
    program.method.attack(program.f, batch, ts.protocols.Clock(0))
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())


def test_under_autocast_the_weights_still_receive_their_gradient() -> None:
    trial = contract.opened("methods", "pgd")

    def slopes(bf16: bool) -> torch.Tensor:
        trial.program.zero_grad()
        reseed(0)
        with keyed(torch.tensor(0)), torch.autocast("cpu", torch.bfloat16, bf16):
            trial.program("loss", trial.batch, trial.clock)[0].backward()
        return torch.cat([p.grad.flatten() for p in trial.program.f.parameters()])

    assert torch.cosine_similarity(slopes(False), slopes(True), dim=0) > 0.98


def test_inputs_that_cannot_be_moved_a_little_are_refused() -> None:
    with pytest.raises(UserError, match="images or vectors"):
        ts.fit("cartpole", {"name": "mlp", "widths": [4]}, "pgd", steps=1)
