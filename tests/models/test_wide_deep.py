"""Wide & deep: its forward pass by hand, what each part is there for, and every stage with several inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from thetastar import equation, registry, star
from thetastar.defaults import open_for
from thetastar.errors import UserError
from thetastar.outer.compare import compare
from thetastar.outer.noise import Noisy, described
from thetastar.protocols import Clock, Field, Schema, Stream
from thetastar.recipe import Recipe

SMALL = {"name": "wide_deep", "channels": [4, 4], "encoder": 8, "widths": [16], "dropout": 0.0}


def recipe(model: dict[str, Any], data: Any = "trio", steps: int = 120, seed: int = 0, **parts: Any) -> Recipe:
    engine = {"device": "cpu", "precision": "float32", **parts.pop("engine", {})}
    algorithm = {"name": "adamw", "lr": 0.01}
    return Recipe(
        data=data, model=model, algorithm=algorithm, budget={"steps": steps}, seed=seed, engine=engine, **parts
    )


def accuracy(model: dict[str, Any], **parts: Any) -> float:
    outcome = equation.fit(recipe(model, **parts))
    return outcome.values["accuracy"]


def fields() -> dict[str, Field]:
    return {
        "text": Field("vector", (3,), mean=(1.0, 0.0, 2.0), std=(2.0, 1.0, 0.5)),
        "image": Field("image", (1, 4, 4), mean=(0.5,), std=(0.25,)),
    }


def convolved(x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> Any:
    """3×3 convolution with a border of zeros, ReLU, maximum over 2×2: (in, h, w) → (out, h/2, w/2)."""
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width))
    for o in range(len(weight)):
        for i in range(height):
            for j in range(width):
                out[o, i, j] = (weight[o] * padded[:, i : i + 3, j : j + 3]).sum() + bias[o]
    return np.maximum(out, 0).reshape(len(weight), height // 2, 2, width // 2, 2).max((2, 4))


@pytest.mark.shows("F5")
def test_forward_pass_equals_the_one_by_hand() -> None:
    """In NumPy float64, from the equation and the weights: standardised words beside what the deep part makes."""
    torch.manual_seed(0)
    schema = Schema(fields(), Field("category", (), 2))
    f = registry.build("models", {**SMALL, "channels": [2, 3], "encoder": 4, "widths": [5]}, schema).eval()
    x = {"text": torch.randn(6, 3), "image": torch.rand(6, 1, 4, 4)}
    w = {name: value.double().numpy() for name, value in f.state_dict().items()}
    words = (x["text"].double().numpy() - [1, 0, 2]) / [2, 1, 0.5]
    e_text = np.maximum(words @ w["encoders.text.hidden.0.weight"].T + w["encoders.text.hidden.0.bias"], 0)
    codes = []
    for picture in (x["image"].double().numpy() - 0.5) / 0.25:
        h = convolved(picture, w["encoders.image.convolutions.0.weight"], w["encoders.image.convolutions.0.bias"])
        h = convolved(h, w["encoders.image.convolutions.3.weight"], w["encoders.image.convolutions.3.bias"])
        codes.append(np.maximum(w["encoders.image.dense.0.weight"] @ h.ravel() + w["encoders.image.dense.0.bias"], 0))
    joined = np.concatenate([e_text, np.array(codes)], 1)
    deep = np.maximum(joined @ w["joint.0.weight"].T + w["joint.0.bias"], 0)
    wide_weight, deep_weight = w["head.weight"][:, :3], w["head.weight"][:, 3:]
    expected = words @ wide_weight.T + deep @ deep_weight.T + w["head.bias"]
    np.testing.assert_allclose(f(x).detach().numpy(), expected, atol=2e-6)
    assert f.features(x).shape == (6, f.width) == (6, 3 + 5)


@pytest.mark.shows("F5")
def test_the_wide_part_alone_is_softmax_regression() -> None:
    """Same weights, same logits: nothing but the affine map of the standardised entries."""
    field = fields()["text"]
    wide = registry.build("models", {"name": "wide_deep", "deep": False}, Schema(field, Field("category", (), 3)))
    linear = registry.build("models", "softmax", Schema(field, Field("category", (), 3)))
    linear.head.load_state_dict(wide.head.state_dict())
    x = torch.randn(20, 3)
    assert torch.equal(wide(x), linear(x))
    assert sum(p.numel() for p in wide.parameters()) == 3 * 3 + 3


@pytest.mark.shows("F5")
def test_all_three_inputs_beat_each_alone() -> None:
    """Each has one vote of three, so alone it is right in 3/4 of the cases at best; for each of two seeds."""
    data = {"name": "resident", "source": {"name": "trio", "rows": 600}}
    for seed in (0, 1):
        together = accuracy(SMALL, data=data, seed=seed)
        alone = [accuracy({**SMALL, "inputs": [name]}, data=data, seed=seed) for name in ("table", "text", "image")]
        assert together > 0.82
        assert max(alone) < 0.82
        assert together > max(alone) + 0.05, alone


def crossed(seed: int, users: int = 24) -> dict[str, Any]:
    """Rare pairs whose answer is a coin of their own: one entry a pair, three rows each, as crosses are written."""
    random = np.random.default_rng(seed)
    answer = random.permutation(np.arange(users) % 2)
    pair = np.tile(np.arange(users), 4)
    x = np.eye(users, dtype=np.float32)[pair]
    source = {"name": "arrays", "inputs": x, "targets": answer[pair]}
    rows = len(pair)
    source["given"] = {"train": np.arange(3 * rows // 4), "valid": np.arange(3 * rows // 4, rows)}
    return {"name": "resident", "source": source, "test": 0.0, "batch_size": 72}


@pytest.mark.shows("F5")
def test_without_the_wide_part_crosses_are_not_memorised() -> None:
    """Few steps through a narrow waist do not tell rare pairs apart; one weight a pair does, at once."""
    narrow = {**SMALL, "encoder": 2, "widths": [2]}
    with_wide = [accuracy(narrow, data=crossed(seed), steps=60, seed=seed) for seed in range(3)]
    without = [accuracy({**narrow, "wide": False}, data=crossed(seed), steps=60, seed=seed) for seed in range(3)]
    assert min(with_wide) > 0.95
    assert all(a > b + 0.1 for a, b in zip(with_wide, without, strict=True)), (with_wide, without)


def test_micro_batches_make_the_step_of_the_whole_batch() -> None:
    """Four parts of sixteen accumulated and one batch of 64: the same weights up to rounding."""
    data = {"name": "resident", "source": "trio", "drop_last": True}
    kept = []
    for size, parts in ((64, 1), (16, 4)):
        sgd = {"name": "sgd", "lr": 0.05}
        made = recipe(SMALL, {**data, "batch_size": size}, steps=4, engine={"accumulate": parts})
        kept.append(equation.fit(made.replace(algorithm=sgd)).program.state_dict())
    for name, value in kept[0].items():
        torch.testing.assert_close(value, kept[1][name], atol=1e-5, rtol=1e-4)


def test_augmentation_changes_the_image_alone() -> None:
    data = {"name": "resident", "source": "trio"}
    streams = [open_for(recipe(SMALL, {**data, "augment": changes})) for changes in ([], ["flip"])]
    plain, changed = (next(iter(stream.batches("train", Clock(0)))) for stream in streams)
    assert torch.equal(plain["index"], changed["index"])
    for name in ("table", "text"):
        assert torch.equal(plain["input"][name], changed["input"][name])
    assert not torch.equal(plain["input"]["image"], changed["input"]["image"])


def test_noise_reaches_every_input_and_is_described() -> None:
    stream = open_for(recipe(SMALL))
    assert described(stream.schema) == (
        "Gaussian noise of σ = 0.1 on pixels in [0, 1] and of 0.1 training standard deviations on every other input"
    )
    plain, noisy = (next(iter(s.batches("valid", Clock(0))))["input"] for s in (stream, Noisy(stream)))
    for name, field in stream.schema.input.items():  # type: ignore[union-attr]
        deviation = (noisy[name] - plain[name]).std(0).mean().item()
        expected = 0.1 * (np.mean(field.std) if field.kind == "vector" else 1.0)
        assert deviation == pytest.approx(expected, rel=0.3), name


@pytest.mark.parametrize("method", ["mean_teacher", {"name": "population", "members": 2}, "ewc"])
def test_methods_take_several_inputs(method: Any) -> None:
    """Each learns more than chance, 1/2, in 120 steps on all three inputs."""
    spec = {"name": "few_labels", "source": "trio", "labels": 200} if method == "mean_teacher" else "trio"
    outcome = equation.fit(recipe(SMALL, spec, method=method))
    assert outcome.values["accuracy"] > 0.62


@pytest.mark.parametrize(
    ("part", "spec", "words"),
    [
        ("model", "mlp", "mlp takes one input, these data have several: table, text, image; expected one input; use"),
        ("model", "knn", "knn takes one input, these data have several"),
        ("model", "gradient_boosting", "gradient_boosting takes one input"),
        ("model", {"name": "wide_deep", "inputs": ["picture"]}, "no input 'picture'"),
        ("model", {"name": "wide_deep", "inputs": ["image"], "deep": False}, "without a deep part on images alone"),
        ("method", "gan", "gan takes one input, these data have several"),
        ("method", "pgd", "pgd"),
    ],
)
def test_what_needs_one_input_says_so(part: str, spec: Any, words: str) -> None:
    made = recipe(SMALL).replace(**{part: spec})
    stream = open_for(recipe(SMALL))
    with pytest.raises(UserError, match=words):
        equation.fit(made, stream=stream)


def test_a_fresh_process_predicts_the_same(tmp_path: Path) -> None:
    made = star.train(recipe(SMALL, steps=20), tmp_path / "run")
    rows = made.stream.sample("valid", 5)["input"]  # type: ignore[attr-defined]
    save_file({name: rows[name].contiguous() for name in rows}, tmp_path / "rows.safetensors")
    code = (
        "import sys, safetensors.torch, thetastar as ts; star = ts.load(sys.argv[1]); "
        "print(star.predict_proba(safetensors.torch.load_file(sys.argv[2])).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "rows.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(np.array(json.loads(done.stdout)), made.predict_proba(rows), atol=1e-6)
    with pytest.raises(UserError, match="rows without image"):
        made.predict({"table": rows["table"], "text": rows["text"]})


def test_a_comparison_says_what_each_input_brings() -> None:
    """Default learners: every input alone, then all; what needs one vector is a row with its reason."""
    verdict = compare("trio", seeds=1, budget={"steps": 2}, engine={"device": "cpu"}, overrides=["algorithm.lr=0.01"])
    assert [row.name for row in verdict.rows] == ["wide_deep table", "wide_deep text", "wide_deep image", "wide_deep"]
    assert {row.state for row in verdict.rows} == {"finished"}


def test_arrays_of_several_inputs_are_one_length() -> None:
    x = {"a": np.zeros((4, 2)), "b": np.zeros((3, 2))}
    with pytest.raises(UserError, match="inputs of different lengths: 4 of a, 3 of b"):
        registry.build("data", {"name": "arrays", "inputs": x, "targets": [0, 1, 0, 1]})


def test_streams_of_tasks_hold_every_input() -> None:
    """An episode of several inputs: each (tasks, shots, …), the query in one row."""
    spec = {"name": "episodes", "source": "trio", "ways": 2, "valid": 0.0, "test": 0.0}
    stream: Stream = registry.build("data", spec)
    batch = next(iter(stream.batches("train", Clock(0))))
    assert batch["support"]["input"]["image"].shape == (4, 2, 1, 8, 8)
    assert batch["input"]["table"].shape == (4 * 2 * 15, 3)
