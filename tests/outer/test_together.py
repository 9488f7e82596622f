"""Seeds that are trained as one leave what they leave one by one, and whatever speaks against it leads back to that."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from thetastar import compare, equation
from thetastar.algorithms.descent import Descent
from thetastar.algorithms.sgd import sgd
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.stacking import COUNTER
from thetastar.methods import population
from thetastar.outer import together as module
from thetastar.outer.folder import Slot, load_verdict
from thetastar.outer.progress import Overall
from thetastar.outer.together import Decision, Seeds, recorded, span
from thetastar.outer.trial import train_trial
from thetastar.protocols import Aux
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.star import load
from thetastar.watch import Watch

MLP = {"name": "mlp", "widths": [12], "dropout": 0.2}
DATA = {"name": "resident", "source": {"name": "bars", "rows": 160, "noise": 0.8}, "batch_size": 32}
SGD = {"name": "sgd", "lr": 0.1}
ENGINE = {"precision": "float32", "evaluations": 5, "monitor": "nll"}
FACTS = ("steps", "planned_steps", "precision", "device", "data", "best_epoch", "stopped_early", "compiled", "micro")
TERMS: dict[str, Any] = {"seeds": 3, "resplit": False, "budget": {"epochs": 3}, "engine": {"evaluations": 2}}


class Listening(Watch):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Leaving(Watch):
    """Asks for a checkpoint after so many steps, and leaves with the next."""

    def __init__(self, stop: int) -> None:
        self.left, self.leaving = stop, False

    def step(self, step: int, steps: int) -> None:
        if self.leaving:
            raise KeyboardInterrupt
        self.left -= 1
        self.leaving = self.left == 0


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs in double precision."""
    assemble = equation.assemble
    monkeypatch.setattr(equation, "assemble", lambda recipe, schema: assemble(recipe, schema).double())


def seeds_in(place: Path, count: int = 3, **letters: Any) -> Seeds:
    """The seeds of a recipe, with their runs below a folder."""
    engine = {**ENGINE, **letters.pop("engine", {})}
    budget = letters.pop("budget", {"epochs": 5})
    partial = Recipe(**{"data": DATA, "model": MLP, "algorithm": SGD, "budget": budget, "engine": engine, **letters})
    stream = open_stream(partial.data)

    def recipe_of(seed: int) -> Recipe:
        return completed(partial.replace(seed=seed), stream)

    return Seeds("mlp", count, recipe_of, lambda seed: Slot(place / f"seed-{seed}"), stream, place / "mlp", 1.0)


def train(seeds: Seeds, watch: Watch | None = None) -> list[Run]:
    """The runs of seeds that are trained together."""
    assert seeds.train(True, Overall(watch or Watch(), 1.0)) == list(range(seeds.count))
    return [Run.open(seeds.slot_of(seed).path) for seed in range(seeds.count)]


def one_by_one(seeds: Seeds) -> list[Run]:
    paths = [seeds.slot_of(seed).path for seed in range(seeds.count)]
    for seed, path in enumerate(paths):
        train_trial(seeds.recipe_of(seed), path, seeds.stream, Watch())
    return [Run.open(path) for path in paths]


def rows(run: Run, *without: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in ("seconds", *without)} for row in run.trace()]


def close(one: Any, other: Any) -> bool:
    """Equal but for rounding in double precision."""
    if isinstance(one, dict):
        return set(one) == set(other) and all(close(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(close(*pair) for pair in zip(one, other, strict=True))
    return math.isclose(one, other, rel_tol=1e-7) if isinstance(one, float) else one == other


@pytest.mark.shows("P5")
@pytest.mark.parametrize(
    "letters",
    [
        {},
        {
            "model": {**MLP, "norm": "batch"},
            "algorithm": {**SGD, "lr": 0.3},
            "engine": {"patience": 1},
            "budget": {"epochs": 14},
        },
        {"engine": {"keep": "best"}, "method": {"name": "supervised", "label_smoothing": 0.1}, "algorithm": "adamw"},
        {"data": {**DATA, "augment": ["crop"]}, "algorithm": {**SGD, "ema": 0.9, "clip": 0.5}},
        {"data": {**DATA, "name": "few_labels"}, "method": "mean_teacher", "budget": {"epochs": 2}},
    ],
    ids=["plain", "early stopping with batch norm", "the best is kept", "augmented, averaged and clipped", "a teacher"],
)
def test_each_run_is_that_of_its_seed_alone(tmp_path: Path, double: None, letters: dict[str, Any]) -> None:
    ours = train(seeds_in(tmp_path / "together", **letters))
    theirs = one_by_one(seeds_in(tmp_path / "alone", **letters))
    for one, other in zip(ours, theirs, strict=True):
        assert one.recipe == other.recipe
        assert one.read("schema.json") == other.read("schema.json")
        found, expected = one.model(), other.model()
        assert set(found) == set(expected)
        for name in (name for name in found if not name.endswith(COUNTER)):
            torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-9)
        assert close(rows(one), rows(other, "gradient_norm", "labelled", "consistency"))
        assert close(one.measures["valid"], other.measures["valid"])
        assert [one.measures["facts"].get(name) for name in FACTS] == [other.measures["facts"].get(n) for n in FACTS]
        for name, column in one.columns("valid").items():
            torch.testing.assert_close(torch.tensor(column), torch.tensor(other.columns("valid")[name]))
    if "patience" in letters.get("engine", {}):
        assert len({run.measures["facts"]["steps"] for run in ours}) > 1, "they stop at different times"


@pytest.mark.parametrize("stop", [7, 23])
def test_an_interruption_is_continued_to_the_same_bits(tmp_path: Path, stop: int) -> None:
    letters: dict[str, Any] = {"engine": {"patience": 2}, "budget": {"epochs": 12}}
    seeds = seeds_in(tmp_path / "a", **letters)
    with pytest.raises(KeyboardInterrupt):
        train(seeds, Leaving(stop))
    assert not any(seeds.slot_of(seed).exists for seed in range(3))
    assert seeds.train("auto", Overall(Watch(), 1.0)) == [0, 1, 2], "what is under way goes on"
    assert not seeds.place.exists(), "nothing is left of what was kept for it"
    decision = recorded(seeds.place)
    other = seeds_in(tmp_path / "b", **letters)
    other.judge = lambda how: decision  # type: ignore[method-assign,assignment]
    for seed, undisturbed in enumerate(train(other)):
        run = Run.open(seeds.slot_of(seed).path)
        assert run.read("model.safetensors") == undisturbed.read("model.safetensors")
        assert rows(run) == rows(undisturbed)


def test_members_that_were_written_before_an_interruption_stay_and_the_rest_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, seeds = module.keep, seeds_in(tmp_path)

    def stops(group: Any, k: int, *rest: Any) -> None:
        if k == 1:
            Run.create(seeds.slot_of(1).path)  # half written
            raise KeyboardInterrupt
        keep(group, k, *rest)

    monkeypatch.setattr(module, "keep", stops)
    with pytest.raises(KeyboardInterrupt):
        train(seeds)
    first = Run.open(seeds.slot_of(0).path).provenance
    monkeypatch.setattr(module, "keep", keep)
    runs = train(seeds)
    assert runs[0].provenance == first
    assert all(run.finished for run in runs)


@pytest.mark.parametrize(
    ("letters", "reason"),
    [
        ({"model": "knn", "algorithm": None}, "it learns without steps"),
        ({"data": "blobs", "method": "gan", "algorithm": None, "engine": {"monitor": None}}, "2 kinds of step"),
        ({"method": {"name": "population", "members": 2, "execution": "in_turn"}}, "members of their own"),
        ({"algorithm": "muon"}, "muon on a population"),
        ({"algorithm": {**SGD, "schedule": "plateau"}}, "plateau listens"),
        ({"method": "mixup"}, "draws from the generator"),
        ({"engine": {"accumulate": 2}}, "engine.accumulate=2"),
        ({"engine": {"compile": True}}, "engine.compile=True"),
        ({"engine": {"recompute": True}}, "engine.recompute=True"),
        ({"budget": {"seconds": 0.3}}, "a budget in seconds"),
        ({"model": {**MLP, "norm": "batch"}, "algorithm": {**SGD, "ema": 0.9}}, "averaged weights"),
        ({"count": 1}, "one seed"),
    ],
)
def test_what_cannot_be_trained_together_keeps_the_reason(tmp_path: Path, letters: Any, reason: str) -> None:
    seeds, watch = seeds_in(tmp_path, **letters), Listening()
    assert seeds.train(True, Overall(watch, 1.0)) == []
    decision = recorded(seeds.place)
    assert decision is not None
    assert not decision.together
    assert reason in decision.because
    assert len(watch.lines) == 1
    assert "of mlp trained one by one" in watch.lines[0].replace(" are", "")


def test_a_member_that_is_not_its_run_alone_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "keyed", lambda key: contextlib.nullcontext())  # masks of dropout are then others
    decision = seeds_in(tmp_path).decide(True)
    assert decision is not None
    assert decision.because.startswith("losses of [")
    assert seeds_in(tmp_path, model="softmax").judge(True).together


def test_a_rule_that_knows_nothing_of_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(self: sgd, move: Any, loss: Any, window: Any, state: Any, t: Any) -> Aux:
        return dataclasses.replace(Descent.update(self, move, loss, window, state, t), allowed=None)

    monkeypatch.setattr(sgd, "update", update)
    decision = seeds_in(tmp_path).judge(True)
    assert not decision.together
    assert "sgd on a population" in decision.because


@pytest.mark.parametrize("kind", [UserError, RuntimeError])
def test_a_refusal_in_the_middle_leads_back_to_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fails(*_: Any) -> None:
        raise kind(*["out of memory at step 3", "a step that fits", "try fewer"][: 3 if kind is UserError else 1])

    monkeypatch.setattr(module.Abreast, "settle", fails)
    seeds, watch = seeds_in(tmp_path), Listening()
    assert seeds.train(True, Overall(watch, 1.0)) == []
    assert "trained one by one: out of memory" in watch.lines[-1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["mlp.json"]


@pytest.mark.parametrize(("alone", "expected"), [(0.9, False), (1.2, False), (1.3, True)])
def test_left_to_itself_it_is_done_where_a_fifth_of_the_time_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: float, expected: bool
) -> None:
    monkeypatch.setattr(module, "medians", lambda acts: {"alone": alone, "together": 1.0})
    monkeypatch.setattr(module.Seeds, "run", lambda seeds, decision, progress: None)
    seeds, watch = seeds_in(tmp_path, budget={"steps": 1000}), Listening()
    assert bool(seeds.train("auto", Overall(watch, 1.0))) is expected
    said = "seeds 0–2 of mlp are trained together: 1.3× faster than one by one"
    assert watch.lines == ([said] if expected else [])


@pytest.mark.parametrize(
    ("budget", "expected", "reason"), [({"steps": 900}, 1.0, "too few"), ({"steps": 1100}, 100.0, "arithmetic")]
)
def test_of_short_trainings_and_slow_steps_it_is_not_asked(
    tmp_path: Path, budget: dict[str, int], expected: float, reason: str
) -> None:
    seeds = seeds_in(tmp_path, budget=budget)
    seeds.expected = expected
    decision = seeds.decide("auto")
    assert decision is not None
    assert reason in decision.because
    assert not decision.gain


# --- in a comparison --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Listening]:
    out, watch = tmp_path_factory.mktemp("together") / "bars", Listening()
    return compare(DATA, [MLP, "knn"], together=True, out=out, watch=watch, **TERMS), out, watch


@pytest.mark.shows("P5")
def test_the_verdict_is_that_of_seeds_one_by_one(finished: Any) -> None:
    verdict, _, _ = finished
    alone = compare(DATA, [MLP, "knn"], together=False, **TERMS)
    assert [pair.outcome for pair in verdict.pairs] == [pair.outcome for pair in alone.pairs]
    for row, other in zip(verdict.ranked, alone.ranked, strict=True):
        assert (row.name, row.parameters) == (other.name, other.parameters)
        assert row.per_seed == pytest.approx(other.per_seed, abs=0.07)
        assert row.seeds == other.seeds
        assert [len(curve) for curve in row.curves] == [len(curve) for curve in other.curves]
        assert other.together is None


def test_it_is_said_kept_and_shown_and_a_run_is_a_run_like_any_other(finished: Any) -> None:
    verdict, out, watch = finished
    told = [line for line in watch.lines if "trained" in line]
    assert told[0].startswith("seeds 0–2 of mlp are trained together: ")
    assert told[1] == "seeds 0–2 of knn are trained one by one: it learns without steps"
    row = next(row for row in verdict.rows if row.name == "mlp")
    assert row.together.startswith("seeds 0–2 together, ")
    assert load_verdict(out).rows == verdict.rows
    assert f"MLP: {row.together}; seconds and memory are a seed's share" in (out / "report.html").read_text()
    for seed in range(3):
        run = Run.open(out / "runs" / "mlp" / f"seed-{seed}")
        facts, star = run.measures["facts"], load(run.path)
        others = " and ".join(str(other) for other in range(3) if other != seed)
        assert facts["said"] == [f"trained together with seeds {others}: seconds and memory are its share"]
        assert facts["seconds"] == pytest.approx(run.read_json("cost.json")["train_seconds"])
        assert (star.recipe.seed, star.recipe.method["name"]) == (seed, "supervised")
        assert star.evaluate("valid")[0] == pytest.approx(run.measures["valid"])
        assert len(facts["test_openings"]) == 1


def test_further_seeds_are_trained_alone_beside_these(finished: Any) -> None:
    verdict, out, _ = finished
    before = Run.open(out / "runs" / "mlp" / "seed-0").provenance
    again = Listening()
    more = compare(DATA, [MLP], together=True, watch=again, out=out, **{**TERMS, "seeds": 4})
    assert not any("trained" in line for line in again.lines)
    assert more.rows[0].seeds == [0, 1, 2, 3]
    assert more.rows[0].together == next(row.together for row in verdict.rows if row.name == "mlp")
    assert Run.open(out / "runs" / "mlp" / "seed-0").provenance == before
    assert "said" not in Run.open(out / "runs" / "mlp" / "seed-3").measures["facts"]


def test_under_way_and_not_wanted_any_more_is_trained_alone(tmp_path: Path) -> None:
    partial = compare(DATA, [MLP], together=True, out=tmp_path / "c", watch=Leaving(6), **TERMS)
    assert partial.partial
    assert list((tmp_path / "c" / "together" / "mlp" / "state").iterdir())
    (row,) = compare(DATA, [MLP], together=False, out=tmp_path / "c", **TERMS).rows
    assert row.seeds == [0, 1, 2]
    assert row.together is None
    assert not list((tmp_path / "c" / "together").iterdir())


def test_splits_of_their_own_are_trained_one_by_one(tmp_path: Path) -> None:
    terms, watch = {**TERMS, "resplit": True, "seeds": 2}, Listening()
    compare(DATA, ["softmax"], together=True, out=tmp_path / "c", watch=watch, **terms)
    assert "seeds on splits of their own are trained one by one" in watch.lines
    assert not (tmp_path / "c" / "together").exists()


def test_the_decision_is_plain_json(tmp_path: Path) -> None:
    decision = Decision(True, [0, 1, 4], "as asked", 0.9, "in_turn")
    module.record(tmp_path / "together" / "mlp", decision)
    assert recorded(tmp_path / "together" / "mlp") == decision
    assert json.loads((tmp_path / "together" / "mlp.json").read_text())["seeds"] == [0, 1, 4]
    said = {"seed 2": [2], "seeds 0 and 1": [0, 1], "seeds 0–2": [0, 1, 2], "seeds 0, 1 and 4": [0, 1, 4]}
    assert all(span(seeds) == words for words, seeds in said.items())
