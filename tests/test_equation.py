"""The engine's promises: exact resume, exact accumulation, a run that survives bad batches, honest selection."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import thetastar as ts
from thetastar import equation, registry, resume
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.protocols import Aux, Clock, Move
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.selection import Best
from thetastar.watch import Watch


def recipe(**changes) -> Recipe:
    base = Recipe(
        data={"name": "bars", "batch_size": 32},
        model={"name": "mlp", "widths": [16], "dropout": 0.2, "norm": "batch"},
        algorithm={"name": "sgd", "lr": 0.05},
        budget={"epochs": 3},
        engine={"precision": "float32"},
        seed=3,
    )
    return base.replace(**changes)


def weights(outcome: equation.Outcome) -> dict[str, torch.Tensor]:
    return outcome.program.state_dict()


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class Stop(Watch):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, steps: int) -> None:
        if step == self.at:
            raise KeyboardInterrupt


def test_same_recipe_same_bits_and_another_seed_others() -> None:
    first, second = equation.fit(recipe()), equation.fit(recipe())
    assert same_bits(weights(first), weights(second))
    assert not same_bits(weights(first), weights(equation.fit(recipe(seed=4))))


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(1, 16), best=st.booleans(), ema=st.booleans(), accumulate=st.sampled_from([1, 2]))
def test_resume_at_any_step_ends_in_the_same_bits(
    tmp_path_factory, cut: int, best: bool, ema: bool, accumulate: int
) -> None:
    engine = {
        "precision": "float32",
        "checkpoint": 1e-9,
        "keep": "best" if best else "last",
        "accumulate": accumulate,
    }
    algorithm = {"name": "adamw", "ema": 0.9 if ema else None, "swa": None if ema else 0.5, "l1": 1e-3}
    schedule = {"name": "plateau", "patience": 0, "threshold": 0.2} if best else "cosine"
    asked = recipe(engine=engine, algorithm={**algorithm, "schedule": schedule})
    whole = equation.fit(asked)
    run = Run.create(tmp_path_factory.mktemp("run") / "parts")
    try:
        equation.fit(asked, run=run, watch=Stop(cut))
    except KeyboardInterrupt:
        assert run.latest() is not None or cut == 1
    parts = equation.fit(asked, run=run)
    assert same_bits(weights(whole), weights(parts))
    assert whole.values == parts.values
    steps = [row["step"] for row in run.trace()]
    assert steps == sorted(set(steps)), "the trace says a step twice"


@pytest.mark.parametrize("rows", [96, 90], ids=["even", "ragged"])
@pytest.mark.parametrize("balanced", ["none", "balanced"])
def test_accumulation_equals_the_large_batch(rows: int, balanced: str) -> None:
    method = {"name": "supervised", "class_weights": balanced}
    base = recipe(model={"name": "mlp", "widths": [16]}, method=method)
    source = {"name": "bars", "rows": rows}
    small = base.replace(
        data={"source": source, "name": "resident", "batch_size": 8, "valid": 0.0, "test": 0.0},
        engine={"precision": "float32", "accumulate": 4},
    )
    large = base.replace(data={"source": source, "name": "resident", "batch_size": 32, "valid": 0.0, "test": 0.0})
    one, other = weights(equation.fit(small)), weights(equation.fit(large))
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-6)


RULES = sorted(registry.entries("algorithms"))
SMALL = {"name": "mlp", "norm": "batch", "widths": [16]}


@pytest.mark.shows("O4")
@pytest.mark.parametrize(("model", "rule"), [("cnn", "sgd"), *((SMALL, rule) for rule in RULES)])
def test_a_planted_infinity_costs_one_step_and_is_named(tmp_path: Path, model, rule: str) -> None:
    if rule == "newton":  # its Hessian is for small nets
        model = {**SMALL, "widths": [4]}
    algorithm = {"name": "sgd", "lr": 0.05} if rule == "sgd" else rule
    stream = open_stream({"name": "bars", "batch_size": 32})
    clean = equation.fit(recipe(model=model, algorithm=algorithm), stream=copy.deepcopy(stream))
    row = int(next(stream.batches("train", Clock(3)))["index"][5])
    stream.columns["input"][row] = math.inf
    said: list[str] = []

    class Ear(Watch):
        def say(self, line: str) -> None:
            said.append(line)

    run = Run.create(tmp_path / "run")
    asked = recipe(model=model, algorithm=algorithm, budget={"epochs": 8})
    outcome = equation.fit(asked, run=run, stream=stream, watch=Ear())
    assert all(torch.isfinite(value).all() for value in weights(outcome).values())
    skipped = [step for line in run.trace() for step in line.get("skipped", [])]
    assert len(skipped) == 8, "the bad row is met once an epoch"
    assert str(row) in said[0] or "…" in said[0]
    assert "not finite" in said[0]
    assert outcome.values["accuracy"] >= clean.values["accuracy"] - 0.15


@pytest.mark.shows("O4")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_step_that_is_not_taken_leaves_weights_and_state_to_the_bit(rule: str, bad: float) -> None:
    """Three good steps, a bad one, then the next good one is what it would have been without the bad one."""
    draws = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=draws), torch.randn(4, generator=draws)]
    x = torch.randn(8, 3, generator=draws)

    def trained(factors: list[float]) -> tuple[list[torch.Tensor], list[bool]]:
        matrix, vector = (torch.nn.Parameter(part.clone()) for part in start)
        move = Move("loss", {"f.matrix": matrix, "f.vector": vector})
        algorithm = registry.build("algorithms", rule)
        algorithm.schedule = None  # the clock stands still where no step is taken
        state, taken = algorithm.init(move), []
        for factor in factors:

            def loss(batch, part: int, factor: float = factor) -> tuple[torch.Tensor, Aux]:
                return factor * (x @ matrix.T + vector).square().mean() + 0.1 * matrix.pow(4).sum(), Aux()

            taken.append(bool(algorithm.update(move, loss, [{"input": x}], state, Clock(0, 0, 9)).finite))
        return [matrix.detach(), vector.detach()], taken

    one, taken = trained([1.0, 1.0, 1.0, bad, 1.0])
    other, _ = trained([1.0, 1.0, 1.0, 1.0])
    assert taken == [True, True, True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_early_stopping_restores_the_best_weights_and_names_the_epoch() -> None:
    asked = recipe(
        algorithm={"name": "sgd", "lr": 0.5, "schedule": None},
        budget={"epochs": 60},
        engine={"precision": "float32", "patience": 3, "monitor": "nll", "evaluations": 60},
    )
    seen: list[tuple[int, float]] = []

    class Ear(Watch):
        def row(self, row) -> None:
            if "valid.nll" in row:
                seen.append((row["epoch"], row["valid.nll"]))

    outcome = equation.fit(asked, watch=Ear())
    epoch, value = min(seen, key=lambda pair: pair[1])
    assert outcome.facts["stopped_early"]
    assert outcome.facts["best_epoch"] == epoch
    assert outcome.facts["steps"] < outcome.facts["planned_steps"]
    assert outcome.values["nll"] == pytest.approx(value, rel=1e-6)


def test_averaged_weights_are_the_moving_average_of_the_path() -> None:
    """θ̄ ← d θ̄ + (1 − d) θ from θ₀ with d = min(0.3, (1 + t)/(10 + t)), recomputed from a run without averaging."""
    plain = recipe(model={"name": "mlp", "widths": [8]}, algorithm={"name": "sgd", "lr": 0.05, "schedule": None})
    path: list[dict[str, torch.Tensor]] = []
    for steps in range(1, 6):
        path.append(weights(equation.fit(plain.replace(budget={"steps": steps}))))
    stream = open_stream(plain.data)
    average = dict(equation.assemble(completed(plain, stream), stream.schema).state_dict())
    for t, point in enumerate(path):
        decay = min(0.3, (1 + t) / (10 + t))
        average = {key: decay * average[key].double() + (1 - decay) * point[key].double() for key in average}
    asked = plain.replace(algorithm={"name": "sgd", "lr": 0.05, "schedule": None, "ema": 0.3}, budget={"steps": 5})
    found = weights(equation.fit(asked))
    for key in ("f.hidden.0.weight", "f.head.bias"):
        torch.testing.assert_close(found[key].double(), average[key], rtol=1e-5, atol=1e-7)


def test_averaged_weights_are_usable_after_a_short_run() -> None:
    algorithm = {"name": "adamw", "lr": 0.01}
    live = equation.fit(recipe(algorithm=algorithm, budget={"epochs": 15}))
    average = equation.fit(recipe(algorithm={**algorithm, "ema": 0.999}, budget={"epochs": 15}))
    assert average.values["accuracy"] >= live.values["accuracy"] - 0.1


def test_seconds_become_steps_once_and_end_between_batches() -> None:
    facts = equation.fit(recipe(budget={"seconds": 1.0})).facts
    assert 1 < facts["steps"] <= facts["planned_steps"]
    cut = equation.fit(recipe(budget={"seconds": 1e-6})).facts
    assert cut["steps"] <= 1


def test_steps_budget_may_end_inside_an_epoch() -> None:
    assert equation.fit(recipe(budget={"steps": 2})).facts["steps"] == 2


def test_precision_bf16_learns_as_well() -> None:
    outcome = equation.fit(recipe(engine={"precision": "bf16"}, budget={"epochs": 20}))
    assert outcome.facts["precision"] == "bf16"
    assert outcome.values["accuracy"] > 0.9


def test_test_split_is_opened_by_an_explicit_act_and_counted(tmp_path: Path) -> None:
    star = ts.fit("bars", model="mlp", epochs=2, out=tmp_path / "run")
    assert "test" not in star.measures
    star.test()
    again = ts.load(tmp_path / "run")
    again.test()
    assert len(ts.load(tmp_path / "run").facts["test_openings"]) == 2


def test_saved_and_loaded_predicts_the_same_without_the_data(tmp_path: Path) -> None:
    star = ts.fit("bars", model="cnn", epochs=2)
    star.save(tmp_path / "run")
    x = torch.rand(5, 1, 8, 8)
    loaded = ts.load(tmp_path / "run")
    assert (star.predict_proba(x) == loaded.predict_proba(x)).all()
    assert list(star.predict(x)) == list(loaded.predict(x))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"budget": {"epochs": 1, "steps": 2}}, "one of"),
        ({"budget": {"epoch": 1}}, "epochs"),
        ({"algorithm": {"name": "sgd", "lr": -0.1}}, "> 0"),
        ({"model": {"name": "mlp", "widths": "wide"}}, "model.widths"),
        ({"model": "mpl"}, "mlp"),
        ({"engine": {"monitor": "acuracy", "keep": "best"}}, "accuracy"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(changes, words: str) -> None:
    with pytest.raises(UserError) as caught:
        equation.fit(recipe(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("epochs", "most"), [(7, 20), (39, 20), (41, 20), (10, 3), (5, 1), (4, 0)])
def test_the_valid_split_is_looked_at_no_more_often_than_said(epochs: int, most: int) -> None:
    looks: list[int] = []

    class Ear(Watch):
        def row(self, row) -> None:
            if "valid.accuracy" in row:
                looks.append(row["epoch"])

    equation.fit(recipe(budget={"epochs": epochs}, engine={"evaluations": most, "precision": "float32"}), watch=Ear())
    assert len(looks) <= most
    assert most == 0 or len(looks) >= min(most, epochs) // 2 - 1, "nor much less often"
    assert looks == sorted(set(looks))


def test_a_checkpoint_within_an_epoch_knows_the_seconds_spent_so_far(tmp_path: Path, monkeypatch) -> None:
    """Otherwise a budget of seconds would begin the epoch anew after every interruption."""
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))  # every look at the clock is a second later
    asked = recipe(data={"name": "bars", "batch_size": 8}, budget={"epochs": 1}, engine={"checkpoint": 1e-9})
    whole = equation.fit(asked)
    run = Run.create(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        equation.fit(asked, run=run, watch=Stop(6))
    saved = run.latest()
    assert saved is not None
    assert saved["facts"]["seconds"] >= saved["step"] > 0
    parts = equation.fit(asked, run=run)
    assert parts.facts["seconds"] >= whole.facts["seconds"]


def test_asking_which_batch_was_skipped_leaves_an_environment_alone() -> None:
    data = {"name": "cartpole", "carts": 2, "capacity": 200, "warmup": 50, "limit": 30}
    stream = open_stream(data)
    asked = completed(
        Recipe(data=data, model={"name": "mlp", "widths": [8]}, method="dqn", budget={"steps": 5}), stream
    )
    training = equation.Training(asked, stream, equation.assemble(asked, stream.schema), None, Watch())
    training.begin()
    training.one_epoch()
    before = copy.deepcopy(stream.state_dict())
    assert "step 2 was skipped" in resume.blame(training, 2)
    after = stream.state_dict()
    assert after["written"] == before["written"]
    assert torch.equal(after["state"], before["state"])


@pytest.mark.parametrize("last", [4, 7, 12])
def test_the_best_is_chosen_among_the_last_weights_too_where_time_was_up(last: int, monkeypatch) -> None:
    judged: list[int] = []
    see = Best.see

    def noted(self, values, step, epoch, program) -> bool:
        judged.append(step)
        return see(self, values, step, epoch, program)

    def spent(training) -> bool:
        training.stopped |= training.step >= last
        return training.stopped

    monkeypatch.setattr(Best, "see", noted)
    monkeypatch.setattr(equation, "spent", spent)
    asked = recipe(budget={"epochs": 40}, engine={"keep": "best", "evaluations": 20, "precision": "float32"})
    outcome = equation.fit(asked)
    assert judged[-1] == last == outcome.facts["steps"]
    assert len(judged) == len(set(judged)), "no weights are judged twice"
