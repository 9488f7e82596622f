"""Features of runs that learn representations, before and after training, as clouds of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from thetastar import registry
from thetastar.errors import UserError
from thetastar.outer import wording
from thetastar.outer.neighbourhoods import Layout, layout
from thetastar.protocols import Split
from thetastar.report.charts import ACCENT, SOFT, Spec, svg
from thetastar.report.page import Section, section
from thetastar.run import Run
from thetastar.star import load

SIDE, LEARNERS = 300, 2  # pixels; learners that are drawn
COLOURED = 10  # classes; the others are grey
COLOURS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#17becf",
    "#bcbd22",
    "var(--ink)",
)


def neighbourhoods(runs: Mapping[str, Path], split: Split) -> Section | None:
    """A run of each learner; None where none of them learns representations from data that are at hand."""
    found: list[dict[str, Any]] = []
    for name, path in runs.items():
        if len(found) < LEARNERS and represents(path) and (one := drawn(path, split, wording.spoken(name))):
            found.append(one)
    return section("neighbourhoods", "Features before and after", learners=found, split=split) if found else None


def represents(path: Path) -> bool:
    """Whether the method of a run learns features and answers no question: what its companions judge by tells."""
    companions = getattr(registry.load("methods", str(Run.open(path).recipe.method["name"])), "companions", {})
    return "effective_rank" in companions.get("measures", ())


def drawn(path: Path, split: Split, name: str) -> dict[str, Any] | None:
    """Two drawings, what is said of them, and the colours of classes; None where there are no points to draw."""
    star = load(path)
    try:
        found = layout(star, split)
    except UserError:
        return None  # the data are not at hand
    if found is None:
        return None
    target = star.schema.target
    names: Sequence[str] = (target.names or tuple(map(str, range(target.classes or 0)))) if target else ()
    shown = coloured(found)
    panels: list[tuple[str, Markup]] = []
    for place, when in enumerate(("before training", "after training")):
        panels.append((when, svg(cloud(found, place, shown), f"{name}: t-SNE of features {when}")))
    said = ""
    if found.agreement:
        before, after = (f"{share:.1%}" for share in found.agreement)
        said = f"the nearest neighbour is of the same class for {before} before and {after} after"
    legend = [(COLOURS[n], names[c]) for n, c in enumerate(shown)]
    others = len(set(found.classes.tolist())) - len(shown) if found.classes is not None else 0
    count = len(found.rows)
    return {"name": name, "panels": panels, "said": said, "legend": legend, "others": others, "count": count}


def coloured(found: Layout) -> list[int]:
    """The most frequent classes."""
    if found.classes is None:
        return []
    counts = found.classes.bincount()
    return sorted(counts.argsort(descending=True, stable=True)[: min(COLOURED, int((counts > 0).sum()))].tolist())


def cloud(found: Layout, place: int, shown: Sequence[int]) -> Spec:
    """Points without axes: neither has a meaning."""
    classes: list[int] = found.classes.tolist() if found.classes is not None else [-1] * len(found.rows)
    colour = {c: COLOURS[n] for n, c in enumerate(shown)}
    rest = SOFT if found.classes is not None else ACCENT
    values = [
        {"x": float(x), "y": float(y), "colour": colour.get(c, rest)}
        for (x, y), c in zip(found.places[place], classes, strict=True)
    ]
    hidden: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [-1.05, 1.05]}}
    return {
        "width": SIDE,
        "height": SIDE,
        "data": {"values": values},
        "mark": {"type": "circle", "size": 16, "opacity": 0.75},
        "encoding": {
            "x": {"field": "x", **hidden},
            "y": {"field": "y", **hidden},
            "color": {"field": "colour", "type": "nominal", "scale": None},
        },
    }
