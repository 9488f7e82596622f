"""Elastic weight consolidation: its Fisher information one example at a time, and what it keeps of an earlier task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import thetastar as ts
from thetastar.defaults import open_stream
from thetastar.functional.gathering import plain_batches
from thetastar.outer.sequence import Journey, sequence
from thetastar.recipe import Recipe

PLAIN = {"evaluations": 0, "precision": "float32"}


def short(method: Any, **budget: int) -> ts.Star:
    return ts.fit("blobs", {"name": "mlp", "widths": [5]}, method, engine=PLAIN, **(budget or {"steps": 20}))


def squares(star: ts.Star, drawn: bool) -> Tensor:
    """(1/n) Σ (∂ log p(yᵢ | xᵢ))², example by example with plain autograd."""
    f, total, count = star.program.f.eval(), None, 0
    t = star.clock
    for number, batch in enumerate(plain_batches(star.stream, "train", t)):
        y = batch["target"]
        if drawn:
            y = star.program.method.labelled(f, batch, t.key("fisher", number), t)["target"]
        for i in range(len(y)):
            slopes = torch.autograd.grad(-F.log_softmax(f(batch["input"][i : i + 1]), 1)[0, y[i]], list(f.parameters()))
            square = torch.cat([slope.flatten() for slope in slopes]).square()
            total = square if total is None else total + square
            count += 1
    return total / count


@pytest.mark.parametrize("labels", ["given", "drawn"])
def test_the_fisher_information_equals_the_mean_of_single_squared_gradients(labels: str) -> None:
    star = short({"name": "ewc", "labels": labels})
    method = star.program.method
    found = method.information(star.program.f, star.stream, star.clock)
    torch.testing.assert_close(found, squares(star, labels == "drawn"), rtol=1e-4, atol=1e-8)
    if labels == "given":  # the same examples in another order
        torch.testing.assert_close(method.fisher, found)
    assert torch.equal(method.anchor, torch.cat([p.flatten() for p in star.program.f.parameters()]))


def test_the_fisher_information_is_that_of_the_plain_examples() -> None:
    """Neither augmentation nor a dropped last batch of training changes what it is measured on."""
    star = short({"name": "ewc", "labels": "given"})
    method, f = star.program.method, star.program.f
    changed = {"name": "blobs", "batch_size": 64, "drop_last": True, "augment": [{"name": "noise", "std": 3.0}]}
    found = method.information(f, open_stream(changed), star.clock)
    torch.testing.assert_close(found, method.information(f, star.stream, star.clock))


def test_drawn_labels_have_the_models_chances() -> None:
    star = short({"name": "ewc"}, steps=3)
    batch = {"input": torch.full((4000, 2), 0.3), "target": torch.zeros(4000, dtype=torch.int64)}
    drawn = star.program.method.labelled(star.program.f, batch, 5, star.clock)["target"]
    expected = star.program.f(batch["input"][:1]).softmax(1)[0]
    torch.testing.assert_close(torch.bincount(drawn, minlength=3) / 4000, expected, atol=0.03, rtol=0)


def test_the_penalty_is_a_parabola_around_the_anchor() -> None:
    star = short({"name": "ewc", "strength": 3.0})
    program, batch = star.program, next(star.stream.batches("train", star.clock))
    method = program.method
    plain = method.inner.loss(program.f, batch, star.clock)[0].item()
    assert method.loss(program.f, batch, star.clock)[0].item() == pytest.approx(plain)
    with torch.no_grad():
        program.f.head.weight[1, 2] += 0.5
    moved = method.inner.loss(program.f, batch, star.clock)[0].item()
    place = [name for name, _ in program.f.named_parameters()].index("head.weight")
    start = sum(p.numel() for p in list(program.f.parameters())[:place])
    weight = method.fisher[start + 1 * 5 + 2].item()
    found = method.loss(program.f, batch, star.clock)[0].item()
    assert found - moved == pytest.approx(0.5 * 3.0 * weight * 0.25, rel=1e-3)


def test_what_it_knows_is_saved_and_loaded_and_adds_up(tmp_path: Path) -> None:
    star = short({"name": "ewc", "decay": 0.5, "labels": "given"})
    star.save(tmp_path / "run")
    again = ts.load(tmp_path / "run")
    method, loaded = star.program.method, again.program.method
    assert torch.equal(loaded.fisher, method.fisher)
    assert torch.equal(loaded.anchor, method.anchor)
    before = loaded.fisher.clone()
    loaded.consolidate(again.program.f, again.stream, star.clock)
    torch.testing.assert_close(loaded.fisher, 1.5 * before)


def two_tasks(method: Any, seed: int) -> Journey:
    recipe = Recipe(
        data="digits",
        model={"name": "mlp", "widths": [64]},
        method=method,
        algorithm={"name": "adamw", "lr": 0.003, "weight_decay": 0.0},
        measures=["accuracy"],
        budget={"epochs": 8},
        engine=PLAIN,
        seed=seed,
    )
    return sequence(recipe, [{"name": "permuted", "source": "digits", "task": k, "batch_size": 128} for k in (0, 1)])


def test_on_permuted_digits_it_forgets_less_than_the_naive_learner_for_every_seed() -> None:
    for seed in range(3):
        naive = two_tasks("supervised", seed)
        kept = two_tasks({"name": "ewc", "strength": 30.0}, seed)
        assert naive.forgetting[0] > 0.1
        assert kept.forgetting[0] < 0.5 * naive.forgetting[0]
        assert kept.final > naive.final


def test_strength_zero_is_the_naive_learner() -> None:
    naive, off = two_tasks("supervised", 0), two_tasks({"name": "ewc", "strength": 0.0}, 0)
    weights = naive.star.program.f.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in off.star.program.f.state_dict().items())
    assert (naive.matrix == off.matrix).all()


def test_so_much_strength_that_nothing_new_is_learnt() -> None:
    """The known price: an overwhelming penalty keeps the first task and learns nothing of the second."""
    stiff = two_tasks({"name": "ewc", "strength": 1e6}, 0)
    assert stiff.forgetting[0] < 0.02
    assert stiff.matrix[1, 1] < 0.5
