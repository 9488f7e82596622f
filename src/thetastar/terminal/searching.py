"""`theta search`: the examples that are nearest to one by the features of a run, and how often they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thetastar.errors import UserError
from thetastar.terminal.console import aside, print_json, show, table
from thetastar.terminal.failures import guarded
from thetastar.terminal.options import Json, RunFolder, With

if TYPE_CHECKING:
    from thetastar.outer.gallery import Gallery
    from thetastar.outer.retrieval import Recall
    from thetastar.protocols import Stream
    from thetastar.star import Star

Hits = list[list[tuple[int, float]]]  # of each query: places in what is searched, and cosines
SHOWN = 12  # queries in the tables and the drawing
KS = (1, 5, 10)
MOST = 10_000  # examples among which recall is counted

Query = Annotated[
    str | None,
    typer.Argument(metavar="QUERY", help="The number of a row of the data, an image, a folder of images, a table."),
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="DATA", help="Search these instead of the run's train and valid.")
]
K = Annotated[int, typer.Option("-k", "--nearest", help="How many to show of each query.")]
Counted = Annotated[
    bool, typer.Option("--recall", help="Instead: how often one of the 1, 5, 10 nearest is of the same class.")
]
Figure = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw the images found: .png, .svg or .html.")
]


@guarded
def search(
    run: RunFolder,
    query: Query = None,
    data: Data = None,
    k: K = 10,
    recall: Counted = False,
    figure: Figure = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Find the examples nearest to one, by the cosine of a run's features; the test split stays sealed.

    \b
    Examples:
      theta search runs/digits-cnn-1 17 -k 5 --figure nearest.png
      theta search runs/photos-vit_tiny-1 holiday.jpg --data photos/
      theta search runs/digits-cnn-1 --recall
    """
    from thetastar.explain.showing import check_place
    from thetastar.hardware import choose_device
    from thetastar.star import load
    from thetastar.terminal.training import single
    from thetastar.terminal.words import include

    include(files or [])
    check(run, query, k, recall, figure)
    check_place(figure, "--figure")
    star = load(single(run))
    star.program.to(choose_device(star.recipe.engine["device"]))
    if recall:
        count(star, data, as_json)
        return
    assert query is not None
    if figure is not None and getattr(star.schema.input, "kind", "") != "image":
        raise UserError("--figure of a run that was not trained on images", "a run on images", "leave --figure out")
    find(star, query, data, k, figure, as_json)


def check(run: Path, query: str | None, k: int, recall: bool, figure: Path | None) -> None:
    """Refuse what cannot be meant before anything is computed."""
    if recall and query is not None:
        raise UserError(f"--recall with the query {query}", "one of them", "leave one out")
    if recall and figure is not None:
        raise UserError("--figure with --recall", "it with a query", "leave --figure out")
    if not recall and query is None:
        do = f"write for example theta search {run} 0, or theta search {run} --recall"
        raise UserError("theta search without QUERY", "a row, an image or a folder", do)
    if k < 1:
        raise UserError(f"-k {k}", "at least 1", "write for example -k 10")


# --- what is searched ---------------------------------------------------------------------------------------------


def opened(star: Star, data: str | None) -> tuple[Stream | None, str]:
    """The data as a stream, and what they are called; None where they are examples without labels in files."""
    from thetastar.defaults import open_stream

    if data is None:
        source = getattr(star.stream, "source", None)
        return star.stream, f"train and valid of {getattr(source, 'name', 'the data')}"
    path = Path(data).expanduser()
    if path.exists() and (star.source_name == "table" or path.is_file() or plain(path)):
        return None, data
    stream = open_stream(data)
    stream.to(star.device)
    return stream, data


def plain(path: Path) -> bool:
    """Whether a folder holds images side by side, and no folders of classes."""
    from thetastar.data.folder import endings

    inside = [inner for inner in path.iterdir() if not inner.name.startswith(".")] if path.is_dir() else []
    return any(inner.suffix.lower() in endings() for inner in inside) and not any(inner.is_dir() for inner in inside)


def gallery_of(star: Star, stream: Stream | None, title: str) -> Gallery:
    """All that may be searched, embedded under a bar."""
    from thetastar.outer import gallery
    from thetastar.outer.embedding import numbers_of
    from thetastar.terminal.progress import Bar

    if stream is None:
        return of_file(star, title)
    with Bar(aside(), "features") as bar:
        return gallery.of_stream(star, stream, title, numbers_of(stream, gallery.splits_of(star, stream)), bar)


def of_file(star: Star, file: str) -> Gallery:
    """The examples of a file, of a folder of images or of the input stream."""
    from thetastar.outer.gallery import of_parts
    from thetastar.terminal.asking import rows_of

    rows = rows_of(file, star, ())

    def parts() -> Iterator[tuple[Any, Sequence[str]]]:
        number = 0
        for part in rows.parts():
            named = part.beside.iloc[:, 0].astype(str).tolist() if part.beside.shape[1] else []
            yield part.raw, named or [f"row {number + place + 1}" for place in range(len(part.raw))]
            number += len(part.raw)

    found = of_parts(star, file, parts())
    for line in [*rows.said, *rows.afterwards()]:
        aside().print(line, markup=False, style="dim")
    return found


# --- the nearest --------------------------------------------------------------------------------------------------


def find(star: Star, query: str, data: str | None, k: int, figure: Path | None, as_json: bool) -> None:
    """Embed queries and gallery, compare them, and tell what is nearest."""
    import torch

    from thetastar.outer.gallery import of_stream, row_in
    from thetastar.outer.retrieval import nearest
    from thetastar.watch import Watch

    stream, title = opened(star, data)
    numbered = query.isdecimal() and not Path(query).exists()
    if numbered and stream is None:
        raise UserError(f"row {query} of {title}", "rows by number of a data set", "name a file instead")
    if numbered:
        assert stream is not None
        asked = of_stream(star, stream, title, row_in(star, stream, title, int(query)), Watch())
    else:
        asked = of_file(star, query)
    searched = gallery_of(star, stream, title)
    own = torch.tensor([place_of(name, query, searched, numbered) for name in asked.names])
    room = len(searched) - int((own >= 0).any())
    if k > room:
        raise UserError(f"-k {k} of {room:,} examples in {title}", f"1 to {room:,}", "lower -k")
    places, cosines = nearest(asked.features, searched.features, k, own)
    hits = [list(zip(*line, strict=True)) for line in zip(places.tolist(), cosines.tolist(), strict=True)]
    if figure is not None:
        draw(asked, searched, hits, figure)
    tell(asked, searched, hits, figure, as_json)


def place_of(name: str, query: str, searched: Gallery, numbered: bool) -> int:
    """Where the query itself is among what is searched, −1 where it is not."""
    if numbered:
        return list(searched.names).index(name)
    if searched.noun != "file":
        return -1
    whole = {str((Path(searched.title) / one).resolve()): place for place, one in enumerate(searched.names)}
    inside = Path(query) / name if Path(query).is_dir() else Path(query)
    return whole.get(str(inside.resolve()), -1)


def tell(asked: Gallery, searched: Gallery, hits: Hits, figure: Path | None, as_json: bool) -> None:
    """A table a query; the first of many."""
    if as_json:
        print_json({"data": searched.title, "searched": len(searched), "queries": spelt(asked, searched, hits)})
        return
    labelled = any(searched.labels)
    for name, label, line in list(zip(asked.names, asked.labels, hits, strict=True))[:SHOWN]:
        what = (f"row {name}" if asked.noun == "row" else name) + (f" ({label})" if label else "")
        show(f"nearest to {what} among {len(searched):,} of {searched.title}")
        made = table(searched.noun, *(["label"] if labelled else []), "cosine")
        for place, cosine in line:
            made.add_row(searched.names[place], *([searched.labels[place]] if labelled else []), f"{cosine:.4f}")
        show(made)
        show("")
    if len(hits) > SHOWN:
        aside().print(f"{len(hits) - SHOWN:,} more queries: --json prints all", style="dim")
    if figure is not None:
        aside().print(f"drawing: {figure}", markup=False)


def spelt(asked: Gallery, searched: Gallery, hits: Hits) -> list[dict[str, Any]]:
    """For machines: rows as numbers, no label as null."""

    def called(gallery: Gallery, place: int) -> dict[str, Any]:
        name = gallery.names[place]
        return {gallery.noun: int(name) if gallery.noun == "row" else name, "label": gallery.labels[place] or None}

    return [
        {**called(asked, n), "nearest": [{**called(searched, place), "cosine": cosine} for place, cosine in line]}
        for n, line in enumerate(hits)
    ]


def draw(asked: Gallery, searched: Gallery, hits: Hits, figure: Path) -> None:
    """Of the first queries the images, and those found."""
    from thetastar.explain.showing import Shown, write_figure
    from thetastar.explain.strip import Tile, strip

    def called(gallery: Gallery, place: int) -> str:
        name = gallery.names[place]
        return f"row {name}" if gallery.noun == "row" else Path(name).name

    shown: list[list[Tile]] = []
    for n, line in enumerate(hits[:SHOWN]):
        label = asked.labels[n]
        tiles = [Tile(asked.input_of(n), (label or called(asked, n), called(asked, n) if label else ""))]
        for place, cosine in line:
            words = (searched.labels[place] or called(searched, place), f"{cosine:.3f}")
            tiles.append(Tile(searched.input_of(place), words, bool(label) and searched.labels[place] == label))
        shown.append(tiles)
    title = f"Nearest among {len(searched):,} of {searched.title}"
    note = "left: asked with; then by falling cosine" + ("; framed: of the same class" if any(asked.labels) else "")
    write_figure(Shown([], {}, strip(shown, title, note), title), figure)


# --- recall -------------------------------------------------------------------------------------------------------


def count(star: Star, data: str | None, as_json: bool) -> None:
    """recall@k among the examples of valid, or of other data, against raw inputs and chance."""
    import torch

    from thetastar.functional.keys import generator
    from thetastar.outer import gallery
    from thetastar.outer.embedding import numbers_of
    from thetastar.outer.retrieval import recalls
    from thetastar.protocols import Split
    from thetastar.terminal.progress import Bar

    stream, title = opened(star, data)
    target = stream.schema.target if stream is not None else None
    if stream is None or target is None or target.kind != "category":
        got = f"--recall on {title}, whose examples have no classes"
        raise UserError(got, "data with classes", "name others with --data")
    own = gallery.splits_of(star, stream) == ("train", "valid")
    splits: tuple[Split, ...] = ("valid",) if own else ("train", "valid", "test")
    rows = numbers_of(stream, splits)
    where = f"valid of {title.removeprefix('train and valid of ')}" if own else title
    if len(rows) <= max(KS):
        do = "raise data.valid, or name others with --data"
        raise UserError(f"--recall among {len(rows)} examples of {where}", f"more than {max(KS)}", do)
    if len(rows) > MOST:
        drawn = torch.randperm(len(rows), generator=generator(0, "recall"))[:MOST]
        aside().print(f"{MOST:,} of {len(rows):,} examples of {where}, drawn with seed 0", markup=False, style="dim")
        rows = rows[drawn].sort().values
    with Bar(aside(), "features") as bar:
        found = gallery.of_stream(star, stream, where, rows, bar)
    assert found.classes is not None
    inputs = torch.stack([torch.as_tensor(found.input_of(place)).flatten() for place in range(len(found))])
    told, asking = recalls(found.features, inputs, found.classes, KS)
    if as_json:
        print_json({"data": where, "examples": len(found), "queries": asking, "recall": [vars(one) for one in told]})
        return
    show(f"{asking:,} queries among {len(found):,} examples of {where}: is one of the k nearest of the same class?")
    show(recall_table(told))
    if asking < len(found):
        show(f"{len(found) - asking:,} examples are alone of their class and do not ask")
    first = told[0]
    verb = "above" if first.of_gain[0] > 0 else "below" if first.of_gain[1] < 0 else "not told apart from"
    show(f"at k = 1 the features are {verb} raw inputs; intervals of 95% over queries, for this run alone")


def recall_table(told: Sequence[Recall]) -> Any:
    made = table("k", "features", "raw inputs", "features − raw", "chance")
    for one in told:
        low, high = one.of_gain
        made.add_row(
            str(one.k),
            f"{one.features:.1%} [{one.interval[0]:.1%}, {one.interval[1]:.1%}]",
            f"{one.inputs:.1%} [{one.of_inputs[0]:.1%}, {one.of_inputs[1]:.1%}]",
            f"{100 * one.gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points",
            f"{one.chance:.1%}",
        )
    return made
