"""`theta explain`: models, topics and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thetastar.terminal.failures import guarded
from thetastar.terminal.options import Json, RunFolder, Target, With

if TYPE_CHECKING:
    from thetastar.explain.showing import Shown

LARGEST = 2**30  # examples of a batch

app = typer.Typer(
    name="explain",
    help="See inside models, runs and the ideas of the field.\n\nExample: theta explain topic einsum 'ij,jk->ik'",
    rich_markup_mode=None,
    no_args_is_help=True,
)

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the drawing: .svg, .png or .html.")]


def tell(shown: Shown, out: Path | None, as_json: bool) -> None:
    """Print an explanation and write its drawing where one is asked for."""
    from thetastar.explain.showing import write_figure
    from thetastar.terminal import console

    if out is not None:
        write_figure(shown, out)
    if as_json:
        console.print_json(shown.data)
        return
    for part in shown.parts:
        console.show(part)
    if out is not None:
        console.aside().print(f"drawing: {out}", markup=False)
    elif shown.figure:
        console.aside().print("a drawing of it: add --out FILE.svg, .png or .html", markup=False)


@app.command()
@guarded
def model(
    subject: Annotated[
        str, typer.Argument(metavar="NAME|FILE|RUN", help="See theta list models; a file with nn.Sequential(…); a run.")
    ],
    words: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Arguments of the model.")] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="DATA", help="What the model is built for.")] = None,
    target: Target = None,
    shape: Annotated[str | None, typer.Option(metavar="C,H,W", help="Instead of data, of one example.")] = None,
    formulas: Annotated[
        bool | None,
        typer.Option("--formulas/--no-formulas", help="The arithmetic of each layer; default for a short file."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=2, max=LARGEST, help="Examples of a training batch.")] = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """Show a model's layers: shapes, parameters, multiply-adds, memory, receptive field, and what may be a mistake.

    \b
    A file is read, never run: layers of torch.nn in an nn.Sequential(…), nothing else.

    \b
    Examples:
      theta explain model cnn --data digits
      theta explain model mlp --shape 1,28,28 widths=[512,256] --formulas
      theta explain model snippet.py --shape 3,224,224
      theta explain model runs/digits-cnn-1
    """
    from thetastar.explain.model import subjects
    from thetastar.terminal.anatomies import shown
    from thetastar.terminal.words import include

    include(files or [])
    sizes = subjects.shape_from(shape) if shape is not None else ()
    found = subjects.examined(subjects.Asked(subject, words or [], data, target, sizes, batch))
    tell(shown(found, formulas), None, as_json)


@app.command()
@guarded
def topic(
    name: Annotated[str | None, typer.Argument(metavar="TOPIC", help="Without one: what there is.")] = None,
    words: Annotated[list[str] | None, typer.Argument(metavar="…", help="What the topic asks for.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show an idea of the field at work on small numbers.

    \b
    Examples:
      theta explain topic
      theta explain topic einsum 'bik,bkj->bij'
      theta explain topic einsum 'bik,bkj->bij' 2,3,4 2,4,5
      theta explain topic backprop activation=relu --out graph.svg
      theta explain topic optimiser-step runs/digits-mlp-1
    """
    from thetastar.explain import showing
    from thetastar.terminal import console

    showing.check_place(out)
    if name is not None:
        tell(showing.explain(name, words or []), out, as_json)
        return
    known = showing.topics()
    if as_json:
        console.print_json(known)
        return
    made = console.table("topic", "shows")
    for topic, about in known.items():
        made.add_row(topic, about)
    console.show(made)


@app.command()
@guarded
def run(
    folder: RunFolder,
    what: Annotated[str | None, typer.Argument(metavar="WHAT", help="landscape, critical, vit or attention.")] = None,
    others: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN…|IMAGE", help="More runs beside it; for vit an image, for attention any."),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=2, help="Of the training split at most; 500 for landscape, 2,000 for critical.")
    ] = None,
    grid: Annotated[
        int | None, typer.Option(min=3, max=501, help="Places along each axis of a landscape; 25 by default.")
    ] = None,
    out: Out = None,
    files: With = None,
    as_json: Json = False,
) -> None:
    """See where training came to rest: the loss around it, and what kind of point; or what a net does with an image.

    \b
    landscape   the loss along random directions, and in the plane of the path that training took
    critical    gradient, curvature, and the verdict: minimum, maximum, saddle or not critical
    vit         the five stages of a Vision Transformer on an image, what each head looks at, and the rollout
    attention   on several images, what the heads of its last block look at, and what holds most of that

    \b
    Examples:
      theta explain run runs/digits-mlp-1 critical
      theta explain run runs/digits-mlp-1 landscape --out landscape.svg
      theta explain run runs/digits-mlp-1 landscape runs/digits-cnn-1 --out both.html
      theta explain run runs/photos-vit_tiny-1 vit photo.jpg --out looks.svg
      theta explain run runs/photos-vit_tiny-1 attention --out heads.png
    """
    from thetastar.explain.showing import check_place
    from thetastar.terminal import running
    from thetastar.terminal.words import include

    include(files or [])
    check_place(out)
    asked = running.Asked([folder, *(others or [])], what, examples, grid)
    tell(running.explained(asked), out, as_json)
