"""Stages: each begins with the f of the one before, in run folders that are resumed, checked and refused as any."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.outer import stages
from thetastar.outer.stages import Staged
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import Star, train

SHARED = {"data": "bars", "model": {"name": "mlp", "widths": [16], "norm": "batch"}, "engine": {"evaluations": 0}}
FIRST = {"name": "pretrain", "method": {"name": "byol", "hidden": 16, "outputs": 8}, "budget": {"steps": 6}}
PROBE = {"name": "probe", "method": "probe", "budget": {"steps": 6}}
TUNE = {"method": "supervised", "data": {"name": "few_labels", "source": "bars", "labels": 12}, "budget": {"steps": 9}}


def staged(*own: dict[str, Any], **shared: Any) -> Staged:
    return Staged.from_mapping({**SHARED, **shared, "stages": list(own)})


def weights_of(place: Path) -> dict[str, torch.Tensor]:
    return Run.open(place).model()


def test_a_stage_is_the_run_that_begins_with_the_weights_of_the_one_before(tmp_path: Path) -> None:
    first, second, third = stages.run(stages.opened(staged(FIRST, PROBE, TUNE).stages()), tmp_path / "all")
    folders = [star.run.path.name for star in (first, second, third) if star.run]
    assert folders == ["1-pretrain", "2-probe", "3-supervised"]
    train(Recipe(**SHARED, method=FIRST["method"], budget=FIRST["budget"]), tmp_path / "alone")
    lone = weights_of(tmp_path / "alone")
    assert all(torch.equal(value, lone[name]) for name, value in weights_of(tmp_path / "all/1-pretrain").items())
    for place, before, own in (("2-probe", "1-pretrain", PROBE), ("3-supervised", "2-probe", TUNE)):
        engine = {**SHARED["engine"], "weights": str(tmp_path / "all" / before)}
        said = {key: value for key, value in own.items() if key != "name"}
        train(Recipe(**{**SHARED, "engine": engine, **said}), tmp_path / place)
        lone = weights_of(tmp_path / place)
        assert all(torch.equal(value, lone[name]) for name, value in weights_of(tmp_path / "all" / place).items())
    probed = weights_of(tmp_path / "all/2-probe")
    for name, value in weights_of(tmp_path / "all/1-pretrain").items():
        if name.startswith("f.") and ".head." not in name and "tracked" not in name:
            assert torch.equal(value, probed[name])


def test_each_stage_records_the_hash_of_the_model_that_it_began_with(tmp_path: Path) -> None:
    stages.run(stages.opened(staged(FIRST, PROBE).stages()), tmp_path / "all")
    file = tmp_path / "all/1-pretrain/model.safetensors"
    recorded = Run.open(tmp_path / "all/2-probe").provenance["weights"]
    assert recorded == {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


class Stop(Exception):
    pass


def test_finished_stages_are_kept_and_an_unfinished_one_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    asked = staged(FIRST, PROBE, engine={"evaluations": 0, "checkpoint": 1e-9})
    stages.run(stages.opened(asked.stages()), tmp_path / "whole")
    calls: list[str] = []

    def until(recipe: Recipe, where: Path, stream: Any) -> Star:
        calls.append(where.name)
        if where.name == "2-probe" and len(calls) == 2:
            from tests.methods.test_byol import Interrupt

            class Early(Interrupt):
                def step(self, step: int, steps: int) -> None:
                    if step == 4:
                        raise Stop

            return train(recipe, where, stream=stream, watch=Early())
        return train(recipe, where, stream=stream)

    with pytest.raises(Stop):
        stages.run(stages.opened(asked.stages()), tmp_path / "cut", until)
    assert Run.open(tmp_path / "cut/2-probe").latest() is not None
    stamp = (tmp_path / "cut/1-pretrain/model.safetensors").stat().st_mtime_ns
    stages.run(stages.opened(asked.stages()), tmp_path / "cut", until)
    assert (tmp_path / "cut/1-pretrain/model.safetensors").stat().st_mtime_ns == stamp
    for place in ("1-pretrain", "2-probe"):
        cut = weights_of(tmp_path / "cut" / place)
        assert all(torch.equal(value, cut[name]) for name, value in weights_of(tmp_path / "whole" / place).items())


def test_a_changed_first_stage_is_refused(tmp_path: Path) -> None:
    found = stages.opened(staged(FIRST, PROBE).stages())
    stages.run(found, tmp_path / "all")
    other = stages.opened(staged(FIRST, PROBE, seed=1).stages())
    with pytest.raises(UserError, match="holds stages of another recipe"):
        stages.run(other, tmp_path / "all")
    stages.run(other, tmp_path / "other")
    for name in ("model.safetensors", "provenance.json", "recipe.yaml", "schema.json"):
        (tmp_path / "all/1-pretrain" / name).write_bytes((tmp_path / "other/1-pretrain" / name).read_bytes())
    with pytest.raises(UserError, match="another recipe"):  # whole in itself, but not the stage that was asked for
        stages.run(found, tmp_path / "all")
    recipe = Run.open(tmp_path / "all/2-probe").recipe
    with pytest.raises(UserError, match="has changed since"):
        train(recipe, tmp_path / "all/2-probe")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([PROBE], "a list of at least two stages"),
        ("probe", "a list of at least two stages"),
        ([FIRST, "probe"], "stage 2: got 'probe'; expected a mapping"),
        ([FIRST, FIRST], "two stages 'pretrain'"),
        ([FIRST, {**PROBE, "name": "a/b"}], "stage 2: name 'a/b'"),
        ([FIRST, {**PROBE, "metod": "probe"}], "stage 'probe': unknown key 'metod'; .*did you mean 'method'"),
        ([FIRST, {**PROBE, "engine": {"weights": "x"}}], "engine.weights of stage 'probe'"),
        ([FIRST, {**PROBE, "method": "prob"}], "stage 'probe': unknown method 'prob'.*'probe'"),
        (
            [FIRST, {**PROBE, "model": {"name": "mlp", "widths": [8]}}],
            "'probe' cannot begin with the f of 'pretrain'",
        ),
        (
            [FIRST, {**PROBE, "data": {"name": "bars", "split_seed": 1}}],
            r"holds out \d+ valid rows that 'pretrain'",
        ),
    ],
)
def test_stages_that_cannot_be_are_refused_before_anything_is_trained(own: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stages.opened(Staged.from_mapping({**SHARED, "stages": own}).stages())


def test_words_reach_what_all_share_or_one_stage() -> None:
    asked = staged(FIRST, PROBE).override(["seed=3", "stages.probe.algorithm.lr=0.5", "model.widths=[4]"])
    first, second = (stage.recipe for stage in asked.stages())
    assert first.seed == second.seed == 3
    assert first.model["widths"] == second.model["widths"] == [4]
    assert (first.algorithm, second.algorithm) == (None, {"lr": 0.5})
    with pytest.raises(UserError, match=r"every stage of recipe has its own budget.*stages.pretrain.budget.steps=4"):
        staged(FIRST, PROBE).override(["budget.steps=4"])
    with pytest.raises(UserError, match="did you mean 'probe'"):
        staged(FIRST, PROBE).override(["stages.prob.seed=4"])


def test_the_command_trains_stages_prints_a_recipe_that_runs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, place = tmp_path / "mine.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump({**SHARED, "stages": [FIRST, PROBE]}))
    assert main(["fit", "--recipe", str(file), "--print", "stages.probe.budget.steps=7"]) == 0
    printed = capsys.readouterr().out
    complete = Staged.from_mapping(yaml.safe_load(printed))
    assert [stage.recipe.budget for stage in complete.stages()] == [{"steps": 6}, {"steps": 7}]
    assert stages.to_yaml(stages.opened(complete.stages())) == printed
    assert main(["fit", "--recipe", str(file), "--out", str(place), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in said["stages"]] == ["pretrain", "probe"]
    assert "accuracy" in said["stages"][1]["measures"]["valid"]
    assert main(["fit", "--resume", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"] == said["stages"]
    for words, message in (
        (["test", str(place)], "name one, for example"),
        (["fit", "--recipe", str(file), "--weights", "x"], "--weights for a recipe of stages"),
        (["compare", "bars", "--recipes", str(file)], "is a recipe of stages"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err
