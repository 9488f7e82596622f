"""A grid: every combination is a trial, and those that are trained together are what they are alone."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional import pacing
from thetastar.outer import alike, jointly
from thetastar.outer.plan import plan
from thetastar.outer.study import Terms
from thetastar.recipe import Recipe
from thetastar.watch import Watch

TINY = Recipe(
    data={"name": "bars", "rows": 160, "noise": 0.8, "batch_size": 16},
    model={"name": "mlp", "widths": [8], "norm": "batch"},
    algorithm={"name": "sgd", "schedule": None},
    measures=["nll", "accuracy"],
    budget={"epochs": 6},
    engine={"device": "cpu", "precision": "float32"},
)
RATES = "algorithm.lr=0.3,0.02,1e300"
SMOOTHING = "method.label_smoothing=0,0.2"


class Heard(Watch):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def paced(monkeypatch):
    """How many of its steps a population shall take in the time of one alone; its members in one call."""

    def pace(gain, mode="stacked"):
        def seconds(acts):
            for act in acts.values():
                act()
            return {name: 1.0 if name in (mode, "alone") else 2.0 for name in acts}

        def raced(acts):
            return seconds(acts) | {"together": 1 / gain}

        monkeypatch.setattr(pacing, "medians", seconds)
        monkeypatch.setattr(jointly, "medians", raced)

    return pace


@pytest.fixture
def precise(monkeypatch):
    """Everything in double precision, so that only what differs in kind differs."""
    assemble = equation.assemble
    monkeypatch.setattr(equation, "assemble", lambda *given: assemble(*given).double())


def study(folder, *grid, recipe=TINY, **terms):
    made = plan(recipe, folder, Terms(fresh=0, **terms), grid=grid)
    made.begin()
    return made


def ran(folder, *grid, watch=None, **changes):
    made = study(folder, *grid, **changes)
    made.run(watch or Watch())
    return made


def same(one, other, within=1e-6):
    for mine, its in zip(one.trials, other.trials, strict=True):
        assert (mine.number, mine.values, mine.state, mine.reason) == (its.number, its.values, its.state, its.reason)
        assert mine.value == pytest.approx(its.value, abs=within)
        assert [share for share, _ in mine.curve] == [share for share, _ in its.curve]
        assert [value for _, value in mine.curve] == pytest.approx([value for _, value in its.curve], abs=within)


# --- which trials -----------------------------------------------------------------------------------------------------


def test_every_combination_is_a_trial_after_the_default(tmp_path):
    made = study(tmp_path / "s", "algorithm.lr=0.1,0.5", "model.widths=[8],[4,4]", "data.batch_size=16,32")
    wanted = itertools.product([0.1, 0.5], [[8], [4, 4]], [16, 32])
    paths = ("algorithm.lr", "model.widths", "data.batch_size")
    default = made.default.algorithm["lr"], made.default.model["widths"], made.default.data["batch_size"]
    rest = [combination for combination in wanted if combination != default]
    recipes = [made.drawn(number, drawn) for number, drawn in enumerate(made.grid)]
    assert recipes[0] == made.default
    assert [(r.algorithm["lr"], r.model["widths"], r.data["batch_size"]) for r in recipes[1:]] == rest
    assert set(made.searched) == set(paths)
    assert made.terms.trials == len(made.grid)


def test_components_bring_their_own_settings_into_a_grid(tmp_path):
    """Momentum is tried under sgd alone; adamw as it is by default is the first trial and no other."""
    recipe = TINY.replace(algorithm=None)
    made = study(
        tmp_path / "s", "algorithm=adamw,sgd", "algorithm.momentum=0.5,0.9", "algorithm.lr=0.001,0.1", recipe=recipe
    )
    found = {
        (r.algorithm["name"], r.algorithm["lr"], r.algorithm.get("momentum"))
        for r in (made.drawn(number, drawn) for number, drawn in enumerate(made.grid))
    }
    sgd = {("sgd", lr, momentum) for lr in (0.001, 0.1) for momentum in (0.5, 0.9)}
    assert found == {("adamw", 0.001, None), ("adamw", 0.1, None)} | sgd
    assert len(made.grid) == 6


@pytest.mark.parametrize(
    ("grid", "changes", "said"),
    [
        (["algorithm.lr=" + ",".join(map(str, range(1, 51))), "algorithm.momentum=" + ",".join(f"0.{n:02}" for n in range(50))], {}, "50 × 50 = 2,500 combinations"),  # noqa: E501
        (["algorithm.lr="], {}, "KEY=A,B,C"),
        (["algorithm.lr=,"], {}, "values with , between"),
        (["algorithm.lr=0.1,-1"], {}, "a number > 0"),
        (["algorithm.lr=0.1,0.1"], {}, "name each once"),
        (["algorithm.rate=0.1"], {}, "no argument 'rate'"),
        (["lr=0.1,0.2"], {}, "did you mean 'algorithm.lr'?"),
        (["seed=1,2"], {}, "not chosen by its score"),
        (["data.valid=0.1,0.2"], {}, "which rows judge"),
        (["algorithm.lr=0.1", "algorithm.lr=0.2"], {}, "join them with ,"),
        (["algorithm.lr=0.1,0.2"], {"fixed": ["algorithm.lr"]}, "one of the two"),
        (["algorithm.lr=0.1,0.2"], {"spaces": ["algorithm.momentum=0..0.9"]}, "--space and --grid"),
        (["algorithm=sgd,adamm"], {}, "did you mean 'adam'?"),
    ],
)  # fmt: skip
def test_a_grid_that_makes_no_sense_is_refused(grid, changes, said, tmp_path):
    with pytest.raises(UserError) as refused:
        plan(TINY, tmp_path / "s", grid=grid, **changes)
    assert said in str(refused.value)
    assert not (tmp_path / "s").exists()


# --- together ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "engine", [{}, {"patience": 2, "evaluations": 40}, {"keep": "best", "monitor": "accuracy"}], ids=str
)
def test_each_trial_is_what_it_is_alone(engine, paced, precise, tmp_path):
    """Value, curve and end of every combination; the third rate diverges and is said to have failed in both."""
    recipe = TINY.replace(engine={**TINY.engine, **engine}, budget={"epochs": 10})
    grid, heard = (RATES, SMOOTHING), Heard()
    paced(0.5)
    together = ran(tmp_path / "together", *grid, recipe=recipe, watch=heard)
    paced(0.1)
    alone = ran(tmp_path / "alone", *grid, recipe=recipe)
    same(together, alone)
    assert heard.lines[0] == "7 trials are trained together: 3.5× faster than one by one"
    failed = {trial.number for trial in together.trials if trial.state == "failed"}
    assert failed == {trial.number for trial in together.trials if trial.values.get("algorithm.lr") == 1e300}
    assert len({trial.value for trial in together.finished}) == 5
    if "patience" in engine:
        assert len({len(trial.curve) for trial in together.finished}) > 1, "they stop at different times"


def test_where_the_measure_is_not_finite_a_trial_has_failed_there(paced, precise, tmp_path):
    """A squared error of overflown weights."""
    recipe = TINY.replace(data={"name": "arm", "rows": 120, "batch_size": 16}, measures=["rmse"])
    paced(0.5)
    together = ran(tmp_path / "together", "algorithm.lr=0.01,1e200,0.02", recipe=recipe)
    paced(0.1)
    same(together, ran(tmp_path / "alone", "algorithm.lr=0.01,1e200,0.02", recipe=recipe))
    assert [trial.state for trial in together.trials].count("failed") == 1


def test_what_cannot_vary_together_makes_groups(paced, tmp_path):
    heard = Heard()
    paced(0.5)
    made = ran(
        tmp_path / "s", "algorithm.lr=0.1,0.2,0.3", "model.dropout=0,0.2,0.4", "data.batch_size=16,32", watch=heard
    )
    found = {frozenset(one["trials"]) for one in jointly.decisions(made.folder)}
    recipes = [made.drawn(number, drawn) for number, drawn in enumerate(made.grid)]
    kinds = {(recipe.data["batch_size"], recipe.model["dropout"] > 0) for recipe in recipes}
    assert found == {
        frozenset(n for n, r in enumerate(recipes) if (r.data["batch_size"], r.model["dropout"] > 0) == kind)
        for kind in kinds
    }
    assert heard.lines[0].startswith("3 trials with model.dropout=0 data.batch_size=16 are trained together: ")
    assert len(made.finished) == len(made.grid)


def test_members_of_a_method_that_draws_by_itself_are_seen_not_to_be_their_trials(paced, tmp_path):
    """In one call every member of mixup draws from the generator in turn: not what its trial draws alone."""
    paced(0.5)
    recipe = TINY.replace(method={"name": "mixup", "alpha": 0.5})
    made = study(tmp_path / "s", "algorithm.lr=0.1,0.2,0.3", recipe=recipe)
    made.run(Watch())
    decided = jointly.decisions(made.folder)
    assert [one["because"] for one in decided] == ["their losses are not those that they have alone"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": {"seconds": 1}}, "a budget of seconds"),
        ({"algorithm": {"name": "sgd", "schedule": "plateau"}}, "plateau listens"),
        ({"algorithm": {"name": "sgd", "ema": 0.9}}, "moments of batch norm"),
        ({"data": "cartpole", "model": "mlp", "method": "dqn", "measures": None}, "environments begin anew"),
    ],
)
def test_what_would_not_be_the_same_is_not_trained_together(changes, said, tmp_path):
    made = study(tmp_path / "s", "algorithm.lr=0.1,0.2", recipe=TINY.replace(**changes))
    group = alike.Group((0, 1), (made.default,) * 2, made.stream, {"algorithm.lr": [0.1, 0.2]}, made.measure)
    assert said in alike.unlike(group)


def test_no_more_are_trained_at_once_than_the_memory_holds(monkeypatch, tmp_path):
    made = study(tmp_path / "s", "algorithm.lr=" + ",".join(f"0.{n}" for n in range(1, 10)))
    recipes = tuple(made.drawn(number, drawn) for number, drawn in enumerate(made.grid))
    rates = [recipe.algorithm["lr"] for recipe in recipes]
    group = alike.Group(tuple(range(len(rates))), recipes, made.stream, {"algorithm.lr": rates}, made.measure)
    assert alike.parts(group) == [group]
    # a few thousand weights and activations each
    monkeypatch.setattr(alike, "free_memory", lambda: 200_000)
    parts = alike.parts(group)
    assert len(parts) > 1
    assert [recipe.algorithm["lr"] for part in parts for recipe in part.recipes] == rates
    assert max(len(part.numbers) for part in parts) - min(len(part.numbers) for part in parts) <= 1


def test_an_interrupted_training_goes_on_to_the_same_bits(paced, monkeypatch, tmp_path):
    paced(0.5)
    recipe = TINY.replace(engine={**TINY.engine, "checkpoint": 1e-9}, budget={"epochs": 4})
    whole = ran(tmp_path / "whole", RATES, SMOOTHING, recipe=recipe)
    one_epoch, count = equation.Training.one_epoch, itertools.count()

    def stopping(training):
        if next(count) == 2:
            raise KeyboardInterrupt
        one_epoch(training)

    monkeypatch.setattr(equation.Training, "one_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path / "cut", RATES, SMOOTHING, recipe=recipe)
    paced(0.1)  # what was decided stays
    epochs = []
    monkeypatch.setattr(equation.Training, "one_epoch", lambda self: (epochs.append(self.step), one_epoch(self))[1])
    again = ran(tmp_path / "cut", RATES, SMOOTHING, recipe=recipe)
    assert len(epochs) == 2
    assert epochs[0] > 0
    same(again, whole, within=0.0)
    assert not (tmp_path / "cut" / "together").exists()


def test_where_a_population_fails_its_trials_are_tried_one_by_one(paced, monkeypatch, tmp_path):
    paced(0.5)
    fit, heard = equation.fit, Heard()

    def failing(recipe, **named):
        if recipe.method["name"] == "population":
            raise RuntimeError("no room\nat all")
        return fit(recipe, **named)

    monkeypatch.setattr(equation, "fit", failing)
    made = ran(tmp_path / "s", "algorithm.lr=0.2,0.3", watch=heard)
    assert heard.lines[1] == "3 trials are trained one by one: no room"
    assert len(made.finished) == 3
    assert json.loads((tmp_path / "s" / "together.json").read_text())[0]["together"] is False


def test_the_gain_is_held_against_all_processes(paced, tmp_path):
    paced(0.5)
    made = study(tmp_path / "s", "algorithm.lr=0.1,0.2")
    recipes = tuple(made.drawn(number, drawn) for number, drawn in enumerate(made.grid))
    rates = [recipe.algorithm["lr"] for recipe in recipes]
    group = alike.Group((0, 1, 2), recipes, made.stream, {"algorithm.lr": rates}, made.measure)
    one, two = jointly.tried(group, 1)[0], jointly.tried(group, 2)[0]
    assert one == pytest.approx(2 * two)
    assert math.isclose(one, 3 * 0.5)
