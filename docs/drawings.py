"""Drawings of `theta explain` for the pages: `python docs/drawings.py` writes them to `docs/_static/drawings/`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from thetastar import registry
from thetastar.cli import main
from thetastar.functional import drawing
from thetastar.outer.folder import load_verdict
from thetastar.protocols import Clock
from thetastar.report import losses

PLACE = Path(__file__).parent / "_static" / "drawings"
TRAINED = ("fit", "digits", "--model", "mlp", "--epochs", "5", "model.widths=[16]")
TESTED = ("fit", "digits", "--model", "mlp", "--epochs", "2", "algorithm.lr=auto")
DRAWN = {
    "backprop": ("explain", "topic", "backprop"),
    "optimiser-step": ("explain", "topic", "optimiser-step"),
    "activations": ("explain", "topic", "activations"),
    "convolution": ("explain", "topic", "convolution"),
    "attention": ("explain", "topic", "attention"),
    "landscape": ("explain", "run", "RUN", "landscape"),
}
TEN = ("compare", "mnist1d", "data.rows=1000", "--models", "mlp", "--recipes", "optimisers")  # reduced: 680 to train on
TERMS = ("--trials", "3", "--seeds", "1", "--epochs", "12")
SCHEDULES = {
    "constant, warm-up": {"name": "constant", "warmup": 0.1},
    "step": {"name": "step"},
    "exponential": {"name": "exponential"},
    "linear": {"name": "linear"},
    "cosine": {"name": "cosine"},
    "cosine, restarts": {"name": "cosine", "cycles": 3, "stretch": 2},
    "onecycle": {"name": "onecycle"},
    "plateau": {"name": "plateau", "patience": 30, "gamma": 0.5},
}
STEPS = 200
COLOURS = {
    "accent": drawing.FIRST,
    "ink": drawing.INK,
    "soft": drawing.SOFT,
    "line": drawing.LINE,
    "paper": drawing.PAPER,
}


def draw() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder, "run"))
        assert main([*TRAINED, "--out", run]) == 0
        for name, words in DRAWN.items():
            words = [run if word == "RUN" else word for word in words]
            assert main([*words, "--out", str(PLACE / f"{name}.svg")]) == 0
        assert main([*TESTED, "--out", str(Path(folder, "tested"))]) == 0
        shutil.copy(Path(folder, "tested", "learning_rate.svg"), PLACE / "learning-rate.svg")
        assert main([*TEN, *TERMS, "--out", str(Path(folder, "ten"))]) == 0
        optimisers(Path(folder, "ten"))
    schedules()


def optimisers(folder: Path) -> None:
    """Loss against steps and against seconds, as on the page of the comparison."""
    verdict = load_verdict(folder)
    lines = losses.lines({row.name: row.losses for row in verdict.ranked if any(row.losses)})
    for by, words in losses.ACROSS.items():
        spec = json.dumps(losses.chart(lines, by, 680))
        for name, shade in COLOURS.items():  # a page has these by name
            spec = spec.replace(f"var(--{name})", shade)
        drawn = drawing.lite(json.loads(spec), f"Training loss of ten optimisers against {words}")
        (PLACE / f"optimisers-{by}.svg").write_text(drawn)


def schedules() -> None:
    """The share of the rate over a run of each schedule; plateau hears a loss that stands still from a third on."""
    heard = [max(1 - step / STEPS, 2 / 3) for step in range(STEPS)]
    rows = []
    for title, spec in SCHEDULES.items():
        schedule = registry.build("algorithms/schedules", spec)
        for step in range(STEPS):
            share = schedule.factor(Clock(0, step, STEPS), heard[: step + 1])
            rows.append({"schedule": title, "step": step, "share": share})
    axes = {
        "x": {"field": "step", "type": "quantitative", "title": None, "axis": {"grid": False, "tickCount": 4}},
        "y": {"field": "share", "type": "quantitative", "title": None, "axis": {"values": [0, 0.5, 1]}},
    }
    panel = {"width": 150, "height": 90, "mark": {"type": "line", "color": drawing.FIRST, "strokeWidth": 2}}
    facet = {"field": "schedule", "title": None, "sort": list(SCHEDULES)}
    spec = {"data": {"values": rows}, "facet": facet, "columns": 4, "spec": {**panel, "encoding": axes}}
    drawn = drawing.lite(spec, f"Share of the learning rate over {STEPS} steps by each schedule")
    (PLACE / "schedules.svg").write_text(drawn)


if __name__ == "__main__":
    draw()
