"""A search: better than chance, the same after an interruption, nothing twice in parallel, the test split shut."""

from __future__ import annotations

import json
import math
import shutil
import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy import stats

from thetastar import equation, star
from thetastar.data.resident import resident
from thetastar.defaults import completed
from thetastar.errors import UserError
from thetastar.outer import hands, optimism, tuning
from thetastar.outer.importance import importance
from thetastar.outer.plan import plan
from thetastar.outer.spaces import Space
from thetastar.outer.study import Terms
from thetastar.outer.trying import Record, Task, records
from thetastar.recipe import Recipe
from thetastar.watch import Watch

TINY = Recipe(
    data="moons",
    model={"name": "mlp", "widths": [8]},
    budget={"epochs": 4},
    engine={"device": "cpu", "precision": "float32"},
)
FEW = ["algorithm.lr=1e-3..1", "model.dropout=0..0.5"]
REST = ["model.widths", "model.norm", "method.label_smoothing", "algorithm.weight_decay", "algorithm.schedule"]
REST += ["data.batch_size", "algorithm.momentum"]


def study(folder, recipe=TINY, texts=FEW, **terms):
    made = plan(recipe, folder, Terms(**{"trials": 6, "fresh": 0, **terms}), texts, REST)
    made.begin()
    return made


def ran(folder, *args, watch=None, **terms):
    made = study(folder, *args, **terms)
    made.run(watch or Watch())
    return made


def told(made):
    """What must be the same in another run of the same search: everything but times."""
    return [{key: value for key, value in vars(trial).items() if key != "seconds"} for trial in made.trials]


# --- the sampler ------------------------------------------------------------------------------------------------------

PLANTED = {
    "algorithm.lr": Space("algorithm.lr", FloatDistribution(1e-4, 1.0, log=True)),
    "model.dropout": Space("model.dropout", FloatDistribution(0.0, 1.0)),
    "model.norm": Space("model.norm", CategoricalDistribution(["null", '"batch"'])),
}


def quadratic(drawn):
    """Its minimum is 0, at lr = 0.01, dropout = 0.3, without norm."""
    wrong = (math.log10(drawn["algorithm.lr"]) + 2) ** 2 + 4 * (drawn["model.dropout"] - 0.3) ** 2
    return wrong + (drawn["model.norm"] != "null")


def planted(seed, sampler, trials=30, spaces=PLANTED, objective=quadratic):
    done = []
    for number in range(1, trials + 1):
        drawn = tuning.propose(spaces, done, number, False, seed=seed, sampler=sampler)
        done.append({"drawn": drawn, "value": objective(drawn)})
    return done


def test_the_sampler_finds_a_planted_minimum_and_random_search_does_not_come_as_near():
    """Thirty draws of three settings, eight seeds: TPE ends within 0.05 on average, random search twice as far off."""
    tpe, random = (
        np.mean([min(one["value"] for one in planted(seed, sampler)) for seed in range(8)])
        for sampler in ("tpe", "random")
    )
    assert tpe < 0.05
    assert tpe < random / 2


def test_draws_depend_on_the_seed_and_on_nothing_that_is_not_said():
    assert planted(3, "tpe", 9) == planted(3, "tpe", 9)
    assert planted(3, "tpe", 9) != planted(4, "tpe", 9)


# --- what mattered ----------------------------------------------------------------------------------------------------


def as_records(done):
    return [Record(n, drawn=one["drawn"], value=one["value"]) for n, one in enumerate(done)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_one_setting_that_matters_is_found(sampler):
    done = planted(0, sampler, 40, objective=lambda drawn: (math.log10(drawn["algorithm.lr"]) + 2) ** 2)
    found = importance(PLANTED, as_records(done), False)
    assert next(iter(found)) == "algorithm.lr"
    assert found["algorithm.lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


def test_a_setting_of_one_component_matters_only_as_far_as_it_is_chosen():
    when = frozenset({(("algorithm.name", "sgd"),)})
    spaces = {
        "algorithm.name": Space("algorithm.name", CategoricalDistribution(['"adamw"', '"sgd"'])),
        "algorithm.momentum (sgd)": Space("algorithm.momentum", FloatDistribution(0.0, 1.0), when=when),
        "model.dropout": PLANTED["model.dropout"],
    }
    done = planted(1, "random", 60, spaces, lambda drawn: drawn.get("algorithm.momentum (sgd)", 3.0))
    found = importance(spaces, as_records(done), False)
    assert next(iter(found)) == "algorithm.name"
    assert found["algorithm.momentum (sgd)"] > 5 * found["model.dropout"]


def test_a_few_trials_say_nothing_of_importance():
    assert importance(PLANTED, as_records(planted(0, "random", 7)), False) == {}


# --- the search -------------------------------------------------------------------------------------------------------


@pytest.mark.shows("P4")
@pytest.mark.parametrize("data", ["moons", "plane"])
def test_tuned_is_never_worse_than_the_default_on_valid_and_best_yaml_has_its_score(data, tmp_path):
    made = ran(tmp_path / "s", TINY.replace(data=data))
    best, default = made.best, made.trials[0]
    assert default.values == {}
    better = max if made.higher else min
    assert best.value == better(trial.value for trial in made.finished) == better(best.value, default.value)
    again = star.train(Recipe.from_yaml(made.write_best()))
    assert again.measures["valid"][made.measure] == best.value


@pytest.mark.shows("P4")
def test_a_search_that_was_cut_goes_on_to_the_same_trials(tmp_path):
    """Uninterrupted; killed while it wrote its fourth line; stopped by Ctrl-C within a training."""
    whole = ran(tmp_path / "whole", pruner="median")
    lines = (tmp_path / "whole" / "trials.jsonl").read_text().splitlines(keepends=True)
    study(tmp_path / "cut", pruner="median")
    (tmp_path / "cut" / "trials.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    assert told(ran(tmp_path / "cut", pruner="median")) == told(whole)

    class Stop(Watch):
        heard = 0

        def step(self, step, steps):
            self.heard += 1
            if self.heard == 150:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path / "stopped", watch=Stop())
    before = records(tmp_path / "stopped" / "trials.jsonl")
    assert 0 < len(before) < 6
    assert told(ran(tmp_path / "stopped")) == told(whole)


def test_more_trials_go_on_and_another_question_is_refused(tmp_path):
    fewer = told(ran(tmp_path / "s", trials=3))
    assert told(ran(tmp_path / "s", trials=5))[:3] == fewer
    for recipe, terms, what in (
        (TINY, {"sampler": "random"}, "another sampler"),
        (TINY.replace(seed=1), {}, "another recipe"),
        (TINY.replace(data="plane"), {}, "another recipe and other data"),
    ):
        with pytest.raises(UserError, match=what):
            study(tmp_path / "s", recipe, **terms)
    with pytest.raises(UserError, match="other spaces"):
        study(tmp_path / "s", TINY, ["algorithm.lr=1e-2..1"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(UserError, match="is not empty"):
        study(tmp_path / "full")


@pytest.mark.shows("P4")
def test_two_processes_end_with_all_trials_and_none_twice(tmp_path):
    heard = []
    watch = Watch()
    watch.row = heard.append
    made = ran(tmp_path / "s", trials=7, jobs=2, watch=watch)
    assert [row["run"].partition(" of ")[0] for row in heard] == [str(count) for count in range(1, 8)]
    assert "best" in heard[-1]["run"]
    lines = [json.loads(line) for line in (tmp_path / "s" / "trials.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == list(range(7))
    assert {trial.state for trial in made.trials} <= {"finished", "pruned"}
    assert len({json.dumps(trial.drawn) for trial in made.trials}) == 7
    best = star.train(Recipe.from_yaml(made.write_best()))
    assert best.measures["valid"]["accuracy"] == pytest.approx(made.best.value, abs=0.02)


def test_a_process_that_dies_is_a_failed_trial_and_is_replaced(tmp_path, monkeypatch):
    made = study(tmp_path / "s", jobs=2)
    log = tmp_path / "processes.log"
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    worker = hands.Process({}, log)
    for number in range(2):
        record = worker(Task(number, made.default))
        assert (record.number, record.state) == (number, "failed")
        assert "its process ended with code" in record.reason
        assert str(log) in record.reason
    assert log.is_file()


def test_a_failed_trial_is_kept_with_its_reason_and_the_search_goes_on(tmp_path, monkeypatch):
    fit = equation.fit

    def failing(recipe, **given):
        if recipe.model["dropout"] > 0.25:
            raise RuntimeError("no room")
        return fit(recipe, **given)

    monkeypatch.setattr(equation, "fit", failing)
    made = ran(tmp_path / "s", trials=8)
    failed = [trial for trial in made.trials if trial.state == "failed"]
    assert failed
    assert len(made.trials) == 8
    for trial in failed:
        assert (trial.reason, trial.value) == ("RuntimeError: no room", None)
        assert "no room" in (tmp_path / "s" / "failures" / f"trial-{trial.number}.txt").read_text()
    assert made.best.values.get("model.dropout", 0.0) <= 0.25


def test_a_planted_bad_setting_ends_early_and_never_the_best(tmp_path):
    """Steps of 10⁻⁸ learn nothing. Without pruning the same search has the same best of those that go to the end."""
    texts = ["algorithm.lr=1e-8|1e-2|3e-2|1e-1"]
    terms = {"trials": 14, "sampler": "random"}
    pruned, whole = (ran(tmp_path / name, TINY, texts, pruner=name, **terms) for name in ("median", "none"))
    idle = [trial for trial in pruned.trials[6:] if trial.values["algorithm.lr"] == 1e-8]
    assert idle
    for trial in idle:
        assert trial.state == "pruned"
        assert trial.curve[-1][0] <= 0.25
        assert "after 25% of the budget" in trial.reason
    assert pruned.best.value == whole.best.value
    assert pruned.best.number == whole.best.number


@pytest.mark.shows("P4")
def test_no_row_of_the_test_split_is_read(tmp_path, monkeypatch):
    seen, splits = set(), set()
    gather, batches = resident.gather, resident.batches

    def gathering(self, index):
        seen.update(index.tolist())
        return gather(self, index)

    def batching(self, split, *rest, **named):
        splits.add(split)
        return batches(self, split, *rest, **named)

    monkeypatch.setattr(resident, "gather", gathering)
    monkeypatch.setattr(resident, "batches", batching)
    made = ran(tmp_path / "s", trials=4, fresh=2)
    assert {trial.state for trial in made.trials} == {"finished"}
    assert splits == {"train", "valid"}
    assert not seen & set(made.stream.rows["test"].tolist())
    assert seen == set(made.stream.rows["train"].tolist()) | set(made.stream.rows["valid"].tolist())


def test_environments_begin_anew_with_every_trial(tmp_path):
    """What a trial scores does not hang on the episodes that trials before it have played."""
    play = {"data": "cartpole", "method": "dqn", "budget": {"steps": 20}, "engine": {"device": "cpu"}}
    made = ran(tmp_path / "s", Recipe(**play), ["algorithm.lr=1e-3|1e-2"], trials=3)
    for trial in made.trials:
        recipe = completed(made.recipe(trial.number), made.stream)
        assert star.train(recipe).measures["valid"][made.measure] == trial.value


# --- how far to believe it --------------------------------------------------------------------------------------------


def test_fresh_seeds_train_the_default_and_the_best_in_pairs(tmp_path):
    made = ran(tmp_path / "s", trials=6, fresh=2)
    assert made.best.number > 0
    recipes = [made.default, made.recipe(made.best.number)]
    expected = [
        tuple(equation.fit(recipe.replace(seed=seed), stream=made.stream).values["accuracy"] for recipe in recipes)
        for seed in (1, 2)
    ]
    assert made.pairs() == expected
    more = study(tmp_path / "s", trials=6, fresh=3)
    assert more.pairs() == expected
    more.run(Watch())
    assert more.pairs()[:2] == expected
    assert len(more.fresh) == 6


def test_the_interval_of_the_gain_is_that_of_the_paired_t_test():
    pairs = [(0.90, 0.93), (0.88, 0.90), (0.91, 0.95)]
    found = optimism.gain(pairs)
    interval = stats.ttest_rel([b for _, b in pairs], [a for a, _ in pairs]).confidence_interval(0.95)
    assert found.difference - found.half == pytest.approx(interval.low)
    assert found.difference + found.half == pytest.approx(interval.high)
    assert optimism.gain([]) is None
    assert optimism.gain(pairs[:1]).half is None


def test_the_sentences_say_what_is_luck_and_what_is_not_known(tmp_path, monkeypatch):
    made = study(tmp_path / "s", trials=3, fresh=2)
    made.trials = [Record(0, value=0.90), Record(1, value=0.97), Record(2, state="pruned", reason="below")]

    def said(pairs):
        monkeypatch.setattr(type(made), "pairs", lambda self: pairs)
        return " ".join(optimism.sentences(made))

    clear = said([(0.90, 0.94), (0.90, 0.9401)])
    assert "3 trials: 2 finished, 1 pruned." in clear
    assert "97.0% (trial 2); the default has 90.0%" in clear
    assert "94.0% on valid, so 3.0 points of it are luck of the seed" in clear
    assert "Tuned − default on valid: +4.0 ± 0.1 points (2 fresh seeds)." in clear
    assert "the test split was not opened" in clear
    assert "which the evidence does not tell from none" in said([(0.90, 0.95), (0.91, 0.90)])
    assert "other seeds change nothing" in said([(0.90, 0.97), (0.90, 0.97)])
    assert "so it is too good" in said([])
    made.trials[1].value = 0.5
    assert "No trial has a better accuracy on valid than the default" in said([])
