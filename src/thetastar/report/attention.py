"""What Vision Transformers among the runs look at, on some images of the split."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from thetastar import registry
from thetastar.errors import UserError
from thetastar.explain.class_attention import MASS, drawn, seen_by
from thetastar.models.vit import VisionTransformer
from thetastar.outer import wording
from thetastar.outer.embedding import some_of
from thetastar.protocols import Split
from thetastar.report.page import Section, section
from thetastar.run import Run
from thetastar.star import load

IMAGES, LEARNERS = 4, 3  # shown


def attention(runs: Mapping[str, Path], split: Split) -> Section | None:
    """A run of each learner; None where none of them is a Vision Transformer whose data are at hand."""
    found: list[tuple[str, str]] = []
    for name, path in runs.items():
        if len(found) < LEARNERS and is_transformer(path) and (drawing := looked(path, split)):
            found.append((wording.spoken(name), drawing))
    if not found:
        return None
    return section("attention", "What the heads look at", learners=found, mass=f"{MASS:.0%}", split=split)


def is_transformer(path: Path) -> bool:
    """By the recipe alone, so that no other run is loaded for it."""
    kind = registry.load("models", str(Run.open(path).recipe.model["name"]))
    return isinstance(kind, type) and issubclass(kind, VisionTransformer)


def looked(path: Path, split: Split) -> str:
    """The drawing as a data URI; "" where the data are not at hand."""
    star = load(path)
    try:
        batch = some_of(star.stream, split, IMAGES)
    except UserError:
        return ""
    if not len(batch["input"]):
        return ""
    seen = seen_by(star, batch["input"], [f"row {row}" for row in batch["index"].tolist()])
    svg = drawn(seen, f"The class token of {type(star.program.f).__name__} in its last block")
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
