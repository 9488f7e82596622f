"""The measurement of defaults beside tuned settings: what it counts as near enough, and that it opens test once."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "tuning.py"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.setenv("THETASTAR_DATA", "")  # the benchmark sets it; this puts it back
    spec = importlib.util.spec_from_file_location("benchmark_of_tuning", FILE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("higher", "default", "tuned", "at_least", "near"),
    [
        (True, 0.90, 0.905, True, True),
        (True, 0.90, 0.915, True, False),
        (True, 0.90, 0.89, False, True),
        (False, 102.0, 100.0, True, True),
        (False, 104.0, 100.0, True, False),
        (False, 99.0, 100.0, False, True),
    ],
)
def test_near_enough_is_a_point_or_three_percent_of_an_error(benchmark, higher, default, tuned, at_least, near):
    found = benchmark.summary("digits", "any", higher, [(default, tuned), (default, tuned)])
    assert (found["tuned_at_least_default"], found["default_near_enough"]) == (at_least, near)


def test_done_in_pieces_it_goes_on_and_opens_test_once(benchmark, tmp_path, monkeypatch):
    """A tiny budget on small data stands in; the second call finds everything done."""
    plan = benchmark.plan
    monkeypatch.setattr(benchmark, "data_of", lambda name, folder, work: "moons")
    monkeypatch.setattr(benchmark, "plan", lambda recipe, *rest: plan(recipe.replace(budget={"steps": 10}), *rest))
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "found.json")]
    words = [str(tmp_path), "--trials", "3", "--seeds", "2", *places]
    benchmark.main([*words, "--only", "digits"])
    first = json.loads((tmp_path / "found.json").read_text())["results"]
    benchmark.main([*words, "--only", "digits", "housing"])
    second = json.loads((tmp_path / "found.json").read_text())["results"]
    assert list(first) == ["digits"]
    assert list(second) == ["digits", "housing"]
    assert second["digits"]["test"] == first["digits"]["test"] == second["housing"]["test"]
    assert set(second["digits"]["openings"]) == {1}
    assert second["digits"]["trials"] == 3
