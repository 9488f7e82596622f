"""Measures of decisions and probabilities equal scikit-learn's, however the split is cut into batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.functional.counts import confusion_matrix


def drawn(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and logits in which they show."""
    random = np.random.default_rng(seed)
    target = random.integers(0, classes, rows)
    logits = random.standard_normal((rows, classes)) + 1.5 * np.eye(classes)[target]
    return target, logits.astype(np.float32)


def measured(spec: Any, target: np.ndarray, logits: np.ndarray, cut: int) -> Any:
    """The measure after all batches, and its columns put together."""
    measure = registry.build("measures", spec)
    columns = []
    for start in range(0, len(target), cut):
        z = torch.tensor(logits[start : start + cut])
        labels = target.ndim == 2
        p = torch.sigmoid(z) if labels else torch.softmax(z, -1)
        prediction = (z > 0).long() if labels else z.argmax(-1)
        out = {"logits": z, "probabilities": p, "prediction": prediction}
        columns.append(measure.update(out, {"target": torch.tensor(target[start : start + cut])}))
    measure.columns = None if columns[0] is None else torch.cat(columns).double()
    return measure


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.tensor(logits).double(), -1).numpy()


Reference = Callable[[np.ndarray, np.ndarray], float]
MANY: dict[str, tuple[dict[str, Any], Reference]] = {
    "accuracy": ({"name": "accuracy"}, lambda y, z: reference.accuracy_score(y, z.argmax(1))),
    "balanced_accuracy": (
        {"name": "balanced_accuracy"},
        lambda y, z: reference.recall_score(y, z.argmax(1), average="macro", labels=np.unique(y)),
    ),
    "top_k": ({"name": "top_k", "k": 2}, lambda y, z: reference.top_k_accuracy_score(y, z, k=2, labels=range(4))),
    "nll": ({"name": "nll"}, lambda y, z: reference.log_loss(y, softmax(z), labels=range(4))),
    "brier": ({"name": "brier"}, lambda y, z: np.square(softmax(z) - np.eye(4)[y]).sum(1).mean()),
    **{
        f"{name}-{average}": (
            {"name": name, "average": average},
            lambda y, z, score=score, average=average: score(y, z.argmax(1), average=average, zero_division=0),
        )
        for average in ("macro", "micro", "weighted")
        for name, score in (
            ("precision", reference.precision_score),
            ("recall", reference.recall_score),
            ("f1", reference.f1_score),
        )
    },
    "mean_iou": (
        {"name": "mean_iou"},
        lambda y, z: reference.jaccard_score(y, z.argmax(1), average="macro", zero_division=0),
    ),
    "perplexity": ({"name": "perplexity"}, lambda y, z: np.exp(reference.log_loss(y, softmax(z), labels=range(4)))),
    "entropy": ({"name": "entropy"}, lambda y, z: np.mean(stats.entropy(softmax(z), axis=1))),
    "mutual_information": (
        {"name": "mutual_information"},
        lambda y, z: reference.mutual_info_score(y, z.argmax(1)),
    ),
    "f_beta": (
        {"name": "f_beta", "beta": 0.5},
        lambda y, z: reference.fbeta_score(y, z.argmax(1), beta=0.5, average="macro", zero_division=0),
    ),
}


@pytest.mark.shows("F10")
@pytest.mark.parametrize("name", MANY)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 60), cut=st.integers(1, 60))
def test_of_classes_equal_scikit_learn(name: str, seed: int, rows: int, cut: int) -> None:
    spec, expected = MANY[name]
    target, logits = drawn(seed, rows, 4)
    measure = measured(spec, target, logits, cut)
    value = measure.compute()[spec["name"]]
    assert value == pytest.approx(expected(target, logits), abs=1e-6)
    if measure.columns is not None:
        assert measure.columns.mean().item() == pytest.approx(value, abs=1e-6)


@pytest.mark.shows("F10")
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 60), cut=st.integers(1, 60), ties=st.booleans())
def test_binary_scores_are_exact(seed: int, rows: int, cut: int, ties: bool) -> None:
    target, logits = drawn(seed, rows, 2)
    target[:2] = 0, 1
    logits = logits.round() if ties else logits
    p = torch.softmax(torch.tensor(logits), -1)[:, 1].numpy()
    auc = measured("roc_auc", target, logits, cut)
    assert auc.compute()["roc_auc"] == pytest.approx(reference.roc_auc_score(target, p), abs=1e-12)
    assert auc.resolution() == 0.0
    x, y = np.array(auc.curve()[0]).T
    assert reference.auc(x, y) == pytest.approx(auc.compute()["roc_auc"], abs=1e-12)
    precision = measured("average_precision", target, logits, cut)
    expected = reference.average_precision_score(target, p)
    assert precision.compute()["average_precision"] == pytest.approx(expected, abs=1e-12)
    assert precision.resolution() == 0.0
    known = reference.precision_recall_curve(target, p)
    recalls, precisions = np.array(precision.curve()[0]).T
    assert recalls == pytest.approx(known[1][::-1], abs=1e-12)
    assert precisions == pytest.approx(known[0][::-1], abs=1e-12)
    known = reference.roc_curve(target, p, drop_intermediate=False)
    assert (x, y) == (pytest.approx(known[0], abs=1e-12), pytest.approx(known[1], abs=1e-12))
    expected = reference.brier_score_loss(target, p)
    assert measured("brier", target, logits, cut).compute()["brier"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.shows("F10")
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(10, 200),
    cut=st.integers(1, 200),
    bins=st.sampled_from([8, 4096]),
    sharp=st.sampled_from([1.0, 30.0]),
)
def test_one_against_the_rest_is_right_to_its_resolution(
    seed: int, rows: int, cut: int, bins: int, sharp: float
) -> None:
    target, logits = drawn(seed, rows, 3)
    target[:3] = 0, 1, 2
    p = softmax(logits * np.float32(sharp))
    hot = np.eye(3)[target]
    for name, expected in (
        ("roc_auc", reference.roc_auc_score(target, p, multi_class="ovr")),
        ("average_precision", reference.average_precision_score(hot, p, average="macro")),
    ):
        measure = measured({"name": name, "bins": bins}, target, logits * np.float32(sharp), cut)
        assert abs(measure.compute()[name] - expected) <= measure.resolution() + 1e-6
        assert bins < 4096 or sharp > 1 or measure.resolution() < 0.05


@pytest.mark.shows("F10")
def test_a_class_without_members_has_no_curve() -> None:
    target, logits = drawn(0, 50, 3)
    target = np.minimum(target, 1)
    sizes = [reference.roc_auc_score(target == c, softmax(logits)[:, c]) for c in (0, 1)]
    assert measured("roc_auc", target, logits, 7).compute()["roc_auc"] == pytest.approx(np.mean(sizes), abs=2e-3)
    sizes = [reference.average_precision_score(target == c, softmax(logits)[:, c]) for c in (0, 1)]
    found = measured("average_precision", target, logits, 7).compute()["average_precision"]
    assert found == pytest.approx(np.mean(sizes), abs=5e-3)


@pytest.mark.shows("F10")
def test_of_one_class_alone_only_average_precision_knows_something() -> None:
    _, logits = drawn(0, 50, 2)
    for label in (0, 1):
        target = np.full(50, label)
        assert np.isnan(measured("roc_auc", target, logits, 7).compute()["roc_auc"])
        found = measured("average_precision", target, logits, 7).compute()["average_precision"]
        assert found == 1.0 if label else np.isnan(found)
    assert np.isnan(measured("roc_auc", np.zeros(50, np.int64), drawn(0, 50, 3)[1], 7).compute()["roc_auc"])
    assert measured("mutual_information", target, logits, 7).compute()["mutual_information"] == 0
    called = logits.argmax(1) == 1
    assert measured("mean_iou", target, logits, 7).compute()["mean_iou"] == pytest.approx(called.mean() / 2)
    assert measured("mean_iou", target, np.eye(2)[target], 7).compute()["mean_iou"] == 1


@pytest.mark.shows("F10")
def test_regions_of_images_and_tokens_of_sequences_are_counted_one_by_one() -> None:
    random = np.random.default_rng(0)
    target, called = random.integers(0, 3, (2, 6, 5, 4))
    measure = registry.build("measures", "mean_iou")
    for part in (slice(0, 2), slice(2, 6)):
        out = {"prediction": torch.tensor(called[part]), "probabilities": torch.zeros(1, 4, 5, 4)}
        measure.update(out, {"target": torch.tensor(target[part])})
    expected = reference.jaccard_score(target.ravel(), called.ravel(), average=None)
    assert measure.compute()["mean_iou"] == pytest.approx(expected.mean())
    assert measure.table() == pytest.approx([*expected, 0])
    tokens, logits = random.integers(0, 7, (3, 5)), torch.tensor(random.standard_normal((3, 5, 7)))
    measure = registry.build("measures", "perplexity")
    measure.update({"logits": logits}, {"target": torch.tensor(tokens)})
    p = torch.softmax(logits, -1).numpy().reshape(15, 7)[np.arange(15), tokens.ravel()]
    assert measure.compute()["perplexity"] == pytest.approx(1 / stats.gmean(p))
    measure = registry.build("measures", "perplexity")
    measure.update({"logits": torch.zeros(9, 7)}, {"target": torch.zeros(9, dtype=torch.int64)})
    assert measure.compute()["perplexity"] == pytest.approx(7), "a guess among seven"


@pytest.mark.shows("F10")
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 50), cut=st.integers(1, 50))
def test_of_several_labels_equal_scikit_learn(seed: int, rows: int, cut: int) -> None:
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, (rows, 3))
    logits = (random.standard_normal((rows, 3)) + target - 0.5).astype(np.float32)
    called, p = (logits > 0).astype(int), 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = {
        "accuracy": reference.accuracy_score(target, called),
        "f1": reference.f1_score(target, called, average="macro", zero_division=0),
        "precision": reference.precision_score(target, called, average="macro", zero_division=0),
        "recall": reference.recall_score(target, called, average="macro", zero_division=0),
        "brier": np.square(p - target).mean(),
        "average_precision": np.mean(
            [reference.average_precision_score(target[:, c], p[:, c]) for c in range(3) if target[:, c].any()] or np.nan
        ),
        "nll": -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean(),
    }
    for name, value in expected.items():
        measure = measured(name, target, logits, cut)
        slack = measure.resolution() if name == "average_precision" and target.any() else 0
        assert measure.compute()[name] == pytest.approx(value, abs=1e-6 + slack, nan_ok=True), name


@pytest.mark.shows("F10")
def test_the_confusion_matrix_is_scikit_learns_and_names_the_commonest_mistake() -> None:
    target, logits = drawn(3, 200, 4)
    expected = reference.confusion_matrix(target, logits.argmax(1), labels=range(4))
    measure = measured("confusion", target, logits, 17)
    assert measure.table() == expected.tolist()
    values = measure.compute()
    assert values["confusion"] == pytest.approx((expected - np.diag(np.diag(expected))).max() / 200)
    assert all(values.get(f"confusion[{i},{j}]", 0) == expected[i, j] for i in range(4) for j in range(4))
    assert confusion_matrix(torch.tensor([1, 1]), torch.tensor([0, 1]), 2).tolist() == [[0, 1], [0, 1]]


@pytest.mark.shows("F10")
def test_tables_by_class_equal_scikit_learns_report() -> None:
    target, logits = drawn(5, 100, 3)
    report = reference.classification_report(target, logits.argmax(1), output_dict=True, zero_division=0)
    table = measured("f1", target, logits, 100).table()
    for number in range(3):
        row = report[str(number)]
        found = [table[key][number] for key in ("precision", "recall", "f1", "there")]
        assert found == pytest.approx([row["precision"], row["recall"], row["f1-score"], row["support"]])


def test_bins_of_calibration_by_hand() -> None:
    """Confidences 0.55, 0.61, 0.95 and 1.0 in five bins over [0, 1]: the last bin holds its upper end."""
    confidence = torch.tensor([0.55, 0.61, 0.95, 1.0])
    p = torch.stack([confidence, 1 - confidence], 1)
    measure = registry.build("measures", {"name": "ece", "bins": 5})
    measure.update({"probabilities": p}, {"target": torch.tensor([0, 1, 0, 1])})
    assert measure.table()["count"] == [0, 0, 1, 1, 2]
    assert measure.table()["accuracy"] == [0, 0, 1, 0, 0.5]
    assert measure.table()["confidence"] == pytest.approx([0, 0, 0.55, 0.61, 0.975])
    assert measure.compute()["ece"] == pytest.approx((0.45 + 0.61 + 2 * 0.475) / 4)


@pytest.mark.parametrize(
    ("data", "name"), [("plane", "accuracy"), ("blobs", "rmse"), ("plane", "ece"), ("plane", "nll")]
)
def test_a_measure_of_another_kind_of_target_is_refused(data: str, name: str) -> None:
    with pytest.raises(UserError, match=f"measure {name} on a"):
        star.fit(data, measures=[name], steps=1)


def test_ties_at_the_edge_of_the_top_k_are_scikit_learns() -> None:
    target, logits = np.array([0, 1, 2, 3]), np.zeros((4, 4), np.float32)
    expected = reference.top_k_accuracy_score(target, logits, k=2)
    assert measured({"name": "top_k", "k": 2}, target, logits, 4).compute()["top_k"] == expected


@pytest.mark.parametrize("name", ["ece", "roc_auc"])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_that_are_no_numbers_stop_no_evaluation(name: str, classes: int) -> None:
    measure = registry.build("measures", {"name": name})
    target = torch.tensor([0, 1, 1, 0])
    measure.update({"probabilities": torch.full((4, classes), math.nan)}, {"target": target})
    value = measure.compute()[name]
    assert math.isnan(value) if name == "ece" else value == 0.5, "ties say nothing"


def test_jaccard_and_micro_f1_of_labels_equal_scikit_learn() -> None:
    random = np.random.default_rng(0)
    target, called = random.random((2, 60, 5)) < np.array([0.7, 0.3])[:, None, None]
    target[:3] = called[:3] = False  # nothing there and nothing called: right
    for name, average in (("jaccard", "samples"), ("micro_f1", "micro")):
        measure = registry.build("measures", name)
        columns = []
        for part in (slice(0, 25), slice(25, 60)):
            out = {"prediction": torch.tensor(called[part]).long(), "probabilities": torch.zeros(1, 5)}
            columns.append(measure.update(out, {"target": torch.tensor(target[part]).float()}))
        score = reference.jaccard_score if name == "jaccard" else reference.f1_score
        value = measure.compute()[name]
        assert value == pytest.approx(score(target, called, average=average, zero_division=1.0))
        assert columns[0] is None or torch.cat(columns).mean().item() == pytest.approx(value)
