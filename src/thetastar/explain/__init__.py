"""What happens inside: models, runs and topics of the field, shown on real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["anatomy"]

if TYPE_CHECKING:
    from thetastar.explain.model.anatomy import anatomy


def __getattr__(name: str) -> Any:
    if name == "anatomy":
        from thetastar.explain.model.anatomy import anatomy

        return anatomy
    raise AttributeError(f"module 'thetastar.explain' has no attribute {name!r}")
