"""How fast the training loss falls: against steps, and against seconds of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thetastar.outer import wording
from thetastar.report.charts import Spec, apart, fitted, responsive, told_apart
from thetastar.report.page import Section, section

Losses = Sequence[Sequence[float]]  # [[step, seconds, mean training loss of an epoch], …]
HEIGHT = 340
ACROSS = {"step": "training step", "seconds": "seconds of training"}


def losses(found: Mapping[str, Sequence[Losses]]) -> Section:
    """Two charts of the same losses; the learner that ends lowest is in colour."""
    drawn = lines(found)
    ends = ", ".join(f"{name} ends at {rows[-1]['loss']:.3g}" for name, rows in drawn.items())
    panels = [
        {"name": title, "drawing": responsive(lambda width, by=by: chart(drawn, by, width), f"{title}: {ends}")}
        for by, title in (("step", "Training loss against steps"), ("seconds", "Training loss against seconds"))
    ]
    aim = float(np.median([rows[-1]["loss"] for rows in drawn.values()]))
    return section(
        "losses",
        "Training loss",
        panels=panels,
        seeds=max(len(seeds) for seeds in found.values()),
        aim=wording.figure(aim, 3),
        reached=[(name, reaching(rows, aim)) for name, rows in drawn.items()],
    )


def lines(found: Mapping[str, Sequence[Losses]]) -> dict[str, list[dict[str, float]]]:
    """Mean losses by the learner's name as it is said, the one that ends lowest first."""
    means = {wording.spoken(name): mean(seeds) for name, seeds in found.items()}
    return dict(sorted(means.items(), key=lambda item: item[1][-1]["loss"]))


def reaching(rows: Sequence[Mapping[str, float]], aim: float) -> tuple[str, str]:
    """Steps and seconds after which the loss of an epoch is no higher than `aim`."""
    first = next((row for row in rows if row["loss"] <= aim), None)
    return ("–", "–") if first is None else (f"{first['step']:,.0f}", f"{wording.figure(first['seconds'], 2)} s")


def mean(seeds: Sequence[Losses]) -> list[dict[str, float]]:
    """Geometric mean of the losses and mean of the seconds at each epoch that every seed reached."""
    epochs = min(len(seed) for seed in seeds if seed)
    values = np.array([seed[:epochs] for seed in seeds if seed], dtype=float)  # (seeds, epochs, 3)
    values = np.where(np.isfinite(values), values, np.nan)
    together = np.exp(np.log(values[..., 2].clip(min=1e-12)).mean(0))
    rows = zip(values[0, :, 0], values[..., 1].mean(0), together, strict=True)
    return [{"step": step, "seconds": seconds, "loss": loss} for step, seconds, loss in rows if math.isfinite(loss)]


def marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within a little more than the range; over many decades the powers alone."""
    steps = (1, 2, 5) if high / low < 50 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in steps if 0.95 * low <= step * 10.0**power <= 1.05 * high]


def chart(lines: Mapping[str, Sequence[Mapping[str, float]]], by: str, width: int) -> Spec:
    names = list(lines)
    values: list[dict[str, Any]] = [
        {"name": name, "first": name == names[0], **row} for name, rows in lines.items() for row in rows
    ]
    low, high = (limit(row["loss"] for row in values) for limit in (min, max))
    last = max(row[by] for row in values)
    room = math.log(high / low) or 1.0
    heights = [math.log(rows[-1]["loss"] / low) / room * (HEIGHT - 60) for rows in lines.values()]
    labels = [
        {"name": name, "first": name == names[0], by: last, "loss": low * math.exp(place / (HEIGHT - 60) * room)}
        for name, place in zip(names, apart(heights, 15), strict=True)
    ]
    colour, dash = told_apart(names)
    early = min(max(row[by], 1e-3) for row in values)
    scale = {"domain": [0, last]} if by == "step" else {"type": "log", "domain": [early, last]}
    x = {"field": by, "type": "quantitative", "title": ACROSS[by], "scale": {**scale, "nice": False},
         "axis": {"grid": False, "tickCount": 5, "format": ",~r"}}  # fmt: skip
    y = {"field": "loss", "type": "quantitative", "title": "training loss",
         "scale": {"type": "log", "domain": [low * 0.95, high * 1.05], "nice": False},
         "axis": {"values": marks(low, high), "format": "~g"}}  # fmt: skip
    return {
        **fitted(width, HEIGHT, right=14 + round(6.7 * max(map(len, names)))),
        "data": {"values": values},
        "encoding": {"x": x, "y": y, "color": colour, "detail": {"field": "name", "type": "nominal"}},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2, "strokeJoin": "round"}, "encoding": {"strokeDash": dash}},
            {"data": {"values": labels}, "mark": {"type": "text", "align": "left", "dx": 7, "baseline": "middle"},
             "encoding": {"text": {"field": "name"}}},
        ],
    }  # fmt: skip
