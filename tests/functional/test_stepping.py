"""The lean step is torch's own, to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from thetastar.functional.stepping import lean_step

RULES = {
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1, weight_decay=0.3, fused=True),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.3, fused=True),
    "unfused": lambda groups: torch.optim.AdamW(groups, lr=0.1),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, fused=True),
}


@pytest.mark.parametrize("name", RULES)
def test_a_lean_step_is_the_step_of_torch(name: str) -> None:
    """Two groups with decays of their own, and a layer whose gradient is missing in the first and fourth step."""
    torch.manual_seed(0)
    f = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Linear(3, 3))
    nets = [f, copy.deepcopy(f)]
    optimisers = [
        RULES[name](
            [
                {"params": [p for p in net.parameters() if p.ndim > 1]},
                {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0},
            ]
        )
        for net in nets
    ]
    acts = [lambda: lean_step(optimisers[0]), optimisers[1].step]
    for step in range(6):
        x = torch.randn(11, 5)
        for net, optimiser, act in zip(nets, optimisers, acts, strict=True):
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = 0.1 / (step + 1)
            net[: 3 if step in (0, 3) else 4](x).square().mean().backward()
            act()
        assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
