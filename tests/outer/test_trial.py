"""A run of a comparison, read from its files."""

from __future__ import annotations

import math

from thetastar import compare
from thetastar.outer.trial import load_trial
from thetastar.outer.wording import cells, columns
from thetastar.run import Run


def test_a_measure_that_is_not_finite_in_one_seed_keeps_its_column_and_costs_no_verdict(tmp_path):
    terms = {"seeds": 2, "resplit": False, "budget": {"epochs": 1}, "out": tmp_path / "iris"}
    compare("iris", ["softmax", "knn"], **terms)
    run = Run.open(tmp_path / "iris" / "runs" / "softmax" / "seed-1")
    damaged = run.measures
    damaged["test"]["nll"] = None  # what JSON says of a likelihood that overflowed
    run.write_json("measures.json", damaged)
    verdict = compare("iris", ["softmax", "knn"], **terms)
    softmax, knn = verdict.rows
    assert list(softmax.test) == list(knn.test), "columns of a table stand under their heads"
    assert math.isnan(softmax.test["nll"])
    assert math.isfinite(softmax.test["ece"])
    heads = columns(verdict)
    assert dict(zip(heads, cells(softmax, verdict), strict=True))["NLL"] == "–"
    assert math.isnan(load_trial(run.path, [{"name": "accuracy"}, {"name": "nll"}]).test["nll"])
