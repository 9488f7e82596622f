"""The page of plain runs, and `theta report` for them."""

from __future__ import annotations

import json

import pytest

from thetastar import star
from thetastar.cli import main
from thetastar.defaults import open_stream
from thetastar.recipe import Recipe
from thetastar.report import runs
from thetastar.run import Run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three seeds of one recipe and one of another."""
    out, stream = tmp_path_factory.mktemp("runs"), open_stream("blobs")
    for seed in range(3):
        recipe = Recipe(data="blobs", model={"name": "mlp", "widths": [8]}, budget={"epochs": 2}, seed=seed)
        star.train(recipe, out / "wide" / f"seed-{seed}", stream=stream)
    star.train(Recipe(data="blobs", model="softmax", algorithm={"name": "sgd"}), out / "plain", stream=stream)
    return out


def told(capsys, *words):
    code = main(["report", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_seeds_of_a_recipe_are_one_and_other_recipes_another(place):
    groups = runs.grouped(runs.opened([place / "wide", place / "plain"]))
    assert [(group.name, len(group.runs)) for group in groups] == [("mlp", 3), ("softmax", 1)]
    values = [Run.open(place / "wide" / f"seed-{seed}").measures["valid"]["nll"] for seed in range(3)]
    assert groups[0].mean("valid", "nll") == pytest.approx(sum(values) / 3)


def test_recipes_of_one_name_are_told_apart_and_only_what_differs_is_shown(place, tmp_path):
    other = Recipe(data="blobs", model={"name": "mlp", "widths": [4]}, budget={"epochs": 1})
    star.train(other, tmp_path / "small")
    groups = runs.grouped(runs.opened([place / "wide", tmp_path / "small"]))
    assert [group.name for group in groups] == ["wide", "small"]
    assert dict(runs.differing(groups)) == {"model.widths": ["[8]", "[4]"], "budget.epochs": ["2.0", "1.0"]}


def test_the_page_speaks_of_valid_until_every_run_was_tested(place, tmp_path):
    assert "The test split is sealed" in runs.render([place / "wide" / "seed-0"])
    star.train(Recipe(data="blobs", model="softmax"), tmp_path / "r").test()
    page = runs.render([tmp_path / "r"])
    assert "on test." in page
    assert "Every run opened the test split once." in page
    assert "1 of 2 runs opened the test split" in runs.render([tmp_path / "r", place / "plain"])


def test_report_writes_one_page_for_several_runs_and_lists_them(place, tmp_path, capsys):
    page = tmp_path / "deep" / "both.html"
    code, out, _ = told(capsys, place / "wide", place / "plain", "--out", page, "--json")
    entry = json.loads(out)
    assert (code, entry["report"]) == (0, str(page))
    assert len(entry["runs"]) == 4
    assert "comes first of 2" in page.read_text()
    code, out, _ = told(capsys, place / "plain")
    assert code == 0
    assert (place / "plain" / "report.html").is_file()
    assert "accuracy" in out


def test_what_cannot_be_reported_is_said_in_a_line(place, tmp_path, capsys):
    unfinished = Run.create(tmp_path / "half").path
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "compare.json").write_text("{}")
    for words, said in (
        ([unfinished], "is unfinished"),
        ([place / "plain", tmp_path / "none"], "no run folder"),
        ([place], "is no run folder"),
        ([place / "plain", tmp_path / "c"], "is a comparison"),
        ([tmp_path / "c"], "holds no verdict"),
        ([place / "plain", "--out", unfinished / "provenance.json" / "x.html"], "cannot write"),
    ):
        code, _, err = told(capsys, *words)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1
