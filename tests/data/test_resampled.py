"""A draw for each member: which rows, which labels, and members that are the run alone on their own draw."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.test_population import difference, opened

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.subsets import drawn, mislabelled
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

MEMBERS, SEED = 3, 5
SOURCE = {"name": "bars", "rows": 160}


def stream_of(**changes) -> Any:
    return open_stream({"name": "resampled", "source": SOURCE, "members": MEMBERS, "batch_size": 16, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"draw": "bootstrap"},
        {"draw": "fold"},
        {"draw": "part"},
        {"draw": "subset", "keep": 40, "label_noise": 0.3},
        {"draw": "bootstrap", "label_noise": 0.2, "draw_seed": 4},
    ],
)
@pytest.mark.parametrize("execution", ["stacked", "in_turn", "threads"])
def test_each_member_is_what_a_run_alone_makes_of_its_draw(changes, execution: str) -> None:
    stream = stream_of(**changes)
    method = {"name": "population", "members": MEMBERS, "seeds": [SEED] * MEMBERS, "execution": execution}
    recipe = Recipe(
        data=stream.spec,
        model={"name": "mlp", "widths": [8], "norm": "batch", "dropout": 0.2},
        method=method,
        algorithm={"name": "sgd", "lr": 0.05},
        measures=[],
        budget={"steps": 50},
        engine={"precision": "float32"},
        seed=SEED,
    )
    stack = equation.fit(recipe, stream=stream, start=opened(recipe, stream)).program
    for k in range(MEMBERS):
        inner = copy.copy(stream.inner)
        inner._index = {**inner._index, "train": stream.rows[k]}
        inner.rows = {**inner.rows, "train": stream.rows[k].numpy()}
        if stream.labels is not None:
            inner.columns = {**inner.columns, "target": stream.labels[k]}
        lone = completed(recipe.replace(method="supervised"), inner)
        assert difference(stack, k, equation.fit(lone, stream=inner, start=opened(lone, inner)).program) < 1e-9


def test_draws_are_those_of_the_plain_stream_with_each_seed() -> None:
    stream = stream_of(draw_seed=2, label_noise=0.3)
    for k, rows in enumerate(stream.rows):
        alone: Any = open_stream(
            {"name": "resident", "source": SOURCE, "draw": "bootstrap", "draw_seed": 2 + k, "label_noise": 0.3}
        )
        assert np.array_equal(rows.numpy(), alone.rows["train"])
        assert torch.equal(stream.labels[k], alone.columns["target"])


def test_folds_leave_every_row_out_once_and_parts_share_none() -> None:
    train = stream_of().inner.rows["train"]
    left = [np.setdiff1d(train, rows.numpy()) for rows in stream_of(draw="fold").rows]
    together = np.concatenate(left)
    assert len(together) == len(np.unique(together)) == len(train) // MEMBERS * MEMBERS
    parts = stream_of(draw="part").rows.flatten()
    assert len(parts) == len(parts.unique()) == len(train) // MEMBERS * MEMBERS


def test_label_noise_spoils_its_share_of_each_members_own_labels() -> None:
    stream = stream_of(draw="subset", label_noise=0.25)
    clean = stream.inner.columns["target"]
    train = torch.from_numpy(stream.inner.rows["train"])
    for k in range(MEMBERS):
        expected = mislabelled(clean[train], stream.schema.target.classes, 0.25, k)
        assert torch.equal(stream.labels[k][train], expected)
    assert not torch.equal(stream.labels[0], stream.labels[1])
    batch = next(stream.batches("train", Clock(0)))["members"]
    assert torch.equal(batch["target"][1], stream.labels[1][batch["index"][1]])
    assert torch.equal(next(stream.batches("valid", Clock(0)))["target"], clean[stream.inner._index["valid"][:16]])


def test_what_is_no_population_of_that_size_and_folds_of_a_part_are_refused() -> None:
    recipe = Recipe(data=stream_of().spec, method={"name": "population", "members": 2}, budget={"steps": 1})
    with pytest.raises(UserError, match="parts for 3 members"):
        equation.fit(recipe)
    with pytest.raises(UserError, match="write method=population"):
        equation.fit(recipe.replace(method="supervised"))
    with pytest.raises(UserError, match="keep=10 with folds"):
        stream_of(draw="fold", keep=10)


def test_the_stream_brings_its_population() -> None:
    stream = stream_of()
    recipe = completed(Recipe(data=stream.spec), stream)
    assert (recipe.method["name"], recipe.method["members"]) == ("population", MEMBERS)
    assert drawn(np.arange(9), None, None, "bootstrap", 0).shape == (9,)
