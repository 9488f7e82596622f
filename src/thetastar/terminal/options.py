"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Words = Annotated[
    list[str] | None, typer.Argument(metavar="DATA KEY=VALUE", help="Data set, file or folder; then overrides.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on the output stream.")]
With = Annotated[
    list[Path] | None, typer.Option("--with", metavar="FILE", help="A Python file with your own components.")
]
Target = Annotated[str | None, typer.Option(help="Column to predict.")]
Task = Annotated[str | None, typer.Option(help="classification or regression, where the inferred task is wrong.")]
Group = Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows of one value stay together in one split.")]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="Train on the earliest rows, test on the latest.")]
SplitColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Its words name the split of each row.")]
Amount = Annotated[
    str | None,
    typer.Option("--budget", metavar="AMOUNT", help='Of training: "20 epochs", "1000 steps" or "60 s".'),
]
Epochs = Annotated[float | None, typer.Option(help="Budget in passes over the training split.")]
Steps = Annotated[int | None, typer.Option(help="Budget in updates.")]
Seconds = Annotated[float | None, typer.Option(help="Budget in seconds of training.")]
