"""Training throughput as a ratio to a bare hand-written loop and to two DataLoader loops.

    python -m benchmarks.throughput [--device auto] [--repeats 9] [--out benchmarks/results/throughput.json]

All loops train the same net from the same weights on the same uint8 images by the same fused rule, in one precision.
"loader" is the DataLoader of the tutorials, a Dataset that converts each image as it is asked for; "tensors" is a
DataLoader over a TensorDataset of converted floats. The loops take turns in one process, so that what disturbs the
machine disturbs all of them; medians are compared.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from thetastar import equation, registry
from thetastar.defaults import completed
from thetastar.hardware import choose_device, provenance
from thetastar.recipe import Recipe
from thetastar.watch import Watch

ROWS = 20_000
Loop = Callable[[int], None]


def images() -> tuple[Tensor, Tensor]:
    """Random images of MNIST's shape: speed does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (ROWS, 1, 28, 28), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, 10, (ROWS,), generator=generator)


def prepared(model: str, batch_size: int, precision: str, device: str) -> equation.Training:
    pixels, labels = images()
    source = {"name": "arrays", "inputs": pixels, "targets": labels}
    data = {"name": "resident", "source": source, "batch_size": batch_size, "valid": 0.0, "test": 0.0}
    stream = registry.build("data", data)
    recipe = completed(Recipe(data=data, model=model, engine={"precision": precision, "device": device}), stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    training.steps = 1_000_000
    return training


def ours(training: equation.Training) -> Loop:
    def run(steps: int) -> None:
        batches = training.stream.batches("train", training.clock(), 0, training.act)
        for _ in range(steps):
            training.one_step([next(batches)])
        training.trace.flush()

    return run


def update(f: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, precision: str) -> None:
    optimiser.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = nn.functional.cross_entropy(f(x), y)
    loss.backward()
    optimiser.step()


def rule(f: nn.Module) -> torch.optim.Optimizer:
    """AdamW as the default recipe has it: decay on matrices and kernels only."""
    decayed = [p for p in f.parameters() if p.ndim > 1]
    plain = [p for p in f.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, fused=True)


def bare(f: nn.Module, batch_size: int, precision: str) -> Loop:
    """The loop that one writes by hand: shuffle, index, forward, backward, step."""
    device = next(f.parameters()).device
    pixels, labels = (column.to(device) for column in images())
    pixels = pixels.to(memory_format=torch.channels_last)
    optimiser = rule(f)

    def run(steps: int) -> None:
        order = torch.randperm(ROWS, device=device)
        for step in range(steps):
            index = order[step * batch_size : (step + 1) * batch_size]
            update(f, optimiser, pixels[index].float().mul_(1 / 255), labels[index], precision)

    return run


def converted() -> TensorDataset:
    pixels, labels = images()
    return TensorDataset(pixels.float() / 255, labels)


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images that become floats in [0, 1] one by one, as they are asked for."""

    def __init__(self) -> None:
        self.pixels, self.labels = images()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pixels[index].float() / 255, self.labels[index]


def loader(f: nn.Module, batch_size: int, precision: str, data: Dataset[tuple[Tensor, ...]]) -> Loop:
    """The loop of the tutorials: a DataLoader that shuffles and collates."""
    device = next(f.parameters()).device
    optimiser = rule(f)
    source = DataLoader(data, batch_size, shuffle=True)

    def run(steps: int) -> None:
        for step, (x, y) in enumerate(source):
            if step == steps:
                return
            update(f, optimiser, x.to(device), y.to(device), precision)

    return run


def measure(model: str, batch_size: int, precision: str, repeats: int, device: str) -> dict[str, object]:
    training = prepared(model, batch_size, precision, device)
    f = training.program.f.train()
    loops = {
        "ours": ours(training),
        "bare": bare(copy.deepcopy(f), batch_size, precision),
        "loader": loader(copy.deepcopy(f), batch_size, precision, Images()),
        "tensors": loader(copy.deepcopy(f), batch_size, precision, converted()),
    }
    steps = max(ROWS // batch_size // (1 if model == "mlp" else 4), 5)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for run in loops.values():
        run(3)
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    for turn in range(repeats):
        names = list(loops)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            wait()
            began = time.perf_counter()
            loops[name](steps)
            wait()
            seconds[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = sorted(b / o for b, o in zip(seconds["bare"], seconds["ours"], strict=True))
    return {
        "model": model,
        "batch": batch_size,
        "precision": precision,
        "device": device,
        "images_per_second": round(steps * batch_size / middle["ours"]),
        "to_bare": round(middle["bare"] / middle["ours"], 3),
        "to_bare_quartiles": [round(ratios[len(ratios) // 4], 3), round(ratios[3 * len(ratios) // 4], 3)],
        "to_loader": round(middle["loader"] / middle["ours"], 3),
        "to_tensors": round(middle["tensors"] / middle["ours"], 3),
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--batches", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    rows: list[dict[str, object]] = []
    for model in options.models:
        for batch_size in options.batches:
            precision = prepared(model, batch_size, options.precision, device).precision
            rows.append(measure(model, batch_size, precision, options.repeats, device))
            print(
                "{model} batch {batch} {precision}: {to_bare:.2f} × bare loop {to_bare_quartiles}, "
                "{to_loader:.2f} × DataLoader loop, {to_tensors:.2f} × DataLoader of tensors".format(**rows[-1])
            )
    if options.out:
        options.out.write_text(json.dumps({"rows": rows, "provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
