"""How the loss of a step is evaluated here: in which precision, compiled or not, activations kept or not, in parts.

None of it changes what the equation says. What was decided is recorded, and a resume keeps to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thetastar import compiling
from thetastar.errors import UserError
from thetastar.functional.gradients import window_gradient
from thetastar.functional.keys import keyed, reseed
from thetastar.functional.nested import cut, divisible, rows_of
from thetastar.hardware import allow_tf32, hold_memory
from thetastar.layers.recomputing import Part, parts_of, recomputed
from thetastar.protocols import Aux, Batch, Clock, Model, Move

if TYPE_CHECKING:
    from thetastar.equation import Training

MICRO = "engine.micro"


class Evaluation:
    """A block in a precision whose draws, by the default generators and by key, are those of `key`.

    Every step enters one: written out, as a generator would cost a small net one step in a hundred.
    """

    __slots__ = ("cast", "key", "scope")

    def __init__(self, key: int, cast: torch.autocast, seed: int | torch.Tensor | None = None) -> None:
        self.key, self.cast, self.scope = key, cast, keyed(key if seed is None else seed)

    def __enter__(self) -> None:
        reseed(self.key)
        self.cast.__enter__()
        self.scope.__enter__()

    def __exit__(self, *why: Any) -> None:
        self.scope.__exit__(*why)
        self.cast.__exit__(*why)


class Execution:
    """What surrounds every evaluation of a loss, and what becomes of a step for which the memory does not suffice.

    Attributes:
        micro: parts that each batch is cut into; doubled where memory runs out and the loss allows it.
        compiled: whether f is compiled in the steps; `because` says what spoke for or against it.
    """

    def __init__(self, training: Training) -> None:
        engine = training.engine
        self.micro, self.compiled, self.because = engine.micro, engine.compile is True, "as the recipe says"
        self._f: Model | None = None
        self._parts: Sequence[Part] = ()
        self._compiled: Mapping[str, Any] = {}
        allow_tf32(training.precision == "tf32")
        if training.device.type == "cpu":
            hold_memory()
        if self.micro > 1 and (reason := indivisible(training)):
            raise UserError(f"{MICRO}={self.micro} {reason}", f"{MICRO}=1", "make data.batch_size smaller instead")
        if self.compiled and training.world.size > 1:
            raise UserError("engine.compile=true on several processes", "one process", "leave it out")
        if self.compiled and any(move.stacked for move in training.moves):
            raise UserError("engine.compile=true with members that are trained together", "one net", "leave it out")
        if self.compiled and engine.recompute:
            raise UserError("engine.compile and engine.recompute", "one of the two", "leave one out")

    def decide(self, training: Training) -> None:
        """Once the number of steps is known, and before the first of them."""
        if training.engine.compile == "auto" and training.moves:
            self.compiled, self.because = compiling.pays(training)
            if training.device.type in compiling.GAIN:
                training.watch.decided(f"f is {'compiled' if self.compiled else 'not compiled'}: {self.because}")
        together = any(move.stacked for move in training.moves)
        if training.engine.recompute and (together or not parts_of(training.program.f)):
            why = "members are trained together" if together else "the model has no blocks"
            training.watch.decided(f"engine.recompute changes nothing: {why}")

    def facts(self) -> dict[str, Any]:
        return {"compiled": self.compiled, "compiled_because": self.because, "micro": self.micro}

    def restore(self, training: Training, known: Mapping[str, Any]) -> None:
        """As it was when the checkpoint was written, since bits depend on it."""
        allow_tf32(training.precision == "tf32")
        self.compiled, self.micro = known.get("compiled", False), known.get("micro", 1)
        self.because = known.get("compiled_because", self.because)

    def around(self, training: Training, key: int) -> contextlib.AbstractContextManager[object]:
        """The block in which a loss is evaluated with the randomness of `key`."""
        if self._f is not training.program.f:
            self._f = training.program.f
            self._parts = parts_of(self._f) if training.engine.recompute else ()
            self._compiled = {}
        cast = torch.autocast(training.device.type, torch.bfloat16, training.precision == "bf16")
        if not (self.compiled or self._parts):
            return Evaluation(key, cast)
        return self._rebuilt(training, key, cast)

    @contextlib.contextmanager
    def _rebuilt(self, training: Training, key: int, cast: torch.autocast) -> Iterator[None]:
        """Compiled, or with activations computed again."""
        f = training.program.f
        if self.compiled and not self._compiled:
            self._compiled = compiling.compiled(f)
        # a number would be a constant of the compiled graph, and every step another graph
        seed = torch.tensor(key) if self.compiled else key
        with (
            Evaluation(key, cast, seed),
            recomputed(self._parts),
            compiling.in_place(f, self._compiled if self.compiled else {}),
        ):
            yield

    def update(self, training: Training, move: Move, window: Sequence[Batch], t: Clock) -> Aux:
        """The algorithm's update by one move; where memory runs out, again in smaller parts."""
        while True:
            parts = window if self.micro == 1 else [part for batch in window for part in cut(batch, self.micro)]
            before = writes(move)
            try:
                return training.algorithm.update(move, training.loss(move, t), parts, training.states[move.name], t)
            except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is the former
                untouched = writes(move) == before and within_gradient(error)
                if ran_out(error):
                    self._halve(training, move, window, untouched)
                elif self.compiled and compiling.failed(error):  # before anything was written
                    self._uncompiled(training, error)
                else:
                    raise
            if training.device.type == "cuda":
                torch.cuda.empty_cache()

    def _halve(self, training: Training, move: Move, window: Sequence[Batch], untouched: bool) -> None:
        """Smaller parts from here on, or a UserError that says what would help."""
        rows = max(rows_of(batch) for batch in window)
        at = -(-rows // self.micro)
        where = f"out of memory at step {training.step}"
        reason = indivisible(training, move)
        if not reason and not all(map(divisible, window)):
            reason = "as they cannot be cut by examples"
        if reason or at == 1 or not untouched:
            whole = f"{at} examples at once, which stay together {reason}" if reason else f"{at} examples at once"
            got = f"{where}: {whole if untouched else 'the update itself does not fit'}"
            run = training.run
            again = f"; where more memory is free, go on with theta fit --resume {run.path}" if run else ""
            raise UserError(got, "a step that fits", f"{helps(training, move)}{again}")
        self.micro *= 2
        training.watch.say(
            f"{where} with {at} examples at once: from here on each batch is taken in {self.micro} parts, "
            f"which add up to the same gradient"
        )

    def _uncompiled(self, training: Training, error: BaseException) -> None:
        """Go on without compiling where nobody asked for it."""
        reason = str(error).strip().split("\n")[0]
        if training.engine.compile is True:
            raise UserError(f"f cannot be compiled here: {reason}", "engine.compile=false", "leave it out") from None
        self.compiled, self.because = False, f"it failed: {reason}"
        training.watch.say(f"f is not compiled: {reason}")


def said(facts: Mapping[str, Any]) -> str:
    """How a run was carried out, by its facts: 'bf16, compiled, in 4 parts'."""
    parts = facts.get("micro", 1)
    named = [facts.get("precision", "float32"), "compiled" if facts.get("compiled") else ""]
    return ", ".join(word for word in [*named, f"in {parts} parts" if parts > 1 else ""] if word)


def indivisible(training: Training, move: Move | None = None) -> str:
    """Why the loss of a batch is not the mean of those of its parts; "" where it is."""
    program = training.program
    if training.world.size > 1:
        return "on several processes"
    if program.method.couples:
        return f"with {type(program.method).__name__}, whose loss couples the examples of a batch"
    if any(each.stacked for each in ([move] if move else training.moves)):
        return "with members that are trained together"
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training for layer in program.modules()):
        return "with batch norm, whose moments are those of the whole batch"
    return ""


def helps(training: Training, move: Move) -> str:
    """What takes less memory, the least change first."""
    ways = ["a smaller data.batch_size (engine.accumulate=2 sums the gradients of two)"]
    if not training.engine.recompute and parts_of(training.program.f):
        ways.insert(0, "engine.recompute=true")
    if move.stacked:
        ways.append("fewer members")
    return "try " + " or ".join(ways)


def ran_out(error: BaseException) -> bool:
    """Whether this is how torch says that there is no memory left, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def within_gradient(error: BaseException) -> bool:
    """Whether it was raised while a gradient was taken, when the rule has not begun to write its state."""
    place = error.__traceback__
    while place:
        if place.tb_frame.f_code is window_gradient.__code__:
            return True
        place = place.tb_next
    return False


def writes(move: Move) -> int:
    """How often the parameters of a move have been written in place."""
    return sum(parameter._version for parameter in move.parameters.values())
