"""Quality under noise: the same noise for every learner, none where there is no scale to measure it by."""

from __future__ import annotations

import numpy as np
import torch

from thetastar import compare
from thetastar.defaults import open_stream
from thetastar.outer.noise import SIGMA, Noisy, described
from thetastar.protocols import Clock


def test_noise_is_the_same_in_every_pass_and_has_the_scale_that_is_said():
    stream = open_stream({"name": "iris", "batch_size": 16})
    clean = torch.cat([batch["input"] for batch in stream.batches("train", Clock(0))])
    first, second = ([b["input"] for b in Noisy(stream).batches("train", Clock(0, step=s))] for s in (0, 7))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    ratio = (torch.cat(first) - clean).std(0) / torch.tensor(stream.schema.input.std)
    torch.testing.assert_close(ratio, torch.full_like(ratio, SIGMA), rtol=0.25, atol=0.0)


def test_inputs_of_several_axes_that_are_no_images_are_compared_without_noise():
    x = np.random.default_rng(0).normal(size=(60, 5, 4)).astype(np.float32)
    y = (x[:, 0, 0] > 0).astype(int)
    verdict = compare((x, y), ["softmax", {"name": "mlp", "widths": [4]}], seeds=1, budget={"epochs": 1})
    assert described(open_stream((x, y)).schema) is None
    assert [row.state for row in verdict.rows] == ["finished", "finished"]
    assert [row.noisy for row in verdict.rows] == [None, None]
