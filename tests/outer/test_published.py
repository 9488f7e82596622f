"""A published figure stands beside ours: on its own data only, judged by our interval, and trained on by nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.outer.compare import compare
from thetastar.outer.published import standing
from thetastar.outer.verdict import Row, Verdict
from thetastar.recipe import Recipe

SOURCE = "Doe 1999, On blobs"
SMALL = {"name": "mlp", "widths": [8]}
FIGURE = {"value": 0.0705, "source": SOURCE}
BUDGET = {"steps": 4}


def recipe(published: object = FIGURE, data: object = "blobs") -> Recipe:
    return Recipe(data=data, model=SMALL, budget=BUDGET, published=published)  # type: ignore[arg-type]


def row(quality: float, low: float | None, high: float | None, value: float) -> Row:
    return Row("mlp", quality=quality, low=low, high=high, published={"value": value})


@pytest.mark.parametrize(
    ("low", "high", "value", "where"),
    [(0.8, 0.9, 0.7, "above"), (0.8, 0.9, 0.8, "at"), (0.8, 0.9, 0.9, "at"), (0.8, 0.9, 0.91, "below")],
)
def test_ours_is_above_at_or_below_by_its_interval(low: float, high: float, value: float, where: str) -> None:
    assert standing(row(0.85, low, high, value)) == where


def test_without_an_interval_the_mean_decides() -> None:
    assert [standing(row(0.8, None, None, value)) for value in (0.7, 0.8, 0.9)] == ["above", "at", "below"]
    assert standing(row(0.8, float("nan"), float("nan"), 0.7)) == "above"
    assert standing(Row("mlp", quality=0.8)) is None


def test_the_figure_is_in_the_table_the_words_and_the_page_and_in_no_run(tmp_path: Path) -> None:
    verdict = compare("blobs", recipes=[recipe(), recipe(None)], seeds=1, out=tmp_path / "c")
    assert [found.published["value"] if found.published else None for found in verdict.rows] == [0.0705, None]
    heads = [str(column.header) for column in verdict.table().columns]
    assert heads[2] == "published"
    shown = dict(zip((r.name for r in verdict.ranked), verdict.table().columns[2].cells, strict=True))
    assert shown == {"mlp": "7.05%, ours above", "mlp-2": "–"}
    assert f"against 7.05%, ours above. Published: {SOURCE}." in verdict.sentence()
    page = (tmp_path / "c" / "report.html").read_text()
    assert "<td>7.05%, ours above</td>" in page
    assert SOURCE in page
    assert "published" not in (tmp_path / "c" / "runs" / "mlp" / "seed-0" / "recipe.yaml").read_text()
    again = Verdict.from_json({k: v for k, v in verdict.to_json().items() if k != "evidence"})
    assert again.rows[0].published == verdict.rows[0].published


def test_a_figure_on_other_data_or_of_another_measure_is_not_shown() -> None:
    other = recipe(data={"name": "blobs", "spread": 0.3}, published=FIGURE)
    nll = recipe({**FIGURE, "measure": "nll"})
    verdict = compare("blobs", recipes=[other, nll], seeds=1)
    assert [found.published for found in verdict.rows] == [None, None]
    assert "published" not in [str(column.header) for column in verdict.table().columns]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"value": 0.9}, "published without a source"),
        ({"source": SOURCE}, "published without a value"),
        ({**FIGURE, "value": "high"}, "published.value: got 'high'"),
        ({**FIGURE, "valeu": 1}, "did you mean 'value'"),
        (0.9, "published: got 0.9; expected a mapping"),
    ],
)
def test_a_broken_figure_is_refused(given: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        compare("blobs", recipes=[recipe(given)], seeds=1)


def test_recipes_bring_their_data_where_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = tmp_path / "set"
    inside.mkdir()
    for name, widths in (("narrow", [4]), ("wide", [16])):
        entry = Recipe(data="blobs", model={"name": "mlp", "widths": widths}, budget=BUDGET)
        (inside / f"{name}.yaml").write_text(entry.to_yaml())
    words = ["compare", "--recipes", str(inside), "--seeds", "1", "--json", "--out", str(tmp_path / "c")]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found["question"]["title"], [one["name"] for one in found["rows"]]] == ["blobs", ["narrow", "wide"]]
    (inside / "other.yaml").write_text(Recipe(data="iris").to_yaml())
    assert main(words) == 2
    assert "recipes narrow and other with different data; expected one data set for all" in capsys.readouterr().err
    assert main(["compare"]) == 2
    assert "no data; expected a data set" in capsys.readouterr().err
