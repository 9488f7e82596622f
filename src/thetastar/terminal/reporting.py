"""`theta report`: the page of a comparison, or of runs, made from their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from thetastar.errors import UserError
from thetastar.snapshot import write_atomic
from thetastar.terminal.comparing import tell
from thetastar.terminal.console import print_json, show


def report(places: Sequence[Path], out: Path | None, as_json: bool) -> None:
    """Write the page and say what is on it."""
    compared = [place for place in places for file in ("compare.json", "labels.json") if (place / file).is_file()]
    if not compared:
        of_runs(places, out, as_json)
        return
    if len(places) > 1:
        raise UserError(
            f"{compared[0]} is a comparison, and there are {len(places)} folders", "one comparison, or runs", "name one"
        )
    if (places[0] / "labels.json").is_file():
        of_labels(places[0], out, as_json)
        return
    from thetastar.outer.folder import load_verdict

    verdict = load_verdict(places[0])
    page = out or places[0] / "report.html"
    write(page, verdict.to_html)
    tell(verdict, page, as_json)


def of_labels(place: Path, out: Path | None, as_json: bool) -> None:
    from thetastar.outer.labelled import load
    from thetastar.report import few_labels
    from thetastar.terminal import labelling

    found, page = load(place), out or place / "report.html"
    write(page, lambda path: few_labels.write(found, path))
    labelling.tell(found, page, as_json)


def of_runs(places: Sequence[Path], out: Path | None, as_json: bool) -> None:
    from thetastar import star
    from thetastar.report import runs
    from thetastar.terminal import training

    stars = [star.load(run.path) for run in runs.opened(places)]
    page = out or default_page(places)
    write(page, lambda path: write_atomic(path, runs.render(places).encode()))
    if as_json:
        print_json({"runs": [training.about(each) for each in stars], "report": str(page)})
        return
    for each in stars:
        training.report([each], each.run.path if each.run else page, as_json=False)
        show("")
    show(f"report: {page}")


def default_page(places: Sequence[Path]) -> Path:
    """In the folder of a run; of several, beside the first."""
    if len(places) == 1:
        return places[0] / "report.html"
    stem = "-and-".join(re.sub(r"[^\w.-]+", "_", place.resolve().name) for place in places)
    return places[0].parent / f"report-{stem[:60]}.html"


def write(page: Path, make: Callable[[Path], object]) -> None:
    """Write the page, or say why there can be none."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        make(page)
    except OSError as error:
        reason = f"cannot write {page}: {error.strerror}"
        raise UserError(reason, "a file one can write", "choose another --out") from None
