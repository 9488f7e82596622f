"""Supervised learning of masks: the risk is a mean over known pixels, however a batch is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.masks import VOID, cross_entropies, dice
from thetastar.methods.supervised import supervised
from thetastar.protocols import Clock, Field, Model, Schema

SCHEMA = Schema(Field("image", (3, 6, 6)), Field("mask", (6, 6), 3, ("ground", "cat", "dog"), counts=(800, 150, 50)))


class pixelwise(Model):
    """A linear map of every pixel, and the same with a weight beside it as an auxiliary head."""

    def __init__(self, aside: float = 0.0) -> None:
        super().__init__()
        self.head, self.aside = nn.Conv2d(3, 3, 1), aside
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        return x

    def heads(self, x: Tensor) -> list[tuple[float, Tensor]]:
        return [(1.0, self(x)), *([(self.aside, 2 * self(x))] if self.aside else [])]


def batch(rows: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(rows)
    mask = torch.randint(0, 3, (rows, 6, 6), generator=draw)
    for row in range(rows):
        mask[row, : row % 6] = VOID  # every image has another number of known pixels
    return {"input": torch.rand(rows, 3, 6, 6, generator=draw), "target": mask}


def method(**arguments: Any) -> supervised:
    made = supervised(**arguments)
    made.attach(pixelwise(), SCHEMA)
    return made


LOSSES = [
    {"loss": "auto"},
    {"loss": "cross_entropy", "class_weights": "balanced", "label_smoothing": 0.1},
    {"loss": "dice"},
    {"loss": "cross_entropy+dice"},
]


@pytest.mark.shows("V7")
@pytest.mark.parametrize("arguments", LOSSES, ids=lambda given: "-".join(map(str, given.values())))
def test_a_step_on_parts_is_a_step_on_the_whole(arguments: dict[str, Any]) -> None:
    whole, t = batch(12), Clock(0)
    ends: list[Tensor] = []
    for cut in ([0, 12], [0, 1, 5, 6, 12]):
        f, objective = pixelwise(0.4), method(**arguments)
        algorithm = registry.build("algorithms", {"name": "sgd", "lr": 0.5, "schedule": None})
        (move,) = objective.moves(f)
        window = [{n: x[a:b] for n, x in whole.items()} for a, b in pairwise(cut)]
        algorithm.update(move, lambda part, _, f=f, o=objective: o.loss(f, part, t), window, algorithm.init(move), t)
        ends.append(f.head.weight.detach().clone())
    assert not torch.equal(ends[0], pixelwise().head.weight)
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


def test_every_known_pixel_counts_by_the_weight_of_its_class() -> None:
    given, f = batch(4), pixelwise()
    value, aux = method(class_weights="balanced").loss(f, given, Clock(0))
    counted = given["target"] != VOID
    weight = torch.tensor([1000 / (3 * n) for n in (800, 150, 50)])[given["target"][counted]]
    each = cross_entropies(f(given["input"]), given["target"])[counted]
    torch.testing.assert_close(value, (weight * each).sum() / weight.sum())
    torch.testing.assert_close(aux.weight, weight.sum())


def test_both_losses_are_the_sum_of_each_and_an_auxiliary_head_adds_its_share() -> None:
    given = batch(5)

    def value(loss: str, aside: float = 0.0) -> float:
        return method(loss=loss).loss(pixelwise(aside), given, Clock(0))[0].item()

    assert value("cross_entropy+dice") == pytest.approx(value("cross_entropy") + value("dice"))
    known = (given["target"] != VOID).sum((1, 2))
    by_hand = (known * dice(pixelwise()(given["input"]), given["target"])).sum() / known.sum()
    assert value("dice") == pytest.approx(by_hand.item())
    double = cross_entropies(2 * pixelwise()(given["input"]), given["target"]).sum() / known.sum()
    assert value("cross_entropy", 0.4) == pytest.approx(value("cross_entropy") + 0.4 * double.item())


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "cross_entropy+dice"])
def test_a_batch_that_is_all_void_has_no_risk_and_no_gradient(loss: str) -> None:
    given, f = batch(2), pixelwise()
    value, _ = method(loss=loss).loss(f, {**given, "target": torch.full_like(given["target"], VOID)}, Clock(0))
    value.backward()
    assert value.item() == 0
    assert (f.head.weight.grad == 0).all()


def test_what_a_mask_answers_are_classes_of_pixels() -> None:
    given, f = batch(3), pixelwise()
    out = method().predict(f, given, frozenset({"probabilities", "prediction"}), Clock(0))
    logits = f(given["input"]).detach().numpy()
    np.testing.assert_array_equal(out["prediction"].numpy(), logits.argmax(1))
    np.testing.assert_allclose(out["probabilities"].detach().sum(1).numpy(), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"loss": "hinge"}, "loss hinge with a target of kind mask"),
        ({"loss": "dice", "label_smoothing": 0.1}, "label_smoothing with loss dice"),
        ({"loss": "dice", "class_weights": "balanced"}, "class_weights=balanced with dice"),
    ],
)
def test_what_makes_no_sense_for_masks_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        method(**arguments)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_masks_are_not_mixed(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} with masks"):
        registry.build("methods", name).attach(pixelwise(), SCHEMA)
