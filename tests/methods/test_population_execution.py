"""How members are computed: the same members in every execution, the fastest by trial, and what each cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.methods.test_population import difference, normed, opened  # noqa: F401 - a fixture
from tests.methods.test_population_varied import furthest, recipe_of, trained

from thetastar import equation, registry, resume
from thetastar.defaults import completed, open_for
from thetastar.errors import UserError
from thetastar.functional import pacing
from thetastar.recipe import Recipe
from thetastar.snapshot import load_checkpoint, save_checkpoint
from thetastar.watch import Watch

EXECUTIONS = ["stacked", "in_turn", "threads"]
RATES = {"algorithm.lr": [0.05, 0.02, 0.1]}
LABELS = {"name": "few_labels", "source": {"name": "bars", "rows": 120}, "labels": 16, "batch_size": 16}
TEACHERS = {
    "mean_teacher": {"name": "mean_teacher", "momentum": 0.9},
    "temporal_ensembling": {"name": "temporal_ensembling", "momentum": 0.9},
    "vat": {"name": "vat"},
    "byol": {"name": "byol", "hidden": 16, "outputs": 8},
    "moco": {"name": "moco", "queue": 24, "hidden": 16, "outputs": 8},
}
DATA = {
    "mean_teacher": LABELS,
    "temporal_ensembling": LABELS,
    "vat": LABELS,
    "byol": {"name": "views", "source": {"name": "bars", "rows": 120}, "batch_size": 16},
    "moco": {"name": "views", "source": {"name": "bars", "rows": 120}, "batch_size": 16},
}
OWN = {
    "mean_teacher": {"method.weight": [1.0, 10.0, 3.0], "method.momentum": [0.9, 0.5, 0.7]},
    "temporal_ensembling": {"method.weight": [1.0, 10.0, 3.0], "method.momentum": [0.9, 0.5, 0.7]},
    "vat": {"method.weight": [1.0, 2.0, 3.0], "method.eps": [0.1, 0.2, 0.3]},
    "byol": {"method.momentum": [0.9, 0.5, 0.7]},
    "moco": {"method.temperature": [0.2, 0.5, 0.1], "method.momentum": [0.9, 0.5, 0.7]},
}
PLAIN = '''
from thetastar.methods.supervised import supervised
from thetastar.protocols import Objective

__all__ = ["asking"]


class asking(supervised):
    """Reads a number from the host in its loss."""

    def loss(self, f, batch, t):
        value, aux = super().loss(f, batch, t)
        return value * (1.0 if value.item() > 0 else 2.0), aux
'''


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("method", TEACHERS)
def test_members_with_teachers_and_memories_are_what_they_are_alone(method: str, execution: str) -> None:
    model = {"name": "mlp", "widths": [8], "norm": "batch"}
    vary = {**RATES, **OWN[method]}
    recipe = recipe_of(vary, "sgd", model, TEACHERS[method], DATA[method], execution=execution)
    assert furthest(recipe) < 1e-9


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_convolutional_members_are_what_they_are_alone(normed: str, execution: str) -> None:  # noqa: F811
    assert furthest(recipe_of(RATES, "sgd", normed, execution=execution)) < 1e-9


def test_one_after_the_other_even_plain_randomness_is_that_of_the_run_alone() -> None:
    recipe = recipe_of(RATES, "sgd", {"name": "mlp", "widths": [8]}, {"name": "mixup", "alpha": 0.5})
    assert furthest(recipe.override(["method.execution=in_turn"])) < 1e-9
    with pytest.raises(UserError, match=r"mixup in threads: its loss draws from the generator"):
        trained(recipe.override(["method.execution=threads"]))


@pytest.fixture
def asking(tmp_path: Path):
    """The registered name of a method that cannot be vectorised, for one test."""
    path = tmp_path / "asking.py"
    path.write_text(PLAIN)
    registry.include(path)
    yield "asking"
    registry._user_files["methods"].remove(path.resolve())
    registry.entries.cache_clear()


def test_what_cannot_be_stacked_is_refused_with_the_reason_and_goes_another_way_by_itself(asking: str) -> None:
    recipe = recipe_of(RATES, "sgd", {"name": "mlp", "widths": [8]}, asking)
    with pytest.raises(UserError, match=r"asking all in one call: they cannot be stacked: .*item"):
        trained(recipe)
    method = trained(recipe.override(["method.execution=auto"])).method
    assert method.mode != "stacked"
    assert "they cannot be stacked" in method.said[0]


class Heard(Watch):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def started(recipe: Recipe, watch: Watch) -> equation.Training:
    stream = open_for(recipe)
    recipe = completed(recipe, stream)
    return equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, watch)


@pytest.mark.parametrize("fastest", ["stacked", "in_turn"])
def test_the_fastest_is_taken_said_and_kept_by_a_resume(fastest: str, tmp_path, monkeypatch) -> None:
    def measured(acts):
        for act in acts.values():
            act()
        return {name: 0.002 if name == fastest else 0.004 for name in acts}

    monkeypatch.setattr(pacing, "medians", measured)
    recipe, watch = recipe_of(RATES, "sgd", execution="auto"), Heard()
    training = started(recipe, watch)
    before = {name: tensor.clone() for name, tensor in training.program.state_dict().items()}
    training.begin()
    assert training.program.method.mode == fastest
    assert watch.lines == training.program.method.said == resume.facts(training)["said"]
    assert watch.lines[0].startswith(f"members {pacing.WORDS[fastest]}: 2 ms a batch")
    after = training.program.state_dict()  # the trial wrote nothing
    assert all(torch.equal(value, after[name]) for name, value in before.items() if "extra" not in name)
    assert all(parameter.grad is None for parameter in training.program.parameters())
    save_checkpoint(tmp_path, "step-000000000", resume.state(training))
    monkeypatch.setattr(pacing, "medians", lambda acts: {})
    again = started(recipe, Heard())
    resume.restore(again, load_checkpoint(tmp_path / "step-000000000"))
    assert again.program.method.mode == fastest


def test_medians_take_turns_and_leave_the_first_time_out(monkeypatch) -> None:
    clock = iter(range(1000))
    order: list[str] = []
    monkeypatch.setattr(pacing.time, "perf_counter", lambda: next(clock) * 1e-3)
    found = pacing.medians({"a": lambda: order.append("a"), "b": lambda: (order.append("b"), next(clock))})
    assert order == ["a", "b"] * (1 + pacing.ROUNDS)
    assert found["a"] == pytest.approx(1e-3)
    assert found["b"] == pytest.approx(2e-3)
