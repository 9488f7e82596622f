"""`theta explain run RUN vit IMAGE`: its numbers recomputed by hooks and by hand, the drawing, mistakes."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import thetastar as ts
from thetastar.cli import main
from thetastar.explain import vit
from thetastar.explain.risk import risk_of
from thetastar.explain.vit import stages_of
from thetastar.functional.curvature import flat, write
from thetastar.models.deit import deit_tiny
from thetastar.models.vit import VisionTransformer, vit_hybrid, vit_small, vit_tiny
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe
from thetastar.star import train

pytestmark = [pytest.mark.shows("V8"), pytest.mark.shows("X2")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a ViT, one of an MLP, an image, and a file that is none."""
    root = tmp_path_factory.mktemp("runs")
    small = {"name": "vit_tiny", "patch": 4, "width": 24, "depth": 2, "heads": 3}
    for name, model in (("looks", small), ("plain", {"name": "mlp", "widths": [8]})):
        recipe = Recipe.from_mapping({"data": "digits", "model": model, "seed": 1, "budget": {"steps": 20}})
        train(recipe, out=root / name)
    grey = (np.random.default_rng(0).random((8, 8)) * 255).astype(np.uint8)
    Image.fromarray(grey).save(root / "digit.png")
    (root / "broken.png").write_bytes(b"\x89PNG no more")
    return root


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["explain", "run", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def weights_by_hand(model: nn.Module, x: Tensor) -> list[Tensor]:
    """softmax(Q Kᵀ / √d) of each block from what its qkv layer gives in the model's own forward pass."""
    found: list[Tensor] = []

    def listen(_: nn.Module, __: object, out: Tensor) -> None:
        found.append(out)

    handles = [m.register_forward_hook(listen) for name, m in model.named_modules() if name.endswith("qkv")]
    model(x)
    for handle in handles:
        handle.remove()
    rows: list[Tensor] = []
    for out in found:
        q, k, _ = out[0].double().chunk(3, -1)
        heads = 3
        q, k = (part.unflatten(-1, (heads, -1)).transpose(0, 1) for part in (q, k))
        shares = torch.exp(q @ k.mT / q.shape[-1] ** 0.5)
        rows.append(shares / shares.sum(-1, keepdim=True))
    return rows


def test_numbers_of_a_run_by_hand(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = told(capsys, str(runs / "looks"), "vit", str(runs / "digit.png"))
    star = ts.load(runs / "looks")
    pixels = np.array(Image.open(runs / "digit.png"))[None, None]
    x = star.source.transform(pixels)["input"] if star.source else None
    assert x is not None
    model = star.program.f.eval()
    with torch.no_grad():
        rows = weights_by_hand(model, x)
        assert data["output"] == pytest.approx(model(x)[0].tolist(), abs=1e-5)
    for block, row in zip(np.array(data["class_attention"]), rows, strict=True):
        assert block == pytest.approx(row[:, 0, 1:].view(3, 2, 2).numpy(), abs=1e-6)
    mixed = [(row.mean(0) + torch.eye(5)) / 2 for row in rows]
    assert np.array(data["rollout"]) == pytest.approx((mixed[1] @ mixed[0])[0, 1:].view(2, 2).numpy(), abs=1e-6)
    head = data["first_head"]
    assert isinstance(head, dict)
    scores = np.array(head["key"]) @ np.array(head["query"]) / np.sqrt(8)
    assert head["scores"] == pytest.approx(scores.tolist())
    shares = np.exp(scores) / np.exp(scores).sum()
    assert head["output"] == pytest.approx((shares @ np.array(head["value"])).tolist())
    assert [stage["shape"] for stage in data["stages"]] == [[4, 16], [4, 24], [5, 24], [5, 24], [10]]  # type: ignore[attr-defined, index]
    assert data["deviation"] < 1e-12  # type: ignore[operator]


def test_curvature_of_attention(runs: Path) -> None:
    """H v is the change of the gradient along v: the fused kernels, which cannot tell, are left aside."""
    risk = risk_of(ts.load(runs / "looks"), 8, exact=True)
    draws = torch.Generator().manual_seed(0)
    way = torch.randn(risk.count, generator=draws, dtype=torch.float64)
    here, step = flat(risk.weights), 1e-5
    found = risk.product(way)
    write(risk.weights, here + step * way)
    above = risk.gradient()
    write(risk.weights, here - step * way)
    expected = (above - risk.gradient()) / (2 * step)
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("kind", [vit_tiny, deit_tiny, vit_hybrid])
@pytest.mark.parametrize("positions", ["learned", None])
def test_steps_are_the_forward_pass(kind: type[VisionTransformer], positions: str | None) -> None:
    schema = Schema(Field("image", (3, 16, 16), mean=(0.5,) * 3, std=(0.2,) * 3), Field("category", (), classes=4))
    net = kind(schema, patch=4, width=24, depth=2, heads=3, positions=positions, dropout=0.3)  # type: ignore[arg-type]
    net = net.double().eval()
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    stages = stages_of(net, x)
    torch.testing.assert_close(stages.output, net(x)[0], atol=1e-12, rtol=1e-12)
    for block in stages.blocks:
        total = block.attended.weights.sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_the_published_shapes() -> None:
    """196 patches → 768 → 384, class token, 197 positions, heads of 64."""
    schema = Schema(Field("image", (3, 224, 224)), Field("category", (), classes=1000))
    net = vit_small(schema, depth=1).eval()
    stages = stages_of(net, torch.rand(1, 3, 224, 224))
    shapes = [shape for _, _, shape in vit.rows_of(net, stages)]
    assert shapes == [[196, 768], [196, 384], [197, 384], [197, 384], [1000]]
    assert stages.blocks[0].query.shape == (6, 197, 64)
    assert stages.blocks[0].attended.weights.shape == (6, 197, 197)


def test_the_drawing_holds_a_map_for_every_head(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "looks.svg"
    assert main(["explain", "run", str(runs / "looks"), "vit", str(runs / "digit.png"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1×8×8 → 4 patches of 4×4 = 16 numbers each" in said
    assert "2 × (attention, 3 heads of 8; perceptron 24 → 96 → 24)" in said
    pictures = [base64.b64decode(found) for found in re.findall('base64,([^"]+)', out.read_text())]
    assert len(pictures) == 1 + 2 * 3 + 2  # the image, the maps, the rollout alone and over the image
    data = told(capsys, str(runs / "looks"), "vit", str(runs / "digit.png"))
    maps = np.array(data["class_attention"]).reshape(6, 4)
    for picture, values in zip(pictures[1:7], maps, strict=True):
        drawn = np.asarray(Image.open(io.BytesIO(picture))).astype(int)
        size = len(drawn)
        corners = [drawn[a, b].sum() for a in (0, size - 1) for b in (0, size - 1)]
        assert np.argsort(corners).tolist() == np.argsort(values).tolist()  # brighter where more is taken


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["looks", "vit"], "vit without an image"),
        (["looks", "vit", "none.png"], "no file"),
        (["looks", "vit", "broken.png"], "no image that can be read"),
        (["looks", "vit", "digit.png", "digit.png"], "vit with 2 images"),
        (["looks", "vit", "."], "vit with the folder"),
        (["plain", "vit", "digit.png"], "vit of a run of mlp; expected a run of a Vision Transformer"),
        (["looks", "vitt", "digit.png"], "did you mean 'vit'"),
        (["looks", "vit", "digit.png", "--examples", "5"], "--examples with vit"),
    ],
)
def test_mistakes_are_one_line(runs: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = [str(runs / word) if (runs / word).exists() or "." in word else word for word in words]
    assert main(["explain", "run", *places]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
