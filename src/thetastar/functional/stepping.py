"""The step of a torch optimiser without what torch does around it, which a small net would feel."""

from __future__ import annotations

import torch
from torch.optim.adam import adam


def lean_step(optimiser: torch.optim.Optimizer) -> None:
    """`optimiser.step()`, to the bit.

    Of fused Adam and AdamW the rule alone is called: profiling hooks, closures and checks for graph capture around it
    take a fortieth of the step of a small net. Parameters that step for the first time are made their state by torch.
    """
    groups = [[p for p in group["params"] if p.grad is not None] for group in optimiser.param_groups]
    fused = isinstance(optimiser, torch.optim.Adam) and optimiser.defaults["fused"]
    if not fused or any(parameter not in optimiser.state for group in groups for parameter in group):
        optimiser.step()
        return
    with torch.no_grad():
        for settings, parameters in zip(optimiser.param_groups, groups, strict=True):
            slots = [optimiser.state[parameter] for parameter in parameters]
            adam(
                parameters,
                [parameter.grad for parameter in parameters],
                [slot["exp_avg"] for slot in slots],
                [slot["exp_avg_sq"] for slot in slots],
                [],
                [slot["step"] for slot in slots],
                fused=True,
                amsgrad=False,
                beta1=settings["betas"][0],
                beta2=settings["betas"][1],
                lr=settings["lr"],
                weight_decay=settings["weight_decay"],
                eps=settings["eps"],
                maximize=False,
                decoupled_weight_decay=settings["decoupled_weight_decay"],
            )
