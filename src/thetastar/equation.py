"""θ* ← A_φ(D, P, L, f_θ): the whole of training.

stream     D   batches on the device          measures   P   what the valid split is judged by
f          f   the model                      method     L   how the risk is formed
algorithm  A   how θ moves                    recipe     φ   everything chosen around it
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import torch

from thetastar import registry, resume, weights
from thetastar.budget import spent
from thetastar.defaults import completed, open_for
from thetastar.distribution import World
from thetastar.evaluation import Values, averaged, evaluate
from thetastar.execution import Execution
from thetastar.functional.keys import seeded
from thetastar.guard import Guard
from thetastar.hardware import channels_last, choose_device, choose_precision
from thetastar.layers.frozen import scratch
from thetastar.outcome import Outcome
from thetastar.protocols import Algorithm, Aux, Batch, Clock, Loss, Method, Model, Move, Program, Schema, Stream
from thetastar.recipe import Engine, Recipe
from thetastar.run import Run
from thetastar.selection import best_of
from thetastar.snapshot import cpu_copy
from thetastar.trace import Row, Trace
from thetastar.watch import Watch


def assemble(recipe: Recipe, schema: Schema) -> Program:
    """f built from the schema, the method attached to it; initial weights are a function of the seed, or a file's."""
    with seeded(recipe.seed, "init"):
        f: Model = weights.begun(registry.build("models", recipe.model, schema, where="model"), recipe.engine)
        method: Method = registry.build("methods", recipe.method, where="method")
        method.attach(f, schema)
    return channels_last(Program(f, method))


def fit(
    recipe: Recipe,
    *,
    run: Run | None = None,
    stream: Stream | None = None,
    start: Program | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train what the recipe says.

    Args:
        recipe: what it leaves out is chosen by the data.
        run: the folder to trace and checkpoint into; a checkpoint found there is continued, to the same bits.
        stream: the data, where they are open already.
        start: a program to go on with (the next task of a sequence); its method is not attached again.
        watch: hears of progress.
    """
    stream = stream or open_for(recipe)
    recipe = completed(recipe, stream)
    training = Training(recipe, stream, start or assemble(recipe, stream.schema), run, watch or Watch())
    training.begin()
    while training.step < training.steps and not training.stopped:
        training.one_epoch()
    return training.finish()


class Training:
    """One run in flight."""

    def __init__(self, recipe: Recipe, stream: Stream, program: Program, run: Run | None, watch: Watch) -> None:
        self.recipe, self.stream, self.run, self.watch = recipe, stream, run, watch
        self.engine = Engine(**recipe.engine)
        self.world = World.current()
        self.device = choose_device(self.engine.device)
        stream.to(self.device)
        self.whole = program.to(self.device)  # what is judged and kept; the same as `program` in a single process
        self.program = self.world.shard(self.whole)
        self.precision = choose_precision(self.engine.precision, self.device, program.f, stream.schema.task)
        self.algorithm: Algorithm = registry.build("algorithms", recipe.algorithm, where="algorithm")
        self.moves: Sequence[Move] = self.program.method.moves(self.program.f)
        self.states = {move.name: self.algorithm.init(move) for move in self.moves}
        self.windows = max(-(-stream.length("train") // self.engine.accumulate), 1)
        self.trace, self.guard, self.best = Trace(), Guard(self.program), best_of(recipe, stream, program.method)
        self.execution = Execution(self)
        self.step, self.steps, self.stopped, self.seconds, self.saved_at = 0, 0, False, 0.0, time.monotonic()

    def begin(self) -> None:
        """From the start, or from the last checkpoint of the run."""
        saved = self.run.latest() if self.run else None
        self.run = None if self.world.rank else self.run  # the first rank writes for all
        if saved:
            resume.restore(self, saved)
        else:
            resume.plan(self)

    def clock(self) -> Clock:
        return Clock(self.recipe.seed, self.step, self.steps, self.step // self.windows)

    def one_epoch(self) -> None:
        """One pass over the training split, from wherever in it the run stands."""
        t = self.clock()
        skip = (self.step % self.windows) * self.engine.accumulate
        batches = map(self.world.part, self.stream.batches("train", t, skip, self.act))
        began = time.perf_counter() - self.seconds  # as if the run had been a single stretch of time
        while self.step < self.steps and not spent(self):
            if not (window := list(islice(batches, self.engine.accumulate))):
                break
            self.one_step(window)
            self.seconds = time.perf_counter() - began
            self.watch.step(self.step, self.steps)
            if self.step % self.windows:  # at the end of an epoch `look` runs first: a resume must miss no evaluation
                resume.save_if_due(self)
        self.look(t.epoch + 1)

    def one_step(self, window: Sequence[Batch]) -> None:
        """θ ← A(θ) on a window of batches: each move in turn, then the method's own state."""
        t = self.clock()
        if not self.program.training:
            self.program.train()
        self.guard.remember()
        said: dict[str, Aux] = {}
        for move in self.moves:
            if t.step % move.every == 0:
                aux = self.execution.update(self, move, window, t)
                said[move.name] = self.world.gather(aux)
                self.trace.add(t.step, move.name, aux)
        if self.guard.allow(said.values()):
            self.program.method.observe(self.program.f, said, t)
        self.guard.restore(said.values())
        self.step += 1

    def loss(self, move: Move, t: Clock) -> Loss:
        """The move's loss as a function of (batch, part), reseeded each time: the same part gives the same value."""
        seen: set[int] = set()

        def loss(batch: Batch, part: int) -> tuple[torch.Tensor, Aux]:
            here = t.at(part, self.world.rank)
            key = here.key(move.name, part)
            again = scratch(self.program) if part in seen else nullcontext()  # batch-norm moments count a part once
            seen.add(part)
            with again, self.execution.around(self, key):
                return self.world.weigh(self.program(move.name, batch, here), batch)

        return loss

    @torch.no_grad()
    def act(self, batch: Batch) -> torch.Tensor:
        """What the method would do in these states of an environment."""
        program = self.world.collect(self.program, self.whole)
        return program.method.predict(program.f, batch, frozenset({"action"}), self.clock())["action"]

    def look(self, epoch: int) -> None:
        """At the end of an epoch: flush the trace; when due, judge on valid, keep the best, decide whether to go on."""
        t = self.clock()
        row: Row = {"step": self.step, "epoch": epoch, "seconds": round(self.seconds, 3)}
        every = max(1, -(-self.steps // (self.windows * max(self.engine.evaluations, 1))))
        due = bool(self.engine.evaluations and epoch % every == 0 and self.stream.size("valid"))
        if due and self.step < self.steps:
            row |= {f"valid.{name}": value for name, value in self.judge(t, epoch).items()}
        row = {**self.trace.flush(), **row}
        for step in row.get("skipped", []):
            self.watch.say(resume.blame(self, step))
        if self.run:
            self.run.append(row)
        resume.save_if_due(self)
        self.watch.row(row)

    def judge(self, t: Clock, epoch: int) -> Values:
        with self.judged(t):
            values, _ = evaluate(self.whole, self.stream, "valid", self.recipe.measures, t)
            self.stopped |= bool(self.world.agree(self.best.judge(values, self.step, epoch, self.whole)))
        return values

    def judged(self, t: Clock) -> AbstractContextManager[None]:
        """The weights that count: averaged ones where the algorithm keeps them."""
        weights = {n: value for state in self.states.values() for n, value in self.algorithm.weights(state).items()}
        return averaged(self.world.collect(self.program, self.whole), weights, self.stream, t)

    def finish(self) -> Outcome:
        """Settle on the weights, let the method consolidate, judge the result on valid."""
        t, epoch = self.clock(), -(-self.step // self.windows)
        with self.judged(t):
            if self.best.active and self.moves and self.best.seen != self.step:
                values, _ = evaluate(self.whole, self.stream, "valid", self.recipe.measures, t)
                self.best.judge(values, self.step, epoch, self.whole)
            settled = self.best.weights or cpu_copy(self.whole.state_dict())
        self.whole.load_state_dict(settled)
        began = time.perf_counter()
        self.whole.method.consolidate(self.whole.f, self.stream, t)
        self.seconds += time.perf_counter() - began
        self.whole.eval()
        outcome = Outcome(self.whole, self.recipe, self.stream, t, facts=resume.facts(self))
        if self.stream.size("valid") and self.recipe.measures:
            outcome.values, outcome.columns = evaluate(self.whole, self.stream, "valid", self.recipe.measures, t)
        return outcome
