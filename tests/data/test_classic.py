"""The classic tables are the published ones."""

from __future__ import annotations

import pytest

from thetastar.defaults import open_stream
from thetastar.errors import UserError

# rows, inputs, classes (0: numbers), mean of the first input over all rows as published with the sets
KNOWN = {
    "iris": (150, 4, 3, 5.843),
    "wine": (178, 13, 3, 13.0),
    "breast_cancer": (569, 30, 2, 14.127),
    "diabetes": (442, 10, 0, 48.518),
}


@pytest.mark.parametrize("name", KNOWN)
def test_sizes_and_units(name: str) -> None:
    rows, inputs, classes, first = KNOWN[name]
    stream = open_stream(name)
    assert sum(stream.size(split) for split in ("train", "valid", "test")) == rows
    assert stream.schema.input.shape == (inputs,)
    assert (stream.schema.target.classes or 0) == classes
    assert stream.source.inputs[:, 0].mean().item() == pytest.approx(first, abs=2e-3)


def test_class_names() -> None:
    assert open_stream("iris").schema.target.names == ("setosa", "versicolor", "virginica")
    assert open_stream("breast-cancer").schema.target.names == ("malignant", "benign")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'iris'"):
        open_stream("irsi")
