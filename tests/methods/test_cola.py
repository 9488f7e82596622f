"""COLA: its loss by hand, stretches that lie in their clip, and features that beat random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import registry
from thetastar.data.clips import tones
from thetastar.defaults import open_stream
from thetastar.equation import assemble
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.methods.cola import stretch
from thetastar.protocols import Clock
from thetastar.recipe import Recipe
from thetastar.star import train

SMALL = {"name": "audio_cnn", "channels": [4, 8], "bands": 12}


def made(method: dict, model: dict, rows: int = 30):
    stream = open_stream({"name": "tones", "rows": rows})
    recipe = Recipe(data=stream.spec, model=registry.complete("models", model, "model"), method=method, seed=1)
    return stream, assemble(recipe, stream.schema)


def test_stretches_lie_in_their_clip() -> None:
    x = torch.arange(100.0).repeat(64, 1) + 1000 * torch.arange(64.0)[:, None]
    out = stretch(x, 30)
    torch.testing.assert_close(out - out[:, :1], torch.arange(30.0).expand(64, 30))
    assert (out // 1000 == torch.arange(64.0)[:, None]).all()
    assert {int(first) for first in out[:, 0] % 1000} <= set(range(71))
    assert len({int(first) for first in out[:, 0] % 1000}) > 20


@pytest.mark.shows("L4")
def test_the_loss_is_that_of_the_paper_by_hand() -> None:
    _, program = made({"name": "cola", "outputs": 7}, SMALL)
    program.double().eval()
    x = torch.randn(5, 400, dtype=torch.float64)
    method, f = program.method, program.f
    with seeded(3):
        value, aux = method.loss(f, {"input": x}, Clock(0, 0, 1, 0))
    with seeded(3):
        first, second = stretch(x, 240), stretch(x, 240)

    def g(z: np.ndarray) -> np.ndarray:
        linear, norm = method.projector[0], method.projector[1]
        z = z @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + norm.eps)
        return np.tanh(z)

    a, b = (g(f.features(part).detach().numpy()) for part in (first, second))
    weight = method.similarity.weight.detach().numpy()
    total = 0.0
    for i in range(5):
        scores = [a[i] @ weight @ b[j] for j in range(5)]
        total -= scores[i] - np.log(np.sum(np.exp(scores)))
    assert value.item() == pytest.approx(total / 5, rel=1e-6)
    assert 0 <= float(aux.log["accuracy"]) <= 1


def test_a_batch_of_one_and_images_are_refused() -> None:
    stream, program = made({"name": "cola"}, SMALL)
    with pytest.raises(UserError, match="one clip"):
        program("loss", {"input": stream.sample("train", 1)["input"]}, Clock(0, 0, 1, 0))
    with pytest.raises(UserError, match="waveform"):
        train(Recipe(data="bars", method="cola"))


def test_tones_are_what_they_say() -> None:
    source = tones(rows=9)
    assert source.inputs.shape == (9, 500)
    power = torch.fft.rfft(source.inputs[source.targets == 1]).abs()
    peaks = power.topk(2).indices.sort().values.double()
    torch.testing.assert_close(peaks[:, 1] / peaks[:, 0], torch.full((3,), 2.0, dtype=torch.float64), atol=0.1, rtol=0)
