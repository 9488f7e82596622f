"""Permuted inputs: the same numbers in other places, prepared as before, again after save and load."""

from __future__ import annotations

import numpy as np
import torch

from thetastar import registry
from thetastar.data.permuted import permuted
from thetastar.defaults import open_stream


def test_a_task_moves_pixels_by_one_permutation_and_changes_nothing_else() -> None:
    plain, moved = (open_stream(data) for data in ("digits", {"name": "permuted", "source": "digits", "task": 3}))
    x, z = plain.columns["input"].flatten(1), moved.columns["input"].flatten(1)
    # every pixel of the one is some pixel of the other, for all images at once
    places = [int((x == z[:, i : i + 1]).all(0).nonzero()[0, 0]) for i in range(64) if z[:, i].std() > 0]
    assert len(set(places)) == len(places)
    assert not torch.equal(x, z)
    assert torch.equal(plain.columns["target"], moved.columns["target"])
    assert all(np.array_equal(plain.rows[split], moved.rows[split]) for split in plain.rows)
    assert plain.fingerprint != moved.fingerprint


def test_task_zero_leaves_the_inputs_in_place_and_tasks_differ() -> None:
    sources = [registry.build("data", {"name": "permuted", "source": "digits", "task": task}) for task in (0, 1, 2)]
    inputs = [source.prepare(np.arange(100))[1]["input"] for source in sources]
    plain = registry.build("data", "digits").prepare(np.arange(100))[1]["input"]
    assert torch.equal(inputs[0], plain)
    assert not torch.equal(inputs[1], inputs[2])
    assert len({source.fingerprint for source in sources}) == 3


def test_moments_of_a_vector_move_with_its_entries() -> None:
    source = registry.build("data", {"name": "permuted", "source": "wine"})
    schema, columns = source.prepare(np.arange(source.rows))
    torch.testing.assert_close(torch.tensor(schema.input.mean), columns["input"].mean(0), rtol=1e-5, atol=1e-5)


def test_a_restored_source_treats_a_users_rows_as_its_own() -> None:
    source = registry.build("data", {"name": "permuted", "source": "digits"})
    _, columns = source.prepare(np.arange(1000))
    raw = registry.build("data", "digits").inputs[:5]
    again = permuted.restore(source.state())
    assert torch.equal(again.transform(raw)["input"], columns["input"][:5])
