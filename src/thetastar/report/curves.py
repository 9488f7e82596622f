"""Learning curves as inline SVG: no scripts, colours from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Curve = Sequence[Sequence[float]]  # [[step, value], …]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 260, 74, 28, 12


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten."""
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    span = high - low
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.floor(low / step)
    return [round((first + i) * step, 12) for i in range(math.ceil(high / step - first - 1e-9) + 1)]


def svg(curves: Mapping[str, Sequence[Curve]], measure: str, percent: bool) -> str:
    """One thin line a seed, coloured by learner; the legend is HTML beside it. "" where there is nothing to draw."""
    points = [point for seeds in curves.values() for curve in seeds for point in curve]
    if not points:
        return ""
    across = ticks(0.0, max(point[0] for point in points))
    up = ticks(min(point[1] for point in points), max(point[1] for point in points))

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - 24) * step / (across[-1] or 1.0)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - up[0]) / ((up[-1] - up[0]) or 1.0)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{measure} on valid while training">']
    for value in up:
        text = f"{100 * value:g}%" if percent else f"{value:,g}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 24}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>')
    for step in across:
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{step:,.0f}</text>')
    for number, seeds in enumerate(curves.values()):
        for curve in seeds:
            path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in curve)
            parts.append(f'<polyline class="c{number % 8}" points="{path}"/>')
            if len(curve) == 1:
                parts.append(
                    f'<circle class="c{number % 8}" cx="{x(curve[0][0]):.1f}" cy="{y(curve[0][1]):.1f}" r="3"/>'
                )
    return "".join([*parts, "</svg>"])
