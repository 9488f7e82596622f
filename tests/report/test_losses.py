"""The set of optimisers runs on equal terms, and its page draws the loss against steps and against seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.report.losses import marks, mean, reaching
from thetastar.terminal.words import recipe_file, recipe_files

NAMES = ["adadelta", "adagrad", "adam", "adamw", "gradient_descent", "momentum", "muon", "nesterov", "rmsprop", "sgd"]


@pytest.mark.shows("O1")
def test_ten_optimisers_on_one_model_end_in_both_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["mnist1d", "data.rows=300"]
    model = ["--models", "mlp", "--recipes", "optimisers", "--seeds", "1", "--epochs", "2"]
    assert main(["compare", *data, *model, "--out", str(tmp_path / "ten")]) == 0
    said = capsys.readouterr().err
    assert f"comparing {', '.join(NAMES)}: 10 learners" in said
    page = (tmp_path / "ten" / "report.html").read_text()
    assert "Training loss against steps: " in page
    assert "Training loss against seconds: " in page
    for name in NAMES:
        recipe = Recipe.from_yaml(tmp_path / "ten" / "runs" / name / "seed-0" / "recipe.yaml")
        assert recipe.model["name"] == "mlp"
        assert len((tmp_path / "ten" / "runs" / name / "seed-0" / "trace.jsonl").read_text().splitlines()) == 2


def test_full_batches_take_one_step_an_epoch(tmp_path: Path) -> None:
    words = ["mnist1d", "data.rows=300", "--recipe", "optimisers/gradient_descent", "--epochs", "3"]
    assert main(["fit", *words, "--out", str(tmp_path / "run")]) == 0
    assert '"step": 3, "epoch": 3' in (tmp_path / "run" / "trace.jsonl").read_text().splitlines()[-1]


def test_losses_of_other_methods_are_not_drawn_together(tmp_path: Path) -> None:
    words = ["blobs", "--models", "mlp", "--methods", "supervised,mixup", "--seeds", "2", "--steps", "4"]
    assert main(["compare", *words, "--out", str(tmp_path / "two")]) == 0
    assert "Training loss against" not in (tmp_path / "two" / "report.html").read_text()


def test_the_mean_is_geometric_over_the_epochs_that_every_seed_reached() -> None:
    rows = mean([[[10, 1.0, 4.0], [20, 2.0, 1.0]], [[10, 3.0, 1.0], [20, 4.0, 0.25], [30, 5.0, 0.1]]])
    assert [row["loss"] for row in rows] == pytest.approx([2.0, 0.5])
    assert [row["seconds"] for row in rows] == [2.0, 3.0]
    assert [row["step"] for row in rows] == [10, 20]
    assert [row["step"] for row in mean([[[10, 1.0, 4.0], [20, 2.0, np.nan]]])] == [10]


def test_time_to_a_loss_is_that_of_the_first_epoch_that_has_it() -> None:
    rows = mean([[[10, 1.0, 4.0], [20, 2.5, 1.0], [30, 4.0, 2.0]]])
    assert reaching(rows, 2.0) == ("20", "2.5 s")
    assert reaching(rows, 0.5) == ("–", "–")


def test_marks_are_few_and_round() -> None:
    assert marks(0.58, 2.2) == pytest.approx([1, 2])
    assert marks(0.002, 2.2) == pytest.approx([0.01, 0.1, 1])


def test_sets_are_found_by_name_and_a_single_recipe_is_asked_for_where_one_is_wanted() -> None:
    assert [file.stem for file in recipe_files(Path("optimisers"))] == NAMES
    assert recipe_file(Path("optimisers/adam")).stem == "adam"
    with pytest.raises(UserError, match="a set of 10 recipes; expected one recipe"):
        recipe_file(Path("optimisers"))
    with pytest.raises(UserError, match="did you mean 'optimisers'"):
        recipe_files(Path("optimizers"))


def test_a_folder_without_recipes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no recipes"):
        recipe_files(tmp_path)
