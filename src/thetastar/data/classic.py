"""Four classic tables that ship with scikit-learn."""

from __future__ import annotations

from typing import Any

from thetastar.data.arrays import arrays
from thetastar.protocols import Source

__all__ = ["breast_cancer", "diabetes", "iris", "wine"]


def iris() -> Source:
    """150 iris flowers of three species, four lengths in centimetres.

    Source: Fisher 1936, The use of multiple measurements in taxonomic problems.
    """
    from sklearn.datasets import load_iris

    return _classes("iris", load_iris())


def wine() -> Source:
    """178 Italian wines from three cultivars, thirteen chemical measurements.

    Source: Aeberhard, Coomans and de Vel 1992, Comparison of classifiers in high dimensional settings (UCI repository).
    """
    from sklearn.datasets import load_wine

    return _classes("wine", load_wine())


def breast_cancer() -> Source:
    """569 breast tumours, malignant or benign, thirty measurements of their cell nuclei.

    Source: Street, Wolberg and Mangasarian 1993, Nuclear feature extraction for breast tumor diagnosis.
    """
    from sklearn.datasets import load_breast_cancer

    return _classes("breast_cancer", load_breast_cancer())


def diabetes() -> Source:
    """442 diabetes patients, ten measurements in their own units; the target is the progression after one year.

    Source: Efron, Hastie, Johnstone and Tibshirani 2004, Least angle regression.
    """
    from sklearn.datasets import load_diabetes

    # raw units: scikit-learn's scaled version was standardised on all rows, the held-out ones among them
    bunch: Any = load_diabetes(scaled=False)
    return arrays(
        inputs=bunch.data, targets=bunch.target, columns=bunch.feature_names, task="regression", title="diabetes"
    )


def _classes(title: str, bunch: Any) -> Source:
    return arrays(
        inputs=bunch.data,
        targets=bunch.target,
        names=tuple(bunch.target_names),
        columns=bunch.feature_names,
        title=title,
    )
