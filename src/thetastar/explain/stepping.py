"""One step of every algorithm from the weights of a run, on the gradient that the run has there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.explain.risk import risk_of
from thetastar.explain.rules import formulas, rules
from thetastar.explain.showing import Shown
from thetastar.functional.curvature import flat, write
from thetastar.protocols import Clock
from thetastar.terminal import console
from thetastar.terminal.training import single

EXAMPLES = 250


def show(folder: str, names: Sequence[str]) -> Shown:
    """How far each rule goes, how near to −g, and what it does to the loss."""
    found = rules(names)
    risk = risk_of(star.load(single(Path(folder))), EXAMPLES, exact=True)
    start, gradient, before = flat(risk.weights), risk.gradient(), risk.value()
    table = console.table("rule", "η", "‖Δθ‖ / ‖θ‖", "cos", "loss after")
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for rule in found:
        algorithm = registry.build("algorithms", rule.spec)
        try:
            state = algorithm.init(risk.move)
        except UserError as error:  # newton forms no Hessian of a large net
            refused.append(f"{rule.label}: {error.got}")
            continue
        algorithm.update(risk.move, risk.loss, risk.parts, state, Clock(risk.clock.seed))
        change, after = flat(risk.weights) - start, risk.value()
        write(risk.weights, start)
        size = (change.norm() * gradient.norm()).item()
        cosine = -change.dot(gradient).item() / size if size else 0.0
        length = (change.norm() / start.norm()).item()
        rows.append({"rule": rule.label, "lr": rule.lr, "length": length, "cosine": cosine, "loss": after})
        table.add_row(rule.label, rule.rate, f"{length:.2e}", f"{cosine:.3f}".replace("-", "−"), f"{after:.6g}")
    said = (
        f"{folder}: {risk.count:,} weights, {'; '.join(risk.said)}. The loss is {before:.6g} and the gradient's norm"
        f" {gradient.norm().item():.4g}. Every rule starts here, with nothing remembered and its defaults.\n"
    )
    notes = "\ncos: of the angle between the step and −g; 1 is straight down the gradient.\n"
    notes += "".join(f"left out, {line}\n" for line in refused)
    data = {"run": folder, "loss": before, "gradient_norm": gradient.norm().item(), "steps": rows, "refused": refused}
    return Shown([Text(said), table, Text(f"{notes}\n{formulas(found)}")], data)
