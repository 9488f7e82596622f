"""Whether compiling f pays, and f compiled only where a loss is evaluated: the program and its tensors stay the same.

The decision is a rule and not a timing, so that the same recipe on the same machine makes the same run: the arithmetic
of a step is counted, its time estimated from the hardware, and what compiling would save over all steps is held against
what it costs once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from thetastar.functional.keys import opaque, reseed
from thetastar.functional.nested import cut, divisible, rows_of
from thetastar.layers.frozen import scratch
from thetastar.protocols import Model

if TYPE_CHECKING:
    from thetastar.equation import Training

# Share of a step that is saved. Ansel et al. 2024 (PyTorch 2: faster machine learning through dynamic Python bytecode
# transformation and graph compilation) report 1.41 times the speed in training on a GPU, a share of 0.29; the rest is
# caution. For training on CPUs they report none, so there it is left to whoever asks for it.
GAIN = {"cuda": 0.2}
COLD, EACH_LAYER = 20.0, 0.5  # seconds: before the first graph runs, and more for every layer
LAUNCHES = 30e-6  # seconds a layer and step that small kernels take to be started, there and back
CLOCK, USED = 1.4e9, 0.3  # cycles a second; share of its peak that a GPU reaches in training
TENSOR_CORES = {8: 2048, 9: 4096}  # bfloat16 operations a cycle and multiprocessor, by major capability
SHARE = {"bf16": 1.0, "tf32": 0.5, "float32": 1 / 16}  # of these, in other precisions
EXAMPLES = 8  # whose arithmetic is counted


def pays(training: Training) -> tuple[bool, str]:
    """Whether f should be compiled, and why."""
    kind = training.device.type
    if kind not in GAIN:
        return False, f"on a {kind.upper()} only where the recipe says so"
    if training.world.size > 1 or training.engine.recompute or any(move.stacked for move in training.moves):
        return False, "not on several processes, with stacked members, or with activations computed again"
    if training.stream.state_dict():
        return False, "not with an environment"
    layers = sum(not list(layer.children()) for layer in training.program.f.modules())
    return worth(training.steps, seconds_a_step(training, layers), layers, GAIN[kind])


def worth(steps: int, seconds: float, layers: int, gain: float) -> tuple[bool, str]:
    """steps × seconds × gain against the cost of compiling so many layers."""
    saved, cost = steps * seconds * gain, COLD + EACH_LAYER * layers
    said = f"about {saved:,.0f} s would be saved in {steps:,} steps of about {seconds:.2g} s"
    return saved > cost, f"{said}, compiling costs about {cost:.0f} s"


def seconds_a_step(training: Training, layers: int) -> float:
    """An estimate by the arithmetic of the step and the hardware, or by the launches of kernels where these last."""
    return max(LAUNCHES * layers, arithmetic(training) / speed(training.device, training.precision))


def arithmetic(training: Training) -> float:
    """Products and sums in a step: three times those of the forward pass, counted on a few examples."""
    from torch.utils.flop_counter import FlopCounterMode

    t, total = training.clock(), 0.0
    batch = next(iter(training.stream.batches("train", t)))
    rows = rows_of(batch)
    few = batch if training.program.method.couples or not divisible(batch) else cut(batch, -(-rows // EXAMPLES))[0]
    for move in training.moves:
        reseed(t.key("arithmetic", move.name))
        with scratch(training.program), FlopCounterMode(display=False) as counter:
            training.program(move.name, few, t)
        total += 3 * counter.get_total_flops() * rows / rows_of(few) / move.every
    return total * training.engine.accumulate


def speed(device: torch.device, precision: str) -> float:
    """Operations a second that a GPU reaches in training."""
    known = torch.cuda.get_device_properties(device)
    each = TENSOR_CORES[min(max(known.major, 8), 9)] * SHARE[precision]
    return known.multi_processor_count * each * CLOCK * USED


def compiled(f: Model) -> Mapping[str, Callable[..., Any]]:
    """What methods call of f, compiled at the first call; a graph a shape, so that no bit depends on earlier shapes."""
    opaque()
    return {name: torch.compile(getattr(f, name), dynamic=False) for name in ("features", "forward")}


@contextlib.contextmanager
def in_place(f: Model, functions: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """f with these functions in place of its own, for a while; copies made later have their own again."""
    vars(f).update(functions)
    try:
        yield
    finally:
        for name in functions:
            del vars(f)[name]


def failed(error: BaseException) -> bool:
    """Whether it is compiling, and not the loss, that could not be done."""
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException) or "aot_autograd does not currently support" in str(error)
