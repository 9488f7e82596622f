"""thetastar finds out which way of learning works on your data, and why, honestly.

The kernel is one equation, θ* ← A_φ(D, P, L, f_θ): `data`, `measures`, `methods`, `models`, `algorithms` are its
letters, `equation.fit` is the arrow. Everything here is imported on first use, so that `import thetastar` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_homes = {
    "Recipe": "thetastar.recipe",
    "Star": "thetastar.star",
    "compare": "thetastar.outer.compare",
    "fit": "thetastar.star",
    "load": "thetastar.star",
}
__all__ = ["Recipe", "Star", "compare", "fit", "load"]

if TYPE_CHECKING:
    from thetastar.outer.compare import compare
    from thetastar.recipe import Recipe
    from thetastar.star import Star, fit, load


def __getattr__(name: str) -> Any:
    if name in ("explain", "sklearn"):
        return importlib.import_module(f"thetastar.{name}")
    if name in _homes:
        return getattr(importlib.import_module(_homes[name]), name)
    raise AttributeError(f"module 'thetastar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
