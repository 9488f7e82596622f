"""Training loops as one writes them by hand in PyTorch. Nothing here knows of thetastar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

Loop = Callable[[int], None]


def rule(f: nn.Module) -> torch.optim.Optimizer:
    """AdamW as the default recipe has it: decay on matrices and kernels only."""
    decayed = [p for p in f.parameters() if p.ndim > 1]
    plain = [p for p in f.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, weight_decay=1e-2, fused=True)


def update(f: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, precision: str) -> None:
    optimiser.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = F.cross_entropy(f(x), y)
    loss.backward()
    optimiser.step()


def bare(f: nn.Module, x: Tensor, y: Tensor, batch_size: int, precision: str = "float32") -> Loop:
    """Shuffle, index, forward, backward, step. Bytes are images, and become floats in [0, 1] batch by batch."""
    device = next(f.parameters()).device
    x, y = x.to(device), y.to(device)
    x = x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
    optimiser = rule(f)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for index in torch.randperm(len(x), device=device).split(batch_size):
                rows = x[index]
                yield rows.float().mul_(1 / 255) if rows.dtype == torch.uint8 else rows, y[index]

    def run(steps: int) -> None:
        for inputs, targets in islice(batches(), steps):
            update(f, optimiser, inputs, targets, precision)

    return run


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """Rows that become floats one by one, as they are asked for."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = self.x[index]
        return floats(row), self.y[index]


def loader(f: nn.Module, data: Dataset[Any], batch_size: int, precision: str = "float32", **arguments: Any) -> Loop:
    """The loop of the tutorials: a DataLoader that shuffles and collates."""
    device = next(f.parameters()).device
    optimiser = rule(f)
    source = DataLoader(data, batch_size, **{"shuffle": True, **arguments})

    def run(steps: int) -> None:
        left = steps
        while left:
            for x, y in islice(source, left):
                update(f, optimiser, x.to(device), y.to(device), precision)
                left -= 1

    return run


def floats(x: Tensor) -> Tensor:
    """Bytes as floats in [0, 1], without a second copy; floats as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def converted(x: Tensor, y: Tensor) -> TensorDataset:
    return TensorDataset(floats(x), y)
