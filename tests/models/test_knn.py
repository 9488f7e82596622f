"""k-NN gives scikit-learn's answers, breaks ties as it says, and needs nothing but its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from thetastar import star
from thetastar.data.arrays import arrays
from thetastar.errors import UserError
from thetastar.models.knn import CALIBRATED, PRIORS, sampled

EUCLID = {"l2": "euclidean", "l1": "manhattan", "cosine": "cosine"}


def rows(found: star.Star, split: str) -> tuple[np.ndarray, np.ndarray]:
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows[split])
    return columns["input"][index].flatten(1).double().numpy(), columns["target"][index].numpy()


@pytest.mark.shows("F3")
@pytest.mark.parametrize("metric", EUCLID)
@pytest.mark.parametrize("k", [1, 3, 7])
def test_same_predictions_as_scikit_learn_on_digits(metric: str, k: int) -> None:
    found = star.fit("digits", model={"name": "knn", "k": k, "metric": metric})
    x, _ = rows(found, "test")
    reference = KNeighborsClassifier(k, metric=EUCLID[metric], algorithm="brute").fit(*rows(found, "train"))
    ours = found.predict(torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8)).astype(np.int64)
    distance = reference.kneighbors(x, k + 1, return_distance=True)[0]
    clear = distance[:, k - 1] < distance[:, k] - 1e-9  # of equally near rows scikit-learn takes any
    assert clear.mean() > 0.8
    assert (ours == reference.predict(x))[clear].all()


def test_numbers_are_the_neighbours_mean() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((80, 3)).astype(np.float32), random.standard_normal((80, 2)).astype(np.float32)
    found = star.fit((x, y), model={"name": "knn", "k": 4})
    train, answers = rows(found, "train")
    mean, std = train.mean(0), train.std(0)
    reference = KNeighborsRegressor(4).fit((train - mean) / std, answers)
    assert found.predict(x) == pytest.approx(reference.predict((x - mean) / std), abs=1e-5)


def test_the_examples_that_choose_the_prior_are_of_every_class() -> None:
    """Of classes that alternate, or lie one after the other, each has its share; few rows are all taken."""
    for labels in (np.arange(5000) % 5, np.repeat(np.arange(5), 1000)):
        shares = np.bincount(labels[sampled(5000, seed=3)], minlength=5) / CALIBRATED
        assert shares == pytest.approx(np.full(5, 0.2), abs=0.05)
    assert not torch.equal(sampled(5000, seed=3), sampled(5000, seed=4))
    assert sampled(7, seed=0).tolist() == list(range(7))


def test_no_probability_is_zero_and_the_prior_is_the_stated_one() -> None:
    found = star.fit("digits", model={"name": "knn", "k": 3, "prior": 2.0})
    p = found.predict_proba(np.zeros((1, 1, 8, 8), np.float32))[0]
    assert p.sum() == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.isclose(p[:, None], (np.arange(4) + 0.2) / 5.0, atol=1e-6).any(1))


def test_of_equal_distances_the_first_row_counts_and_of_equal_votes_the_lowest_class() -> None:
    x = np.array([[0.0], [2.0], [0.0], [2.0]], np.float32)
    source = arrays(inputs=x, targets=np.array([1, 0, 2, 2]), given={"train": [0, 1, 2, 3], "valid": [], "test": []})
    nearest = star.fit(source_spec(source), model={"name": "knn", "k": 1})
    assert nearest.predict(np.array([[1.0]], np.float32)).tolist() == ["1"]  # all four are as far; row 0 has class 1
    two = star.fit(source_spec(source), model={"name": "knn", "k": 2})
    assert two.predict(np.array([[1.0]], np.float32)).tolist() == ["0"]  # rows 0 and 1: one vote each


def source_spec(source: arrays) -> dict[str, object]:
    return {"name": "resident", "source": source}


def test_candidates_are_ranked_by_exact_distances() -> None:
    """In float32, ‖m‖² / 2 − q·m loses digits far from the origin; the second look restores the order."""
    random = np.random.default_rng(1)
    points = (10 + 0.05 * random.standard_normal((300, 2))).astype(np.float32)
    found = star.fit((points.reshape(-1, 2, 1, 1), np.arange(300) % 7), model={"name": "knn", "k": 1})
    memory, queries = found.program.f.memory, torch.tensor(points[::7])
    truth = (queries.double()[:, None] - memory.double()[None]).square().sum(2)

    def misses(rows: torch.Tensor) -> int:
        return int((truth.gather(1, rows[:, None]).squeeze(1) > truth.amin(1)).sum())

    coarse = (memory.square().sum(1) / 2 - queries @ memory.T).argmin(1)
    assert misses(coarse) > 0
    assert misses(found.program.f.neighbours(queries.reshape(-1, 2, 1, 1))[:, 0]) == 0


def test_more_neighbours_than_examples_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.k=90 with 80 training examples"):
        star.fit({"name": "plane", "rows": 100}, model={"name": "knn", "k": 90})


def test_the_memory_is_saved_with_the_star(tmp_path: Path) -> None:
    found = star.fit("bars", model="knn", out=tmp_path / "run")
    again = star.load(tmp_path / "run")
    x = np.random.default_rng(0).random((20, 1, 8, 8)).astype(np.float32)
    assert (again.predict_proba(x) == found.predict_proba(x)).all()


@pytest.mark.shows("F3")
def test_mnist_in_part(shared_data: Path) -> None:
    """All of MNIST gives 97.05% (20 s on one core); here 5,000 memories and 500 questions, against scikit-learn."""
    import io

    import pyarrow.parquet as parquet
    from PIL import Image

    def images(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        found = parquet.read_table(shared_data / "mnist" / f"{name}.parquet").slice(0, count).to_pylist()
        pixels = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in found]
        return np.stack(pixels)[:, None], np.array([row["label"] for row in found])

    (x, y), (new, answers) = images("train", 5_000), images("test", 500)
    given = {"train": np.arange(5_000), "valid": [], "test": np.arange(5_000, 5_500)}
    source = arrays(inputs=np.concatenate([x, new]), targets=np.concatenate([y, answers]), given=given)
    found = star.fit(source_spec(source), model="knn")
    reference = (
        KNeighborsClassifier(3, algorithm="brute")
        .fit(x.reshape(5_000, -1) / 255, y)
        .predict(new.reshape(500, -1) / 255)
    )
    assert (found.predict(new).astype(np.int64) == reference).all()
    assert found.test()["accuracy"] == pytest.approx((reference == answers).mean())


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_the_prior_is_the_likeliest_by_leaving_one_out(name: str) -> None:
    found = star.fit(name, model="knn")
    x, y = found.program.f.memory.double().numpy(), found.program.f.answers.numpy()
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = distance.argsort(axis=1, kind="stable")[:, :3]
    rows = np.arange(0, len(x), -(-len(x) // 1000))
    votes = (y[near[rows]] == y[rows, None]).sum(1)
    classes = found.schema.outputs
    cost = {p: -np.log((votes + p / classes) / (3 + p)).mean() for p in PRIORS}
    assert found.program.f.smoothing.item() == pytest.approx(min(cost, key=cost.__getitem__))
