"""Random forests, grown by scikit-learn and evaluated as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from thetastar.functional.gathering import gathered, in_deviations, label_logits, vote_logits
from thetastar.functional.keys import mix
from thetastar.functional.trees import from_forest
from thetastar.layers.ends import flat_size, known_target, only_input
from thetastar.layers.trees import Trees
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count, Positive

__all__ = ["random_forest"]


class random_forest(Model):
    """Random forest: the mean over trees that each see a bootstrap sample and, at every split, some of the features.

    Class shares are smoothed by a prior as for votes: p(c | x) = (Σ_t p_t(c | x) + λ/C) / (trees + λ), so none is 0
    (see nll); their order is unchanged. Several numbers count alike in a split, whatever their units.

    Args:
        schema: any input of one tensor.
        trees: how many.
        max_depth: of a tree; null grows until leaves are pure or too small.
        min_leaf: fewest examples in a leaf.
        max_features: tried at a split, of d: "auto" is √d for classes and all for numbers, else √d, log₂ d or all.
        prior: λ > 0, the weight in trees of one that is of every opinion.

    Shapes: (batch, …) → (batch, outputs).

    Source: Breiman 2001, Random forests.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}

    def __init__(
        self,
        schema: Schema,
        *,
        trees: Count = 100,
        max_depth: Count | None = None,
        min_leaf: Count = 1,
        max_features: Literal["auto", "sqrt", "log2", "all"] = "auto",
        prior: Positive = 1.0,
    ) -> None:
        super().__init__()
        field, target = only_input(schema, "random_forest"), known_target(schema, "random_forest")
        self.kind, self.shape, self.prior = target.kind, target.shape, prior
        self.classes = target.classes if target.kind == "category" else None
        if max_features == "auto":
            max_features = "all" if target.kind == "number" else "sqrt"
        self.options = {
            "n_estimators": trees,
            "max_depth": max_depth,
            "min_samples_leaf": min_leaf,
            "max_features": None if max_features == "all" else max_features,
        }
        self.trees = Trees()
        self.width = flat_size(field)
        self.head = nn.Identity()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": cls.__name__, "trees": 5}}

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Grow the trees on the training split."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        # labels that are there or not are numbers here: the variance of 0 and 1 is half their Gini impurity
        kind = RandomForestRegressor if self.classes is None else RandomForestClassifier
        x, y = gathered(stream, "train", t)
        y, spread = in_deviations(y) if self.kind == "number" else (y, y.new_ones(()))
        forest = kind(**self.options, random_state=mix(t.seed, "forest") % 2**32, n_jobs=torch.get_num_threads())
        forest.fit(self.features(x).cpu().numpy(), y.cpu().numpy().squeeze())
        self.trees.plant(from_forest(forest, self.classes), x)
        self.trees.value *= spread.to(self.trees.value)

    def shares(self, x: Tensor) -> Tensor:
        """The mean over trees as it is, in float64: class shares (batch, classes) or numbers (batch, outputs)."""
        return self.trees(x).mean(1)

    def forward(self, x: Tensor) -> Tensor:
        shares, count = self.shares(x), self.options["n_estimators"]
        if self.kind == "number":
            return shares.reshape(len(x), *self.shape)
        logits = label_logits if self.kind == "categories" else vote_logits
        return logits(shares * count, count, self.prior)
