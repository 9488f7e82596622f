"""Algorithms with their settings, as explanations set them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.registry import Spec

VARIANTS: dict[str, list[Spec]] = {"sgd": [{"momentum": 0}, {}, {"nesterov": True}]}  # worth seeing apart


@dataclass(frozen=True)
class Rule:
    """An algorithm with its settings; `lr` is None where a search finds the length."""

    label: str
    spec: Spec
    formula: str
    lr: float | None

    @property
    def rate(self) -> str:
        return "search" if self.lr is None else f"{self.lr:g}"


def rules(names: Sequence[str]) -> list[Rule]:
    """Those that are named, or all, with their defaults and a constant step size."""
    known = registry.entries("algorithms")
    for name in names:
        if name not in known:
            raise UserError(f"unknown algorithm '{name}'", f"one of {', '.join(known)}", nearest(name, known))
    return [rule for name in names or known for rule in _rules_of(name)]


def _rules_of(name: str) -> list[Rule]:
    known = registry.arguments(registry.load("algorithms", name))
    plain: Spec = {"schedule": None} if "schedule" in known else {}
    found: list[Rule] = []
    for variant in VARIANTS.get(name, [{}]):
        words = [f"{key}={str(value).lower()}" for key, value in variant.items()]
        spec = registry.complete("algorithms", {"name": name, **plain, **variant})
        formula = registry.entries("algorithms")[name].summary
        found.append(Rule(" ".join([name, *words]), spec, formula, spec.get("lr")))
    return found


def formulas(found: Sequence[Rule]) -> str:
    """A line for every algorithm."""
    return "\n".join(dict.fromkeys(f"{rule.spec['name']}: {rule.formula}" for rule in found))
