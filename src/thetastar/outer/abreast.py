"""The training of several seeds as one population, judged and traced one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thetastar import equation, resume
from thetastar.data.resident import resident
from thetastar.data.seeded import Seeded
from thetastar.data.wrapping import Wrapping
from thetastar.errors import UserError
from thetastar.evaluation import Values, evaluate
from thetastar.functional.stacking import COUNTER
from thetastar.outcome import Outcome
from thetastar.protocols import Aux, Clock, Program
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.selection import BestOfEach
from thetastar.snapshot import cpu_copy
from thetastar.trace import Row, Trace
from thetastar.watch import Watch


class Abreast(equation.Training):
    """One training of several members; each leaves what its run alone would have left.

    Args:
        recipes: complete, of a run alone each; they differ in the seed.
        stream: that of a run alone.
        execution: of the population; auto takes the fastest.
    """

    trace: Own
    best: Best

    def __init__(
        self,
        recipes: Sequence[Recipe],
        stream: resident | Wrapping,
        run: Run | None,
        watch: Watch,
        execution: str = "auto",
    ) -> None:
        first, seeds = recipes[0], [recipe.seed for recipe in recipes]
        method = {"name": "population", "inner": first.method, "seeds": seeds, "execution": execution}
        recipe = first.replace(method=method)
        start = equation.assemble(recipe, stream.schema)
        self.recipes, self.own = recipes, list[Values]()
        super().__init__(recipe, Seeded(stream, seeds), start, run, watch)
        self.alone = equation.assemble(first, stream.schema).to(self.device)
        self.trace, self.best = Own(self), Best(self)

    @property
    def population(self) -> Any:
        """Its method, with the stacks."""
        return self.whole.method

    @property
    def awake(self) -> list[bool]:
        """Who has not come to rest."""
        return self.population.active.tolist()

    def member(self, k: int) -> Program:
        """The program of a member as it is now; the next call overwrites it. What counts batches is that of all."""
        stacks: Mapping[str, Tensor] = self.population.members.state_dict()
        self.alone.load_state_dict({n: tensor if n.endswith(COUNTER) else tensor[k] for n, tensor in stacks.items()})
        return self.alone

    def clock_of(self, k: int, step: int) -> Clock:
        return Clock(self.recipes[k].seed, step, self.steps, step // self.windows)

    def judge(self, t: Clock, epoch: int) -> Values:
        """Each member on valid, as its run alone is judged; the mean over members."""
        with self.judged(t):
            self.own = [self.valued(k, self.clock_of(k, self.step)) for k in range(len(self.recipes))]
            mean = {name: sum(values[name] for values in self.own) / len(self.own) for name in self.own[0]}
            self.stopped |= self.best.judge(mean, self.step, epoch, self.whole)
        return mean

    def valued(self, k: int, t: Clock) -> Values:
        return evaluate(self.member(k), self.stream, "valid", self.recipe.measures, t)[0]

    def settle(self) -> None:
        """After the last step: each member gets the weights that it ends with."""
        t = self.clock()
        with self.judged(t):
            if self.best.active and self.best.seen != self.step:
                self.judge(t, -(-self.step // self.windows))
            settled = self.best.weights or cpu_copy(self.whole.state_dict())
        self.whole.load_state_dict(settled)

    def outcome(self, k: int) -> Outcome:
        """What the run of a member alone leaves; its seconds are its share of those of all."""
        recipe, steps = self.recipes[k], self.trace.steps_of[k]
        program = equation.assemble(recipe, self.stream.schema)
        program.load_state_dict(self.member(k).state_dict())
        facts = {**resume.facts(self), "steps": steps, "seconds": self.trace.seconds[k]}
        facts.pop("said", None)
        if self.best.active:
            curve = self.best.curves[k]
            facts |= {"best_epoch": curve.epoch, "stopped_early": not self.trace.awake[k]}
        t, stream = self.clock_of(k, steps), self.stream.inner  # type: ignore[attr-defined]
        outcome = Outcome(program.to(self.device).eval(), recipe, stream, t, facts=facts)
        if stream.size("valid") and recipe.measures:
            outcome.values, outcome.columns = evaluate(program, stream, "valid", recipe.measures, t)
        return outcome


class Best(BestOfEach):
    """The best evaluation of each member, by what its run alone would have seen."""

    def __init__(self, training: Abreast) -> None:
        super().__init__(training.recipe, training.stream, len(training.recipes))
        self.training = training

    def values_of(self, program: Program, step: int) -> list[float]:
        return [values[str(self.monitor)] for values in self.training.own]


class Own(Trace):
    """The trace of all members, and beside it the rows that each one's run alone would have traced.

    Attributes:
        rows: of each member; they end where it comes to rest.
        seconds: of each member: its share of the time in which it was awake.
        steps_of: how many each has taken.
        awake: who has not come to rest by now.
    """

    def __init__(self, training: Abreast) -> None:
        super().__init__()
        self.training, count = training, len(training.recipes)
        self.each: list[Tensor] = []
        self.taken: list[Tensor] = []
        self.rows: list[list[Row]] = [[] for _ in range(count)]
        self.seconds, self.steps_of, self.awake, self.until = [0.0] * count, [0] * count, [True] * count, 0.0

    def add(self, step: int, move: str, aux: Aux) -> None:
        super().add(step, move, aux)
        if aux.each is None or aux.allowed is None:
            name = type(self.training.algorithm).__name__
            raise UserError(f"{name} on a population", "a rule that steps members one by one", "choose sgd or adamw")
        self.each.append(aux.each)
        self.taken.append(aux.allowed)

    def flush(self) -> Row:
        """Of all members together; a row of each that was awake is kept."""
        training, steps = self.training, self.steps
        if self.each:
            losses, taken = torch.stack(self.each), torch.stack(self.taken)
            spent = (training.seconds - self.until) / sum(self.awake)
            for k in (k for k, awake in enumerate(self.awake) if awake):
                own = Trace()
                own.steps = steps
                own.columns = {"loss": list(losses[:, k]), "finite": list(taken[:, k])}
                self.seconds[k] += spent
                self.steps_of[k] = training.step
                row: Row = {"step": training.step, "epoch": -(-training.step // training.windows)}
                row |= {"seconds": round(self.seconds[k], 3)}
                row |= {f"valid.{name}": value for name, value in (training.own[k] if training.own else {}).items()}
                self.rows[k].append({**own.flush(), **row})
        self.each, self.taken, self.until, self.awake, training.own = [], [], training.seconds, training.awake, []
        return super().flush()

    def state_dict(self) -> dict[str, Any]:
        waiting = {"each": torch.stack(self.each), "taken": torch.stack(self.taken)} if self.each else {}
        kept = {name: getattr(self, name) for name in ("rows", "seconds", "steps_of", "awake", "until")}
        return {**super().state_dict(), **waiting, **kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.each, self.taken = list(state.get("each", ())), list(state.get("taken", ()))
        for name in ("rows", "seconds", "steps_of", "awake", "until"):
            setattr(self, name, state[name])
