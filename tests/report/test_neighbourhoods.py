"""t-SNE of features before and after, and attention of transformers, in the report of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from thetastar import equation
from thetastar.outer.neighbourhoods import layout, plane
from thetastar.recipe import Recipe
from thetastar.report import runs
from thetastar.report.attention import attention
from thetastar.report.neighbourhoods import neighbourhoods
from thetastar.star import Star, load, train

pytestmark = pytest.mark.shows("L3")

VIT = {"name": "vit_tiny", "patch": 4, "width": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a method that learns representations, and one of a classifier."""
    root = tmp_path_factory.mktemp("runs")
    method = {"name": "swav", "prototypes": 8, "hidden": 16, "outputs": 8}
    bars = {"name": "views", "source": "bars"}
    train(Recipe(data=bars, model=VIT, method=method, budget={"steps": 30}), out=root / "swav")
    train(Recipe(data="bars", model={"name": "mlp", "widths": [8]}, budget={"steps": 3}), out=root / "mlp")
    return root


def test_before_are_the_first_weights_and_after_those_learnt(place: Path) -> None:
    star = load(place / "swav")
    found = layout(star, "valid")
    assert found is not None
    assert found.classes is not None
    assert found.agreement is not None
    batch = star.stream.inner.gather(found.rows)  # type: ignore[attr-defined]
    assert torch.equal(batch["target"], found.classes)
    first = equation.assemble(star.recipe, star.schema).f.eval()
    for f, share, points in zip((first, star.program.f), found.agreement, found.places, strict=True):
        with torch.no_grad():
            z = torch.nn.functional.normalize(f.features(batch["input"]), dim=1)
        nearest = (z @ z.T).fill_diagonal_(-1).argmax(1)
        assert share == pytest.approx((found.classes[nearest] == found.classes).double().mean().item())
        assert points.shape == (len(found.rows), 2)
        assert np.abs(points).max() == pytest.approx(1)
    again = layout(star, "valid")
    assert again is not None
    assert np.array_equal(again.places[1], found.places[1])


def test_groups_that_lie_apart_stay_apart_in_the_plane() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(60) % 3
    vectors = torch.eye(3)[groups] + 0.05 * torch.randn(60, 3, generator=generator)
    points = plane(vectors, 0)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(60)
    assert (groups.numpy()[distances.argmin(1)] == groups.numpy()).all()


def test_collapsed_features_are_one_point() -> None:
    assert not plane(torch.ones(20, 4), 0).any()


def test_the_report_shows_both_for_the_runs_they_belong_to(place: Path) -> None:
    found = {"swav": place / "swav", "mlp": place / "mlp"}
    clouds, heads = neighbourhoods(found, "valid"), attention(found, "valid")
    assert clouds is not None
    assert heads is not None
    assert clouds.body.count("<svg") == 2
    assert "before training" in clouds.body.lower()
    assert heads.body.count("data:image/svg+xml;base64,") == 1
    alone = {"mlp": place / "mlp"}
    assert neighbourhoods(alone, "valid") is None
    assert attention(alone, "valid") is None
    page = runs.render([place / "swav"])
    assert "Features before and after" in page
    assert "What the heads look at" in page


def test_without_the_data_there_is_nothing_to_show(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Star, stream: object) -> None:
        from thetastar.errors import UserError

        raise UserError("the data have changed", "the data that were trained on", "restore them")

    monkeypatch.setattr(Star, "refuse_other", gone)
    assert neighbourhoods({"swav": place / "swav"}, "valid") is None
    assert attention({"swav": place / "swav"}, "valid") is None
