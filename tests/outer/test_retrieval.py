"""Retrieval: recall as a plain loop counts it, chance by shuffling, what is left out, and features against pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import thetastar as ts
from thetastar.errors import UserError
from thetastar.outer import gallery, retrieval
from thetastar.outer.embedding import embedded, numbers_of
from thetastar.star import Star
from thetastar.watch import Watch

pytestmark = pytest.mark.shows("L7")


def by_hand(vectors: np.ndarray, classes: np.ndarray, k: int) -> float:
    """One example after the other, by sorting all cosines; those alone of their class do not ask."""
    hits = []
    for i, one in enumerate(vectors):
        if (classes == classes[i]).sum() < 2:
            continue
        cosines = [
            (float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), j)
            for j, other in enumerate(vectors)
            if j != i
        ]
        hits.append(any(classes[j] == classes[i] for _, j in sorted(cosines, reverse=True)[:k]))
    return float(np.mean(hits))


@pytest.mark.parametrize("cells", [1 << 24, 100])
def test_recall_is_what_a_plain_loop_counts(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "CELLS", cells)  # 100: a few queries at a time
    random = np.random.default_rng(0)
    classes = np.append(random.integers(0, 5, 60), [7])
    features = random.normal(size=(61, 8)) + 1.5 * np.eye(8)[classes % 8]
    inputs = random.normal(size=(61, 2, 3))
    given = torch.from_numpy(features), torch.from_numpy(inputs), torch.from_numpy(classes)
    told, asking = retrieval.recalls(*given, (1, 3, 10))
    assert asking == 60
    for one in told:
        assert one.features == pytest.approx(by_hand(features, classes, one.k))
        assert one.inputs == pytest.approx(by_hand(inputs.reshape(61, -1), classes, one.k))
        assert one.gain == pytest.approx(one.features - one.inputs)
        assert one.interval[0] < one.features <= one.interval[1]
        assert one.of_gain[0] < one.gain < one.of_gain[1]


def test_chance_is_what_shuffled_neighbours_find() -> None:
    classes = torch.tensor([0] * 12 + [1] * 5 + [2] * 3)
    generator = torch.Generator().manual_seed(0)
    totals = np.zeros(3)
    for _ in range(400):
        scores = torch.rand(20, 20, generator=generator).fill_diagonal_(-1)
        same = classes[scores.topk(10).indices] == classes[:, None]
        totals += [same[:, :k].any(1).double().mean().item() for k in (1, 5, 10)]
    assert retrieval.by_chance(classes, (1, 5, 10)) == pytest.approx(totals / 400, abs=0.02)
    told, _ = retrieval.recalls(torch.randn(20, 4), torch.randn(20, 4), classes, (1, 5, 10))
    assert [one.chance for one in told] == pytest.approx(retrieval.by_chance(classes, (1, 5, 10)))


def test_a_query_among_the_examples_is_not_its_own_answer_and_cosines_fall() -> None:
    vectors = torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
    places, cosines = retrieval.nearest(vectors[[4, 9]], vectors, 29, torch.tensor([4, -1]))
    assert 4 not in places[0].tolist()
    assert places[1, 0] == 9
    assert cosines[1, 0] == pytest.approx(1)
    assert all(a >= b for line in cosines.tolist() for a, b in pairwise(line))
    assert torch.isfinite(cosines).all()


def moved_digits(rows: int = 1200) -> tuple[Any, Any]:
    """Digits of 8×8 somewhere on a canvas of 14×14: what is the same seldom stands at the same pixels."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images, classes = digits.data, digits.target
    random = np.random.default_rng(0)
    canvas = np.zeros((rows, 1, 14, 14), np.float32)
    for image, (down, across), page in zip(images, random.integers(0, 7, (rows, 2)), canvas, strict=False):
        page[0, down : down + 8, across : across + 8] = image.reshape(8, 8) / 16
    return canvas, classes[:rows]


@pytest.fixture(scope="module")
def star() -> Star:
    inputs, targets = moved_digits()
    source = {"name": "arrays", "inputs": inputs, "targets": targets}
    model = {"name": "cnn", "channels": [8, 16], "hidden": 64}
    algorithm = {"name": "adamw", "lr": 4e-3}
    return ts.fit({"name": "resident", "source": source, "valid": 0.25}, model, algorithm=algorithm, steps=250)


def of(star: Star, *splits: Any) -> gallery.Gallery:
    return gallery.of_stream(star, star.stream, "moved", numbers_of(star.stream, splits), Watch())


def test_features_are_above_pixels_where_what_is_the_same_has_moved(star: Star) -> None:
    searched = of(star, "valid")
    assert searched.classes is not None
    inputs = torch.stack([searched.input_of(place) for place in range(len(searched))])
    told, asking = retrieval.recalls(searched.features, inputs, searched.classes, (1, 5))
    assert asking == len(searched)
    for one in told:
        assert one.of_gain[0] > 0.05
        assert one.interval[0] > one.chance


def test_features_are_those_of_the_method_in_the_order_of_the_rows(star: Star) -> None:
    searched = of(star, "train", "valid")
    rows = [int(name) for name in searched.names]
    assert rows == sorted(rows)
    assert not set(rows) & set(star.stream.rows["test"].tolist())  # type: ignore[attr-defined]
    inputs, targets = moved_digits()
    expected = star.program.f.features(torch.from_numpy(inputs[rows[5:9]])).detach()
    torch.testing.assert_close(searched.features[5:9], expected, rtol=1e-4, atol=1e-5)
    assert searched.labels[5:9] == [str(one) for one in targets[rows[5:9]]]
    torch.testing.assert_close(searched.input_of(7), torch.from_numpy(inputs[rows[7]]))


def test_a_row_of_the_sealed_split_is_refused_with_one_that_is_not(star: Star) -> None:
    sealed = int(star.stream.rows["test"][0])  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="sealed") as refused:
        gallery.row_in(star, star.stream, "moved", sealed)
    near = int(str(refused.value).rpartition("try ")[2])
    assert gallery.row_in(star, star.stream, "moved", near).tolist() == [near]
    with pytest.raises(UserError, match="0 to 1,199"):
        gallery.row_in(star, star.stream, "moved", 1200)


def test_what_gives_no_features_is_refused(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(star.program.method, "predict", lambda *_: {"samples": torch.zeros(3, 2)})
    with pytest.raises(UserError, match="gives no features"):
        embedded(star, [torch.zeros(3, 1, 14, 14)])
