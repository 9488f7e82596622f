"""The figure of a decomposition: each loss as parts laid end to end, which reach to the error, with their intervals."""

from __future__ import annotations

from typing import Any

from thetastar.functional.drawing import FIRST, INK, PAPER, SECOND, SOFT, THIRD, lite
from thetastar.outer import wording
from thetastar.outer.decompose import Decomposition
from thetastar.outer.parts import Parts

WIDTH, ROW = 460, 30
TITLES = {"0-1": "0-1 loss, % of the test rows", "brier": "Brier score", "squared": "Squared error"}
COLOURS = {"noise": SOFT, "bias": FIRST, "variance": SECOND, "error": THIRD}


def drawing(found: Decomposition) -> str:
    """SVG, light or dark as its reader has it."""
    spec: dict[str, Any] = {"vconcat": [panel(parts) for parts in found.parts], "spacing": 26}
    said = "; ".join(
        f"{TITLES[parts.loss]}: " + ", ".join(f"{name} {value:.3g}" for name, value in parts.values.items())
        for parts in found.parts
    )
    return lite(spec, f"{found.data}, {wording.spoken(found.model)}: {said}")


def panel(parts: Parts) -> dict[str, Any]:
    """Every part begins where the one before it ended; the error is the whole length."""
    unit = 100.0 if parts.loss == "0-1" else 1.0
    values: list[dict[str, Any]] = []
    begin = 0.0
    for name in (*(["noise"] if parts.noise_known else []), "bias", "variance", "error"):
        begin = 0.0 if name == "error" else begin
        value = parts.values[name]
        low, high = parts.intervals.get(name, (value, value))
        row = {"begin": begin, "end": begin + value, "low": begin + low, "high": begin + high}
        called = name if name != "bias" or parts.noise_known else "bias and noise"
        values.append({"part": called, "colour": COLOURS[name], **{key: unit * place for key, place in row.items()}})
        begin += value
    x = {"type": "quantitative", "title": None, "axis": {"tickCount": 6}}
    return {
        "width": WIDTH,
        "height": ROW * len(values),
        "title": TITLES[parts.loss],
        "data": {"values": values},
        "encoding": {"y": {"field": "part", "type": "nominal", "sort": None, "title": None, "axis": {"grid": False}}},
        "layer": [
            {"mark": {"type": "bar", "height": 14, "stroke": PAPER},
             "encoding": {"x": {"field": "begin", **x}, "x2": {"field": "end"},
                          "color": {"field": "colour", "type": "nominal", "scale": None}}},
            {"mark": {"type": "rule", "color": INK, "strokeWidth": 1.4},
             "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}}},
            *({"mark": {"type": "tick", "color": INK, "thickness": 1.4, "size": 8},
               "encoding": {"x": {"field": end, **x}}} for end in ("low", "high")),
        ],
    }  # fmt: skip
