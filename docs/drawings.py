"""Drawings of `theta explain` for the pages: `python docs/drawings.py` writes them to `docs/_static/drawings/`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from thetastar.cli import main

PLACE = Path(__file__).parent / "_static" / "drawings"
TRAINED = ("fit", "digits", "--model", "mlp", "--epochs", "5", "model.widths=[16]")
DRAWN = {
    "backprop": ("explain", "topic", "backprop"),
    "optimiser-step": ("explain", "topic", "optimiser-step"),
    "activations": ("explain", "topic", "activations"),
    "convolution": ("explain", "topic", "convolution"),
    "attention": ("explain", "topic", "attention"),
    "landscape": ("explain", "run", "RUN", "landscape"),
}


def draw() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder, "run"))
        assert main([*TRAINED, "--out", run]) == 0
        for name, words in DRAWN.items():
            words = [run if word == "RUN" else word for word in words]
            assert main([*words, "--out", str(PLACE / f"{name}.svg")]) == 0


if __name__ == "__main__":
    draw()
