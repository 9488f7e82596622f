"""Training speed beside a bare hand-written loop, DataLoader loops, and every peer that happens to be installed.

    python -m benchmarks.throughput [--tasks …] [--batches 128 512] [--repeats 9] [--peers …] [--out FILE]

All contenders train the same net from the same weights on the same data in memory by the same fused AdamW, in float32;
ours, the bare loop and the DataLoader loops also in the precision that a recipe takes by default here. Each has a
process of its own. "bare" is a loop as one writes it; "kept" is the same where the allocator keeps freed memory, as
it does under ours, so that ours to "kept" is the overhead of the engine alone. "loader" is the DataLoader of the
tutorials, a Dataset that converts each row as it is asked for; "tensors" is a DataLoader over floats.
Whole steps are timed from one forward pass to another, so that no trainer pays for setting itself up. A matrix product
of the machine's best size tells which share of its speed a step of ours takes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import loops, peers
from benchmarks.tasks import TASKS, Task, alike, as_floats, columns, first_layer, opened, ours, prepared
from benchmarks.turns import Case, Pair, Stopwatch, apart, in_turns, said, written
from thetastar import equation
from thetastar.hardware import choose_device, provenance

# the bars: to a bare loop in the same precision with the same allocator; of ours in its default precision to the best
# peer in float32
TO_BARE = {"mnist_mlp": 0.95, "mnist_cnn": 0.98}
TO_PEER = {("mnist_mlp", 128): 2.0, ("mnist_mlp", 512): 3.0, ("mnist_cnn", 128): 2.0, ("mnist_cnn", 512): 2.0}
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def waiting(device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def watched(layer: Any, loop: loops.Loop, steps: int, device: str) -> Callable[[], float]:
    watch = Stopwatch(layer, waiting(device))
    return lambda: watch.seconds(loop, steps)


def contenders(
    task: Task, precision: str, batch_size: int, device: str, others: Sequence[str]
) -> dict[str, Callable[[], tuple[Any, loops.Loop]]]:
    """Name → what makes the layer to watch and the loop; peers train in float32 alone."""
    stream = opened(task, batch_size)

    def own() -> tuple[Any, loops.Loop]:
        training = prepared(task, batch_size, precision, device)
        return first_layer(training.program.f), ours(training)

    def other(make: Callable[[nn.Module, Tensor, Tensor], loops.Loop], floats: bool) -> tuple[Any, loops.Loop]:
        f = alike(prepared(task, batch_size, precision, device))
        x, y = as_floats(task, stream) if floats or not task.pictures else columns(task)
        return first_layer(f), make(f, x, y)

    made = {
        "bare": lambda f, x, y: loops.bare(f, x, y, batch_size, precision),
        "kept": lambda f, x, y: loops.bare(f, x, y, batch_size, precision),
        "loader": lambda f, x, y: loops.loader(f, loops.Examples(x, y), batch_size, precision),
        "tensors": lambda f, x, y: loops.loader(f, loops.converted(x, y), batch_size, precision),
    }
    found = {f"ours {precision}": own}
    found |= {f"{name} {precision}": lambda make=make: other(make, False) for name, make in made.items()}
    for name in others:
        adapter = peers.PEERS[name]
        found[name] = lambda adapter=adapter: other(lambda f, x, y: adapter(f, x, y, batch_size), True)
    return found


def contender(name: str, key: str, batch_size: int, steps: int, device: str) -> Callable[[], float]:
    """What takes the turns of one contender, in its process."""
    kind, _, precision = key.partition(" ")
    if kind not in ("ours", "kept"):
        os.environ["MALLOC_ARENA_TEST"] = "8"  # as it is; whoever has set such a variable keeps the system's allocator
    others = [kind] if kind in peers.PEERS else []
    made = contenders(TASKS[name], precision or "float32", batch_size, device, others)[key]()
    act = watched(*made, steps, device)
    act()
    return act


def measured(name: str, batch_size: int, options: argparse.Namespace, device: str) -> Case:
    task = TASKS[name]
    repeats = min(options.repeats, task.repeats)
    default = prepared(task, batch_size, "auto", device).precision
    precisions = list(dict.fromkeys(["float32", default] if options.precision == "both" else [options.precision]))
    steps = options.steps or max(1, min(task.steps, task.rows // batch_size - Stopwatch.LEAD - 1))
    loops_of = ("ours", "bare", "kept", "loader", "tensors")
    keys = [f"{kind} {precision}" for precision in precisions for kind in loops_of]
    keys += options.peers if "float32" in precisions else []
    with apart(contender, {key: (name, key, batch_size, steps, device) for key in keys}) as acts:
        taken = in_turns(acts, repeats)
    case = Case(f"{task.about}, batch {batch_size}", taken, [], steps * batch_size)
    case.things = "images" if task.pictures else "rows"
    case.pairs = claims(case, name, batch_size, precisions, options.peers)
    case.facts = {"task": name, "batch": batch_size, "steps": steps, "device": device, "default": default}
    training = prepared(task, batch_size, precisions[-1], device)
    case.facts |= share(training, case.speeds()[f"ours {precisions[-1]}"] / batch_size, device)
    return case


def claims(case: Case, name: str, batch_size: int, precisions: Sequence[str], others: Sequence[str]) -> list[Pair]:
    """Ours to the loops in each precision; to each peer in float32; in the default precision to the best of them."""
    pairs: list[Pair] = []
    for precision in precisions:
        pairs.append(Pair(f"ours {precision}", f"kept {precision}", TO_BARE.get(name)))
        pairs += [Pair(f"ours {precision}", f"{other} {precision}") for other in ("bare", "loader", "tensors")]
    if others and "float32" in precisions:
        pairs += [Pair("ours float32", other, 1.0) for other in others]
        if precisions[-1] != "float32":
            pairs.append(Pair(f"ours {precisions[-1]}", case.best(others), TO_PEER.get((name, batch_size))))
    return pairs


def share(training: equation.Training, steps_a_second: float, device: str) -> dict[str, float]:
    """Arithmetic of a step by the products in its forward and backward passes, and its share of the machine's best."""
    batch = next(training.stream.batches("train", training.clock()))
    program = training.program.train()
    with FlopCounterMode(display=False) as counter:
        program("loss", batch, training.clock())[0].backward()
    program.zero_grad()
    best = product_speed(training.precision, device)
    speed = counter.get_total_flops() * steps_a_second
    return {"flops_a_step": counter.get_total_flops(), "product_flops": best, "share_of_product": speed / best}


def product_speed(precision: str, device: str) -> float:
    """Operations a second of one large square product: the best of several sizes, of the fastest of several times."""
    found = 0.0
    for size in (4096, 8192) if device.startswith("cuda") else (1024, 2048):
        a, b = (torch.randn(size, size, device=device, dtype=DTYPES[precision]) for _ in range(2))
        for _ in range(5):
            waiting(device)()
            began = time.perf_counter()
            a @ b
            waiting(device)()
            found = max(found, 2 * size**3 / (time.perf_counter() - began))
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = peers.installed()
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--batches", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--peers", nargs="*", choices=here, default=here, metavar="PEER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, help="a turn, in place of the task's own")
    parser.add_argument("--precision", choices=["both", "float32", "bf16"], default="both")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    cases: list[Case] = []
    for name in options.tasks:
        for batch_size in options.batches:
            case = measured(name, batch_size, options, device)
            cases.append(case)
            print(said(case.lines()), flush=True)
            speeds = ", ".join(f"{key} {speed:,.0f}" for key, speed in case.speeds().items())
            share = f"{100 * case.facts['share_of_product']:.0f}% of the speed of a product of matrices"
            print(f"{case.things} a second: {speeds}; {share}\n", flush=True)
            if options.out:
                written(options.out, cases, {**provenance(), **peers.versions()})


if __name__ == "__main__":
    main()
