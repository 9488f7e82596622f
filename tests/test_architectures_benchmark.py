"""The speed of architectures: the transcriptions are the same networks, and what is recorded follows from its turns."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RECORDED = BENCHMARKS / "results" / "architectures.json"


@pytest.fixture
def benchmark(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_of_architectures", BENCHMARKS / "architectures.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def small_pair(benchmark, model: str, classes: int = 7) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    if model == "resnet50":
        f = benchmark.ours({"name": model, "width": 8, "blocks": [2, 1, 2, 1], "stem": "full"}, 48, classes=classes)
        return f, benchmark.with_weights_of(f, benchmark.PlainResNet((2, 1, 2, 1), width=8, classes=classes))
    f = benchmark.ours({"name": model, "patch": 16, "width": 24, "depth": 3, "heads": 3}, 48, classes=classes)
    return f, benchmark.with_weights_of(f, benchmark.PlainViT(48, 16, width=24, depth=3, heads=3, classes=classes))


@pytest.mark.parametrize("model", ["resnet50", "vit_small"])
def test_a_transcription_computes_the_same_from_the_same_weights(benchmark, model: str) -> None:
    """Outputs in training and then in eval, and gradients; in float64, so that only what is computed can differ."""
    f, plain = (net.double() for net in small_pair(benchmark, model))
    x, y = torch.rand(5, 3, 48, 48, dtype=torch.float64), torch.arange(5)

    def gradients(net: nn.Module) -> dict[str, Tensor]:
        F.cross_entropy(net.train()(x), y).backward()
        return {key.replace("fc.", "head."): p.grad for key, p in net.named_parameters()}

    torch.testing.assert_close(gradients(f), gradients(plain), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(f.train()(x), plain.train()(x), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(f.eval()(x), plain.eval()(x), atol=1e-6, rtol=1e-5)
    assert f(x).std() > 1e-3


@pytest.mark.parametrize(("model", "parameters"), [("resnet50", 25_557_032), ("vit_small", 22_050_664)])
def test_what_is_measured_is_the_published_network(benchmark, model: str, parameters: int) -> None:
    with torch.device("meta"):
        pair = benchmark.pair(model, 224)
    assert [sum(p.numel() for p in net.parameters()) for net in pair] == [parameters, parameters]


def test_the_ratio_is_the_median_over_turns(benchmark) -> None:
    """By hand: ratios 1.5, 0.5 and 1.0, where the ratio of medians would be 1.5."""
    found = benchmark.summary({"ours": [2.0, 4.0, 2.0], "plain": [3.0, 2.0, 2.0]}, 12)
    assert found["to_plain"] == 1.0
    assert (found["images_per_second"], found["images_per_second_plain"]) == (6.0, 6.0)


def test_one_turn_of_both_is_recorded(benchmark, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(benchmark, "pair", lambda model, size: small_pair(benchmark, model, classes=1000))
    place = tmp_path / "found.json"
    words = ["--device", "cpu", "--precision", "bf16", "--size", "48", "--batch", "2", "--repeats", "1"]
    benchmark.main([*words, "--out", str(place)])
    rows = json.loads(place.read_text())["rows"]
    assert [row["model"] for row in rows] == ["resnet50", "vit_small"]
    assert all(len(row["seconds"][name]) == 1 for row in rows for name in ("ours", "plain"))
    assert capsys.readouterr().out.count("× the plain transcription") == 2


@pytest.mark.shows("V6", "V8")
def test_recorded_speed_is_that_of_the_transcription(benchmark) -> None:
    """Recomputed from the seconds of every turn."""
    if not RECORDED.exists():
        pytest.skip("not measured yet: python -m benchmarks.architectures")
    rows = json.loads(RECORDED.read_text())["rows"]
    assert {row["model"] for row in rows} == {"resnet50", "vit_small"}
    for row in rows:
        assert len(row["seconds"]["ours"]) >= 5
        again = benchmark.summary(row["seconds"], row["batch"] * row["steps"])
        assert again["to_plain"] == pytest.approx(row["to_plain"], abs=0.002)
        assert row["to_plain"] >= 0.95
