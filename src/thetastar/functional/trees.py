"""Decision trees as tensors: exported from scikit-learn, evaluated in one vectorised descent of all trees at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Of all nodes of all trees, one after the other; roots and leaf values by tree and by leaf.
TABLES = ("roots", "feature", "threshold", "missing_left", "left", "right", "leaf", "value")


def descend(x: Tensor, trees: Mapping[str, Tensor]) -> Tensor:
    """The leaf of each example in each tree: left where x_feature ≤ threshold, until nothing moves any more.

    Shapes: x (batch, features) → (batch, trees) rows of `value`.
    """
    x = x.double()
    node = trees["roots"].long().expand(len(x), -1)
    while True:
        entry = x.gather(1, trees["feature"][node].long())
        left = (entry <= trees["threshold"][node]) | (entry.isnan() & trees["missing_left"][node])
        following = torch.where(left, trees["left"][node], trees["right"][node]).long()
        if torch.equal(following, node):  # a leaf leads to itself
            return trees["leaf"][node].long()
        node = following


def from_forest(forest: Any, classes: int | None) -> dict[str, Tensor]:
    """The trees of scikit-learn's random forest; `classes` of the whole data, since one may be absent from training."""

    def parts() -> Iterable[dict[str, Any]]:
        for estimator in forest.estimators_:
            tree, value = estimator.tree_, estimator.tree_.value
            if classes is not None:
                value = np.zeros((len(value), classes))
                value[:, forest.classes_] = tree.value[:, 0]  # (nodes, 1, classes seen)
            yield _grown(tree, value)

    return _joined(parts())


def from_tree(tree: Any, value: NDArray[np.float64]) -> dict[str, Tensor]:
    """One tree of scikit-learn's; `value` says (nodes, outputs) what each node answers, were it a leaf."""
    return _joined([_grown(tree, value)])


def _grown(tree: Any, value: NDArray[np.float64]) -> dict[str, Any]:
    leaf = tree.children_left < 0
    return {
        "is_leaf": leaf,
        "feature": tree.feature,
        "threshold": tree.threshold,
        "missing_left": tree.missing_go_to_left,
        "left": tree.children_left,
        "right": tree.children_right,
        "value": value[leaf].reshape(leaf.sum(), -1),
    }


def from_boosting(predictors: Iterable[Any]) -> dict[str, Tensor]:
    """The trees of scikit-learn's histogram gradient boosting, in the order given."""

    def parts() -> Iterable[dict[str, Any]]:
        for predictor in predictors:
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            yield {
                "is_leaf": leaf,
                "feature": nodes["feature_idx"],
                "threshold": nodes["num_threshold"],
                "missing_left": nodes["missing_go_to_left"],
                "left": nodes["left"],
                "right": nodes["right"],
                "value": nodes["value"][leaf][:, None],
            }

    return _joined(parts())


def _joined(parts: Iterable[dict[str, Any]]) -> dict[str, Tensor]:
    """One table out of many: children and leaves are renumbered, a leaf becomes its own child."""
    found: dict[str, list[Any]] = {name: [] for name in TABLES}
    nodes = leaves = 0
    for part in parts:
        is_leaf = part["is_leaf"]
        own = np.arange(len(is_leaf)) + nodes
        found["roots"].append([nodes])
        found["feature"].append(np.where(is_leaf, 0, part["feature"]))
        found["threshold"].append(np.where(is_leaf, 0.0, part["threshold"]))
        found["missing_left"].append(part["missing_left"].astype(bool))
        for side in ("left", "right"):
            found[side].append(np.where(is_leaf, own, part[side].astype(np.int64) + nodes))
        found["leaf"].append(np.where(is_leaf, np.cumsum(is_leaf) - 1 + leaves, 0))
        found["value"].append(part["value"])
        nodes, leaves = nodes + len(is_leaf), leaves + int(is_leaf.sum())
    types = {"threshold": torch.float64, "value": torch.float64, "missing_left": torch.bool}
    return {
        name: torch.as_tensor(np.concatenate(columns)).to(types.get(name, torch.int32))
        for name, columns in found.items()
    }
