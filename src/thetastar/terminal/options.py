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
Model = Annotated[str | None, typer.Option("--model", "-m", help="See theta list models.")]
Method = Annotated[str | None, typer.Option(help="See theta list methods.")]
Algorithm = Annotated[str | None, typer.Option(help="See theta list algorithms.")]
File = Annotated[Path | None, typer.Option(metavar="FILE", help="A recipe as YAML, or the name of a shipped one.")]
Seed = Annotated[int | None, typer.Option(help="Of all randomness; of several trainings, that of the first.")]
Out = Annotated[Path | None, typer.Option(help="Folder of what is written; below runs/ by default.")]
Target = Annotated[str | None, typer.Option(help="Column to predict.")]
Task = Annotated[str | None, typer.Option(help="classification or regression, where the inferred task is wrong.")]
Group = Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows of one value stay together in one split.")]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="Train on the earliest rows, test on the latest.")]
SplitColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Its words name the split of each row.")]
Augmented = Annotated[
    str | None,
    typer.Option("--augment", metavar="A,B", help="Also a sheet of images before and after; data.augment=[A,B]."),
]
Amount = Annotated[
    str | None,
    typer.Option("--budget", metavar="AMOUNT", help='Of training: "20 epochs", "1000 steps" or "60 s".'),
]
Epochs = Annotated[float | None, typer.Option(help="Budget in passes over the training split.")]
Steps = Annotated[int | None, typer.Option(help="Budget in updates.")]
Seconds = Annotated[float | None, typer.Option(help="Budget in seconds of training.")]

Together = Annotated[
    bool | None,
    typer.Option(
        "--together/--no-together",
        help="Seeds of a learner that share a split as one training, also where it is slower, or never; default where "
        "it is faster.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Begin with the weights of a .safetensors file, or of a run's folder."),
]

# of `theta predict`
Asked = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="CSV, TSV, JSON lines, Parquet, Arrow, an image, a folder of images; - reads CSV, JSON lines or an image.",
    ),
]
Probabilities = Annotated[bool, typer.Option("--probabilities", "--proba", help="Also the probability of each class.")]
Threshold = Annotated[
    float | None,
    typer.Option(metavar="P", help="Of two classes: say the positive one from this probability on."),
]
Costs = Annotated[
    str | None,
    typer.Option(
        metavar="FP,FN",
        help="Of two classes: what a false positive and a false negative cost; they choose the threshold, on valid.",
    ),
]
Positive = Annotated[str | None, typer.Option(metavar="CLASS", help="The positive class; the second by default.")]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN,…", help="Columns of the file to write beside the answers; '*' is all."),
]
Answers = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write there: .csv, .tsv, .jsonl or .parquet.")
]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON lines instead of CSV: one object a row.")]
