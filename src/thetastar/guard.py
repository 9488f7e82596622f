"""A batch with a non-finite loss must not cost the run: buffers that its forward pass wrote are put back."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from thetastar.protocols import Aux, Program


class Guard:
    """Remembers the buffers a step may spoil and restores them where the step was not taken.

    On a CPU these are the running moments that forward passes write, and `observe` is not called for a refused step.
    On a GPU nothing waits for the host: what `observe` may write, buffers and weights of teachers, is remembered and
    put back by a masked copy.
    """

    def __init__(self, program: Program, on_host: bool | None = None) -> None:
        device = next((p.device.type for p in program.parameters()), "cpu")
        self.on_host = device == "cpu" if on_host is None else on_host
        moments = [
            buffer
            for layer in program.modules()
            if getattr(layer, "track_running_stats", False)
            for buffer in layer.buffers(recurse=False)
        ]
        still = [parameter for parameter in program.parameters() if not parameter.requires_grad]
        self.buffers: list[Tensor] = moments if self.on_host else [*program.buffers(), *still]
        self.kept: list[Tensor] = []

    def remember(self) -> None:
        self.kept = [buffer.clone() for buffer in self.buffers]

    def allow(self, said: Iterable[Aux]) -> bool:
        """Whether `observe` may run; always on a GPU, where `restore` undoes it."""
        return not self.on_host or all(bool(aux.finite) for aux in said if aux.finite is not None)

    def restore(self, said: Iterable[Aux]) -> None:
        """Put back what a refused step wrote."""
        flags = [aux.finite for aux in said if aux.finite is not None] if self.buffers else []
        if not flags or (self.on_host and all(map(bool, flags))):
            return
        taken = torch.stack(flags).all()
        with torch.no_grad():
            for buffer, kept in zip(self.buffers, self.kept, strict=True):
                buffer.copy_(torch.where(taken, buffer, kept))
