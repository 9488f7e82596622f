"""Gradient boosting, grown by scikit-learn and evaluated as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered
from thetastar.functional.keys import mix
from thetastar.functional.trees import from_boosting
from thetastar.layers.ends import flat_size, known_target, only_input
from thetastar.layers.trees import Trees
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count, NonNegative, Positive

__all__ = ["gradient_boosting"]


class gradient_boosting(Model):
    """Gradient boosting on histograms: F_m = F_{m−1} + η h_m, each tree fitted to the gradient of the loss at F_{m−1}.

    F are logits (one tree a class and round) or the number itself (squared error). Above 10,000 rows a tenth of the
    training split decides when to stop.

    Args:
        schema: any input of one tensor; one class or numbers as the target.
        rounds: at most so many trees a class or number.
        learning_rate: η > 0.
        leaves: at most so many a tree.
        min_leaf: fewest examples in a leaf.
        l2: penalty on leaf values, ≥ 0.

    Shapes: (batch, …) → (batch, outputs).

    Source: Friedman 2001, Greedy function approximation: a gradient boosting machine; Ke et al. 2017, LightGBM.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}
    base: Tensor
    column: Tensor

    def __init__(
        self,
        schema: Schema,
        *,
        rounds: Count = 100,
        learning_rate: Positive = 0.1,
        leaves: Count = 31,
        min_leaf: Count = 20,
        l2: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        field, target = only_input(schema, "gradient_boosting"), known_target(schema, "gradient_boosting")
        if target.kind == "categories":
            raise UserError(
                "gradient_boosting with several labels an example", "one class or numbers", "choose random_forest"
            )
        self.kind, self.shape, self.outputs = target.kind, target.shape, schema.outputs
        self.options = {
            "max_iter": rounds,
            "learning_rate": learning_rate,
            "max_leaf_nodes": leaves,
            "min_samples_leaf": min_leaf,
            "l2_regularization": l2,
        }
        self.trees = Trees()
        self.register_buffer("base", torch.zeros(self.outputs, dtype=torch.float64))
        self.register_buffer("column", None)
        self.width = flat_size(field)
        self.head = nn.Identity()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": cls.__name__, "rounds": 3}}

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Grow the trees on the training split."""
        x, y = gathered(stream, "train", t)
        rows, seed = self.features(x).cpu().numpy(), mix(t.seed, "boosting") % 2**32
        grown = self._classes(rows, y, seed) if self.kind == "category" else self._numbers(rows, y, seed)
        predictors = [(predictor, column) for predictor, column in grown]
        self.trees.plant(from_boosting(predictor for predictor, _ in predictors), x)
        self.column = torch.tensor([column for _, column in predictors], device=x.device)

    def _classes(self, rows, y: Tensor, seed: int) -> list[tuple[object, int]]:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(**self.options, random_state=seed).fit(rows, y.cpu().numpy())
        # with two classes there is one logit, that of the second; a class absent from training keeps a small share
        columns = model.classes_[1:] if len(model.classes_) == 2 else model.classes_
        self.base.fill_(-math.log(len(rows) * self.outputs))
        self.base[torch.as_tensor(model.classes_)] = 0.0
        self.base[torch.as_tensor(columns)] = torch.as_tensor(model._baseline_prediction.reshape(-1)).to(self.base)
        return [(p, int(column)) for each in model._predictors for p, column in zip(each, columns, strict=True)]

    def _numbers(self, rows, y: Tensor, seed: int) -> list[tuple[object, int]]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        grown: list[tuple[object, int]] = []
        for column, target in enumerate(y.reshape(len(y), -1).double().cpu().numpy().T):
            model = HistGradientBoostingRegressor(**self.options, random_state=seed).fit(rows, target)
            self.base[column] = float(model._baseline_prediction.item())
            grown += [(each[0], column) for each in model._predictors]
        return grown

    def forward(self, x: Tensor) -> Tensor:
        values = self.trees(x).squeeze(2)  # (batch, trees)
        raw = self.base.repeat(len(x), 1).index_add(1, self.column, values)
        return raw.reshape(len(x), *self.shape) if self.kind == "number" else raw
