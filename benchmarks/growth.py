"""How seconds grow with samples, parameters and members of a population: exponents fitted on logarithms.

    python -m benchmarks.growth [--repeats 5] [--out FILE] [--figure FILE.svg]

seconds ∝ size^p: p is the slope of a straight line through the larger half of the sizes, as fixed costs of a step weigh
on the smaller ones; each turn gives a slope, and their median and quartiles are told. 1 is in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.members import TINY, Size, together
from benchmarks.tasks import TASKS, first_layer, opened, ours, prepared
from benchmarks.throughput import waiting, watched
from benchmarks.turns import in_turns, spread, timed
from thetastar.functional import drawing
from thetastar.hardware import choose_device, provenance

SAMPLES = [2**power for power in range(11, 18)]
WIDTHS = [64, 128, 256, 512, 1024, 2048]
MEMBERS = [1, 2, 4, 8, 16, 32, 64, 128]
BATCH, STEPS = 128, 20
AXES = {
    "samples": "training rows (a pass)",
    "parameters": f"parameters ({STEPS} steps)",
    "members": f"members ({STEPS} steps)",
}
DECADES = [10.0**power for power in range(-6, 10)]  # lines of the figure
Acts = dict[int, Callable[[], float]]


def of_samples(sizes: Sequence[int], device: str) -> Acts:
    """A pass over so many images by the MLP."""
    acts: Acts = {}
    wait = waiting(device)
    for rows in sizes:
        training = prepared(replace(TASKS["mnist_mlp"], rows=rows), BATCH, "auto", device)
        acts[rows] = timed(lambda loop=ours(training), steps=training.windows: (loop(steps), wait()))
    return acts


def of_parameters(widths: Sequence[int], device: str) -> Acts:
    """Steps of MLPs whose two hidden layers have so many units."""
    acts: Acts = {}
    for width in widths:
        task = replace(TASKS["mnist_mlp"], model={"name": "mlp", "widths": [width, width]})
        training = prepared(task, BATCH, "auto", device)
        count = sum(p.numel() for p in training.program.f.parameters())
        acts[count] = watched(first_layer(training.program.f), ours(training), STEPS, device)
    return acts


def of_members(counts: Sequence[int], device: str) -> Acts:
    """Steps of so many tiny nets trained as one."""
    acts: Acts = {}
    wait = waiting(device)
    for members in counts:
        acts[members] = timed(lambda loop=ours(together(Size(TINY, members, 64, STEPS), device)): (loop(STEPS), wait()))
    return acts


MADE = {"samples": (of_samples, SAMPLES), "parameters": (of_parameters, WIDTHS), "members": (of_members, MEMBERS)}


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Of a least-squares line through the logarithms."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(s) for s in seconds]).slope


def exponents(taken: Mapping[int, Sequence[float]]) -> dict[str, Any]:
    """Over the larger half of the sizes, one a turn; `all` is the median over all sizes."""
    sizes = sorted(taken)
    upper = sizes[len(sizes) // 2 :] if len(sizes) > 3 else sizes
    turns = range(len(taken[sizes[0]]))
    found = [slope(upper, [taken[size][turn] for size in upper]) for turn in turns]
    everything = [slope(sizes, [taken[size][turn] for size in sizes]) for turn in turns]
    return {
        "exponent": statistics.median(found),
        "quartiles": spread(found),
        "from": upper[0],
        "all": statistics.median(everything),
    }


def figure(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Seconds against size on logarithmic axes, a panel for each."""
    panels: list[dict[str, Any]] = []
    for name, entry in found.items():
        rows = [{"x": int(size), "y": statistics.median(each)} for size, each in entry["taken"].items()]
        axes = {
            "x": {"field": "x", "type": "quantitative", "scale": {"type": "log"}, "title": AXES[name]},
            "y": {"field": "y", "type": "quantitative", "scale": {"type": "log"}, "title": "seconds"},
        }
        axes["x"]["axis"] = axes["y"]["axis"] = {"values": DECADES, "format": "~s"}
        mark = {"type": "line", "point": {"color": drawing.FIRST}, "color": drawing.FIRST, "strokeWidth": 2}
        title = f"{name}: exponent {entry['exponent']:.2f}"
        data = {"values": rows}
        panels.append({"title": title, "data": data, "mark": mark, "encoding": axes, "width": 190, "height": 150})
    return drawing.lite({"hconcat": panels}, "Seconds against samples, parameters and members of a population")


def told(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    line = "seconds ∝ {}^{:.2f} ({:.2f}–{:.2f}) from {:,} on, {:.2f} over all sizes"
    return [line.format(name, e["exponent"], *e["quartiles"], e["from"], e["all"]) for name, e in found.items()]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", nargs="+", choices=list(MADE), default=list(MADE))
    parser.add_argument("--largest", type=int, help="only the so many smallest sizes, for a rehearsal")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args(words)
    device = str(choose_device(options.device))
    found: dict[str, dict[str, Any]] = {}
    for name in options.of:
        make, sizes = MADE[name]
        acts = make(sizes[: options.largest], device)
        for act in acts.values():
            act()
        taken = in_turns({str(size): act for size, act in acts.items()}, options.repeats)
        found[name] = {**exponents({int(size): each for size, each in taken.items()}), "taken": taken}
        print(*told({name: found[name]}), flush=True)
        opened.cache_clear()
    if options.figure:
        options.figure.write_text(figure(found), encoding="utf-8")
    if options.out:
        text = json.dumps({"growth": found, "device": device, "provenance": provenance()}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
