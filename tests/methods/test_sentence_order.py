"""Sentence order: texts cut and exchanged as by hand, and an order that can be learnt from the words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.methods.sentence_order import in_parts
from thetastar.recipe import Recipe
from thetastar.star import train

START, END, PAD = 2, 3, 0


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 9), st.data())
def test_parts_are_exchanged_as_by_hand(count: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(count + 2, 14))
    words = list(range(5, 5 + count))
    cut, swapped = data.draw(st.integers(1, max(1, 2 * count // 3))), data.draw(st.booleans())
    row = [START, *words, END] + [PAD] * (length - count - 2)
    kept = words[: min(count, length - 3)]
    first, second = kept[:cut], kept[cut:]
    if swapped:
        first, second = second, first
    expected = [START, *first, END, *second, END]
    expected += [PAD] * (length - len(expected))
    out = in_parts(torch.tensor([row]), torch.tensor([cut]), torch.tensor([swapped]))
    assert out[0].tolist() == expected


@pytest.mark.shows("L4")
def test_it_learns_which_part_comes_first() -> None:
    """Sentences of a grammar begin with an article and end with who said it; shuffled words give it nothing."""
    pytest.importorskip("tokenizers")
    model = {"name": "text_transformer", "width": 32, "depth": 1, "heads": 2, "dropout": 0.0}
    rule = {"name": "adamw", "lr": 0.003}
    star = train(
        Recipe(data="phrases", model=model, method="sentence_order", algorithm=rule, budget={"steps": 150}, seed=1)
    )
    x = star._stream.sample("valid", 18)["input"]
    count = (x != PAD).sum(1) - 2
    program = star.program.eval()
    with torch.no_grad():
        for swapped in (False, True):
            told = in_parts(x, count // 2, torch.full((len(x),), swapped))
            logit = program.method.order(program.f.features(told))[:, 0]
            assert ((logit > 0) == swapped).float().mean() >= 0.9
