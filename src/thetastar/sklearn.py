"""A learner as a scikit-learn estimator: pipelines, cross-validation and grid search take it as one of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from thetastar.star import Star, fit

__all__ = ["Learner", "Regressor"]


class _Estimator(BaseEstimator):
    """θ* ← A_φ(D, P, L, f_θ) behind fit(X, y): what a recipe says are the parameters, what was learnt is `star_`."""

    def __init__(
        self,
        model: Any = None,
        method: Any = None,
        algorithm: Any = None,
        *,
        epochs: float | None = None,
        steps: int | None = None,
        engine: Mapping[str, Any] | None = None,
        valid: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.method = method
        self.algorithm = algorithm
        self.epochs = epochs
        self.steps = steps
        self.engine = engine
        self.valid = valid
        self.random_state = random_state

    def _train(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], task: str) -> Star:
        source = {"name": "arrays", "inputs": x.astype(np.float32), "targets": y, "task": task}
        data = {"name": "resident", "source": source, "valid": self.valid, "test": 0.0}
        return fit(
            data,
            self.model,
            self.method,
            self.algorithm,
            epochs=self.epochs,
            steps=self.steps,
            engine=self.engine,
            seed=self.random_state,
        )

    def _read(self, x: Any) -> np.ndarray[Any, Any]:
        check_is_fitted(self)
        return np.asarray(validate_data(self, x, reset=False, dtype="numeric"), dtype=np.float32)


class Learner(ClassifierMixin, _Estimator):
    """A classifier of rows of numbers.

    Args:
        model, method, algorithm: names or specs, as in `thetastar.fit`; None chooses by the data.
        epochs, steps: how long; at most one of them.
        engine: device, precision, patience and the like.
        valid: share of the rows held out for choices such as early stopping, in [0, 1).
        random_state: the seed of all randomness.

    Attributes:
        classes_: in the order of the columns of `predict_proba`.
        star_: what was learnt, with its recipe and measures.
    """

    def fit(self, X: Any, y: Any) -> Learner:
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Learner can't train when only one class is present: got {self.classes_[0]!r}")
        self.star_ = self._train(X, codes, "classification")
        return self

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """(rows, classes) probabilities."""
        rows = self._read(X)
        return self.star_.predict_proba(rows)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The most probable class of each row."""
        shares = self.predict_proba(X)  # first: it refuses what was not fitted
        return self.classes_[shares.argmax(1)]


class Regressor(RegressorMixin, _Estimator):
    """A regressor from rows of numbers to a number or several; arguments as for `Learner`."""

    def fit(self, X: Any, y: Any) -> Regressor:
        X, y = validate_data(self, X, y, dtype="numeric", y_numeric=True, multi_output=True, ensure_min_samples=2)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self.star_ = self._train(X, np.asarray(y, dtype=np.float32), "regression")
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """A number, or a row of them, for each row."""
        rows = self._read(X)
        return self.star_.predict(rows)
