"""The seeds of one learner trained as one population, each into a run folder like any other.

    possible? → faster, by some steps of both? → one training → a folder a seed

What a member ends with is what its run alone ends with, but for rounding: initial weights, masks of dropout and the
order of the data are those of its seed, and its best epoch and patience are its own. What speaks against it is kept as
a reason, and the seeds are trained one by one.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from thetastar import equation
from thetastar.data.resident import resident
from thetastar.data.wrapping import Wrapping
from thetastar.distribution import World
from thetastar.errors import UserError
from thetastar.functional.keys import reseed
from thetastar.functional.pacing import medians
from thetastar.outer.abreast import Abreast
from thetastar.outer.cost import Cost, Memory, prediction_ms
from thetastar.outer.folder import Slot, read
from thetastar.outer.progress import Overall
from thetastar.protocols import Batch, Clock, Stream
from thetastar.recipe import Engine, Recipe
from thetastar.run import Run
from thetastar.snapshot import write_atomic
from thetastar.star import Star
from thetastar.watch import Watch

How = bool | Literal["auto"]

ENOUGH = 1.25  # times the speed of one by one: a fifth of the time is saved
STEPS = 1000  # of a training: with fewer, finding out takes a twentieth of what it is about
SLOW = 0.05  # seconds a step: from here on arithmetic fills it, and nothing around it is left to share
FIRST = 3  # steps that are looked at
ENDLESS = 1_000_000
# how a population refuses, torch says that nets cannot be stacked, and a component of the user's that it did not see
# members coming; a learner that is at fault itself says so again when it is trained alone
REFUSALS = (UserError, RuntimeError, TypeError, ValueError, AttributeError, LookupError)
ROUNDING = {"float32": 1e-3, "tf32": 0.03, "bf16": 0.1}  # how far losses of the first steps may differ by it


@dataclass(frozen=True)
class Decision:
    """Whether seeds are trained together, and why.

    Attributes:
        gain: how many times as fast as one by one it was found to be; 0 where that was not asked.
        execution: how the population computes its members.
    """

    together: bool
    seeds: list[int]
    because: str
    gain: float = 0.0
    execution: str = "auto"


class Seeds:
    """The seeds of one learner that share one stream.

    Args:
        name: of the learner.
        count: of seeds, 0 … count − 1.
        recipe_of: the complete recipe of a seed; they differ in nothing else.
        slot_of: its run folder.
        stream: of all of them.
        place: what is kept while they train as one; the decision lies beside it.
        expected: seconds that one of them takes alone.
    """

    def __init__(
        self,
        name: str,
        count: int,
        recipe_of: Callable[[int], Recipe],
        slot_of: Callable[[int], Slot],
        stream: Stream,
        place: Path,
        expected: float,
    ) -> None:
        self.name, self.count, self.recipe_of, self.slot_of = name, count, recipe_of, slot_of
        self.stream, self.place, self.expected = stream, place, expected

    def train(self, how: How, progress: Overall) -> list[int]:
        """Train them as one where that is possible and faster, or asked for; the seeds that are trained then."""
        decision = self.decide(how)
        if decision is None:
            return []
        record(self.place, decision)
        if decision.together:
            progress.watch.say(f"{span(decision.seeds)} of {self.name} are trained together: {decision.because}")
            try:
                self.run(decision, progress)
            except REFUSALS as error:
                decision = dataclasses.replace(decision, together=False, because=first_line(error))
                record(self.place, decision)
            shutil.rmtree(self.place, ignore_errors=True)
        if not decision.together and (how is True or decision.gain):
            progress.watch.say(f"{span(decision.seeds)} of {self.name} are trained one by one: {decision.because}")
        return decision.seeds if decision.together else []

    # --- whether ------------------------------------------------------------------------------------------------------

    def decide(self, how: How) -> Decision | None:
        """As it was decided before, where it is under way; None where nothing is to be decided."""
        under_way = Run(self.place).begun
        if under_way and how is not False:
            return recorded(self.place)
        if under_way:
            shutil.rmtree(self.place)
            file_of(self.place).unlink()
        slots = [self.slot_of(seed) for seed in range(self.count)]
        if how is False or any(slot.finished or Run(slot.path).begun for slot in slots):
            return None
        return self.judge(how)

    def judge(self, how: How) -> Decision:
        recipe = self.recipe_of(self.count - 1)
        try:
            reason = impossible(recipe, self.stream) if self.count > 1 else "one seed"
            if not reason:
                start = equation.assemble(recipe, self.stream.schema)
                lone = equation.Training(recipe, self.stream, start, None, Watch())
                lone.begin()
                reason = differs(lone) or (self.useless(lone) if how == "auto" else "") or draws(lone)
            return self.no(reason) if reason else self.timed(lone, how)
        except REFUSALS as error:
            return self.no(first_line(error))

    def no(self, reason: str) -> Decision:
        return Decision(False, list(range(self.count)), reason)

    def useless(self, lone: equation.Training) -> str:
        """Why finding out would not pay."""
        seconds = self.expected / lone.steps
        if lone.steps < STEPS:
            return f"{lone.steps:,} steps are too few to find out whether it is faster"
        return f"a step takes {1e3 * seconds:.0f} ms, which arithmetic fills" if seconds > SLOW else ""

    def timed(self, lone: equation.Training, how: How) -> Decision:
        """Some steps of one and of all, in turns, on copies that are thrown away."""
        recipes = [self.recipe_of(seed) for seed in range(self.count)]
        assert isinstance(self.stream, resident | Wrapping)
        group = Abreast(recipes, self.stream, None, Watch())
        group.begin()
        if set(group.population.members.state_dict()) != set(lone.whole.state_dict()):
            return self.no("its members have a state beside their tensors")
        stepping(group, FIRST)()
        if reason := strays(lone, group):
            return self.no(reason)
        # the same work in both, so that whatever else runs here takes its share of both
        seconds = medians({"alone": stepping(lone, self.count), "together": stepping(group, 1)})
        alone, together = 1e3 * seconds["alone"], 1e3 * seconds["together"]
        gain = alone / together
        if how == "auto" and gain < ENOUGH:
            return self.no(f"a step of all takes {together:.2g} ms, {alone:.2g} ms one by one")
        because = f"{gain:.1f}× faster than one by one" if gain > 1 else "as asked"
        return Decision(True, list(range(self.count)), because, gain, group.population.mode)

    # --- the training -------------------------------------------------------------------------------------------------

    def run(self, decision: Decision, progress: Overall) -> None:
        seeds = decision.seeds
        recipes = [self.recipe_of(seed) for seed in seeds]
        assert isinstance(self.stream, resident | Wrapping)
        self.place.mkdir(parents=True, exist_ok=True)
        with Memory() as memory:
            watch = progress.part(self.expected * len(seeds), f"{self.name}, {span(seeds)}")
            group = Abreast(recipes, self.stream, Run(self.place), watch, decision.execution)
            group.begin()
            while group.step < group.steps and not group.stopped:
                group.one_epoch()
            group.settle()
        for k, seed in enumerate(seeds):
            if not self.slot_of(seed).finished:
                others = [other for other in seeds if other != seed]
                line = f"trained together with {span(others)}: seconds and memory are its share"
                keep(group, k, self.slot_of(seed).path, memory.rise // len(seeds), line)


def keep(group: Abreast, k: int, path: Path, memory: int, line: str) -> None:
    """A member as the run that it would have been alone."""
    outcome = group.outcome(k)
    outcome.facts["said"] = [line]
    run = Run(path) if (path / "provenance.json").is_file() else Run.create(path, outcome.recipe)
    run.cut_trace(0)
    for row in group.trace.rows[k]:
        run.append(row)
    star = Star.of(outcome, run)
    cost = Cost(star.facts["seconds"], prediction_ms(star), memory, star.parameters)
    run.write_json("cost.json", dataclasses.asdict(cost))
    star.write(run, outcome.columns)


# --- what speaks against it -------------------------------------------------------------------------------------------


def impossible(recipe: Recipe, stream: Stream) -> str:
    """Why members would not be what their runs alone are, as the recipe says it; "" where nothing is known."""
    engine = Engine(**recipe.engine)
    if not isinstance(stream, resident | Wrapping):
        return f"{type(stream).__name__} gives every seed rows of its own"
    if World.current().size > 1:
        return "several processes"
    if recipe.budget.get("seconds") is not None:
        return "a budget in seconds"
    settings = {"compile": engine.compile is True, "recompute": engine.recompute, "accumulate": engine.accumulate > 1}
    settings |= {"micro": engine.micro > 1}
    return next((f"engine.{name}={getattr(engine, name)}" for name, asked in settings.items() if asked), "")


def differs(lone: equation.Training) -> str:
    """Why members would not be what their runs alone are, as one of these shows it."""
    if len(lone.moves) != 1:
        return f"{len(lone.moves)} kinds of step" if lone.moves else "it learns without steps"
    if lone.moves[0].stacked:
        return "its runs have members of their own"
    if lone.execution.compiled:
        return "f is compiled"
    schedule = getattr(lone.algorithm, "schedule", None)
    if schedule is not None and schedule.listens:
        return f"{type(schedule).__name__} listens to one loss"
    averages = any(getattr(lone.algorithm, name, None) is not None for name in ("ema", "swa"))
    if averages and any(getattr(layer, "track_running_stats", False) for layer in lone.whole.modules()):
        return "averaged weights need moments of batch norm of their own"
    return ""


def draws(lone: equation.Training) -> str:
    """A step that draws numbers which are no function of the member's own key, as the reason; "" where it does not."""
    t = lone.clock()
    stepping(lone, FIRST)()
    after = generators()
    reseed(Clock(t.seed, t.step + FIRST - 1, t.steps).key(lone.moves[0].name, 0))
    same = all(torch.equal(one, other) for one, other in zip(after, generators(), strict=True))
    return "" if same else "its loss draws from the generator that members would share"


def strays(lone: equation.Training, group: Abreast) -> str:
    """A last member whose losses over the first steps are not those of its run alone, as the reason."""
    alone = torch.stack(lone.trace.columns["loss"][:FIRST]).float()
    member = torch.stack([each[-1] for each in group.trace.each[:FIRST]]).float()
    if torch.allclose(alone, member, rtol=ROUNDING[lone.precision], atol=1e-6, equal_nan=True):
        return ""
    return f"losses of {member.tolist()} in place of {alone.tolist()}"


def generators() -> list[torch.Tensor]:
    """The states of the default generators."""
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *on_devices]


def stepping(training: equation.Training, steps: int) -> Callable[[], None]:
    """So many steps of a training, as often as it is called."""
    training.steps = ENDLESS  # a schedule must not come to its end
    batches = endless(training)

    def act() -> None:
        for _ in range(steps):
            training.one_step([next(batches)])

    return act


def endless(training: equation.Training) -> Iterator[Batch]:
    while True:
        yield from training.stream.batches("train", training.clock())


# --- what is kept of it -----------------------------------------------------------------------------------------------


def file_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def record(place: Path, decision: Decision) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file_of(place), (json.dumps(dataclasses.asdict(decision), indent=1) + "\n").encode())


def recorded(place: Path) -> Decision | None:
    """What was decided for a learner; None where nothing was."""
    file = file_of(place)
    return Decision(**read(file, "together", "seeds", "because")) if file.is_file() else None


def together_of(place: Path, seeds: Sequence[int]) -> str | None:
    """'seeds 0–4 together, 2.1× faster than one by one', where that is how these seeds were trained."""
    decision = recorded(place)
    if decision is None or not decision.together or not set(decision.seeds) & set(seeds):
        return None
    return f"{span(decision.seeds)} together, {decision.because}"


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def span(seeds: Sequence[int]) -> str:
    """'seeds 0–4', 'seeds 0, 1 and 3', 'seed 1'."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]}–{seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
