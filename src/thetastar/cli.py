"""The command `theta`. Each command imports what it needs when it runs, so that help and lists are instant."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from thetastar import __version__
from thetastar.terminal import decomposing, explaining, labelling, searching, tuning
from thetastar.terminal.failures import UsageError, fail, guarded, usage_line
from thetastar.terminal.kinds import KINDS
from thetastar.terminal.options import (
    Amount,
    Answers,
    Asked,
    Augmented,
    Costs,
    Epochs,
    Group,
    Json,
    JsonLines,
    Keep,
    Positive,
    Probabilities,
    RunFolder,
    Seconds,
    SplitColumn,
    Steps,
    Target,
    Task,
    Threshold,
    Time,
    Together,
    Weights,
    With,
    Words,
)

app = typer.Typer(
    name="theta",
    help="Find out which way of learning works on your data, and why, honestly.\n\nExample: theta compare digits",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(explaining.app)
app.command()(tuning.tune)
app.command()(decomposing.decompose)
app.command()(decomposing.curve)
app.command()(searching.search)


@app.callback(invoke_without_command=True)
def theta(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        print(__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
@guarded
def fit(
    words: Words = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="See theta list models.")] = None,
    method: Annotated[str | None, typer.Option(help="See theta list methods.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="See theta list algorithms.")] = None,
    target: Target = None,
    task: Task = None,
    group: Group = None,
    time: Time = None,
    split_column: SplitColumn = None,
    seed: Annotated[int | None, typer.Option(help="Of all randomness.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train so many runs, from --seed on.")] = 1,
    budget: Amount = None,
    epochs: Epochs = None,
    steps: Steps = None,
    seconds: Seconds = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/DATA-MODEL-N by default.")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the complete recipe instead of training.")] = False,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe as YAML, or the name of a shipped one.")
    ] = None,
    weights: Weights = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Train one recipe.

    \b
    Examples:
      theta fit digits
      theta fit digits --model cnn algorithm.lr=0.003 model.channels=[16,32]
      theta fit housing.csv --target median_house_value
      theta fit digits --print > mine.yaml; theta fit --recipe mine.yaml
      theta fit photos/ --model resnet18 --weights resnet18.safetensors
      theta fit --resume runs/digits-cnn-1
    """
    from thetastar.terminal import staging
    from thetastar.terminal.words import Choices, include

    include(files or [])
    letters = {"recipe": recipe, "model": model, "method": method, "algorithm": algorithm, "seed": seed}
    rows = {"target": target, "task": task, "group": group, "time": time, "split_column": split_column}
    spent = {"amount": budget, "epochs": epochs, "steps": steps, "seconds": seconds}
    choices = Choices(**letters, **rows, **spent, weights=weights)
    if resume is not None:
        if words or choices != Choices() or out or only_print or seeds > 1:
            fail("--resume takes its recipe and its place from the run; leave the other words out")
        staging.resume(resume, as_json)
        return
    staging.fit(words or [], choices, seeds=seeds, out=out, only_print=only_print, as_json=as_json)


@app.command(name="test")
@guarded
def open_test(run: RunFolder, files: With = None, as_json: Json = False) -> None:
    """Open the sealed test split of a run; the run records it.

    \b
    Example:
      theta test runs/digits-cnn-1
    """
    from thetastar.terminal import training
    from thetastar.terminal.words import include

    include(files or [])
    training.test(run, as_json)


@app.command()
@guarded
def predict(
    run: RunFolder,
    file: Asked,
    probabilities: Probabilities = False,
    threshold: Threshold = None,
    costs: Costs = None,
    positive: Positive = None,
    keep: Keep = None,
    out: Answers = None,
    files: With = None,
    as_json: JsonLines = False,
) -> None:
    """Predict every row of a file, as CSV. The file may be larger than memory.

    \b
    Examples:
      theta predict runs/iris-mlp-1 flowers.csv --probabilities
      theta predict runs/adult-tabular_mlp-1 people.parquet --costs 1,5 --keep id --out answers.csv
      theta predict runs/pets-cnn-1 photos/ --json
      cat rows.jsonl | theta predict runs/adult-tabular_mlp-1 - | head
    """
    from thetastar.terminal.predicting import Wanted
    from thetastar.terminal.predicting import predict as answer
    from thetastar.terminal.words import include, names

    include(files or [])
    wanted = Wanted(
        probabilities=probabilities,
        threshold=threshold,
        costs=costs,
        positive=positive,
        keep=names(keep, "--keep"),
        out=out,
        as_json=as_json,
    )
    answer(run, file, wanted)


@app.command()
@guarded
def look(
    words: Words = None,
    target: Target = None,
    task: Task = None,
    group: Group = None,
    time: Time = None,
    split_column: SplitColumn = None,
    out: Annotated[Path | None, typer.Option(help="The page; runs/look-DATA.html by default.")] = None,
    files: With = None,
    as_json: Json = False,
    augment: Augmented = None,
) -> None:
    """Examine data before learning: columns, classes, duplicates, drift, leakage, doubtful labels.

    \b
    Examples:
      theta look digits
      theta look housing.csv --target median_house_value
    """
    from thetastar.terminal import looking
    from thetastar.terminal.words import Choices, include

    include(files or [])
    choices = Choices(target=target, task=task, group=group, time=time, split_column=split_column)
    looking.look(words or [], choices, out, as_json, augment)


@app.command()
@guarded
def compare(
    words: Words = None,
    models: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Instead of those that suit the task.")
    ] = None,
    methods: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Every model with every method.")] = None,
    recipes: Annotated[list[str] | None, typer.Option(metavar="FILE,FILE", help="Recipes that take part too.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each learner.")] = 5,
    resplit: Annotated[bool | None, typer.Option(help="A new split for every seed; default for small data.")] = None,
    trials: Annotated[int, typer.Option(min=0, help="Tuning trials of each learner, judged on valid.")] = 0,
    together: Together = None,
    labels: labelling.Labels = None,
    target: Target = None,
    task: Task = None,
    group: Group = None,
    time: Time = None,
    split_column: SplitColumn = None,
    budget: Amount = None,
    epochs: Epochs = None,
    steps: Steps = None,
    seconds: Seconds = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the comparison; runs/compare-DATA by default.")] = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Compare ways of learning on equal terms, with a verdict.

    \b
    Examples:
      theta compare digits
      theta compare digits --models mlp,cnn --seeds 10 --budget "20 epochs"
      theta compare housing.csv --target median_house_value
    """
    from thetastar.terminal import comparing
    from thetastar.terminal.words import Choices, include, names

    include(files or [])
    rows = {"group": group, "time": time, "split_column": split_column}
    spent = {"amount": budget, "epochs": epochs, "steps": steps, "seconds": seconds}
    choices = Choices(target=target, task=task, **rows, **spent)
    terms = comparing.Terms(
        models=names(models, "--models"),
        methods=names(methods, "--methods"),
        recipes=names(recipes, "--recipes"),
        seeds=seeds,
        resplit=resplit,
        trials=trials,
        together=together,
        labels=labels,
    )
    comparing.compare(words or [], choices, terms, out, as_json)


@app.command()
@guarded
def report(
    places: Annotated[
        list[Path], typer.Argument(metavar="RUN…|COMPARISON", help="Folders of runs, or that of a comparison.")
    ],
    out: Annotated[Path | None, typer.Option(help="The page; report.html in the folder by default.")] = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Print what runs or a comparison found, and write its page.

    \b
    Examples:
      theta report runs/compare-digits
      theta report runs/digits-mlp-1 runs/digits-cnn-1 --out both.html
    """
    from thetastar.terminal import reporting
    from thetastar.terminal.words import include

    include(files or [])
    reporting.report(places, out, as_json)


@app.command()
@guarded
def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to look, with all folders below.")] = Path(
        "runs"
    ),
    where: Annotated[str | None, typer.Option(metavar="SQL", help="A condition on the columns.")] = None,
    sort: Annotated[str | None, typer.Option(metavar="SQL", help="Columns to sort by.")] = None,
    as_json: Json = False,
) -> None:
    """List runs: run, status, data, model, method, algorithm, seed, finished; and what valid, test and facts hold.

    \b
    Examples:
      theta runs
      theta runs --where "valid.accuracy > 0.9" --sort "valid.accuracy desc"
    """
    from thetastar.terminal import console
    from thetastar.terminal.runs import listed, runs_table

    found = listed(folder, where, sort)
    if as_json:
        console.print_json(found)
    else:
        console.show(runs_table(found) if found else f"no runs in {folder}" + (" with that" if where else ""))


@app.command(name="list")
@guarded
def list_(
    kind: Annotated[str | None, typer.Argument(help=", ".join(KINDS))] = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """List what there is to choose from.

    \b
    Examples:
      theta list
      theta list models
    """
    from thetastar.terminal import components, console
    from thetastar.terminal.words import include

    include(files or [])
    found = components.listing(kind)
    if as_json:
        console.print_json(components.listing_values(found))
    else:
        console.show(components.listing_table(found))


@app.command()
@guarded
def show(
    name: Annotated[str, typer.Argument(help="Any name in theta list.")], files: With = None, as_json: Json = False
) -> None:
    """Show a component: equation, arguments with defaults and ranges, shapes, source.

    \b
    Examples:
      theta show supervised
      theta show adamw --json
    """
    from thetastar import registry
    from thetastar.terminal import components, console
    from thetastar.terminal.words import include

    include(files or [])
    found = [components.described(folder, name) for folder in components.where(name)]
    if as_json:
        full = [{**one, "schema": registry.schema_of(one["folder"], name)} for one in found]
        console.print_json(full[0] if len(full) == 1 else full)
        return
    for one in found:
        console.show(components.shown(one))


@app.command()
@guarded
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with components.")], as_json: Json = False
) -> None:
    """Hold your own components to the contract that every component keeps.

    \b
    Example:
      theta check my_method.py
    """
    from thetastar.terminal import training

    if not training.check(file, as_json):
        raise typer.Exit(1)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    try:
        code = app(words, prog_name="theta", standalone_mode=False)
    except UsageError as error:
        print(f"theta: {usage_line(error)}", file=sys.stderr)
        return 2
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # nobody listens any more; what is still buffered must not raise when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
