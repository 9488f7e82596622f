"""Charts as inline SVG: Vega-Lite drawn without a browser, in the colours of the page, named for screen readers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from thetastar.outer import wording

Spec = dict[str, Any]
WIDE, NARROW = 720, 350  # pixels: a column of text, a phone
ACCENT, INK, SOFT, LINE, PAPER = (f"var(--{name})" for name in ("accent", "ink", "soft", "line", "paper"))
TEXT = 12
DASHES = ([1, 0], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4])  # the first one is in colour
_count = itertools.count()

CONFIG: Spec = {
    "aria": False,  # the drawing has one name; its thousand parts have none
    "background": None,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "domain": False, "ticks": False, "labelPadding": 6,
        "labelFontSize": TEXT, "titleFontSize": TEXT, "titleFontWeight": "normal", "titlePadding": 8, "gridWidth": 1,
    },
    "text": {"fill": INK, "fontSize": TEXT},
    "title": {"color": INK, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
}  # fmt: skip


def svg(spec: Mapping[str, Any], label: str) -> Markup:
    """One drawing, with `label` as its name: what it shows, in a sentence."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg({"config": CONFIG, **spec})
    return Markup(named(slim(drawn), str(label)))  # made here from numbers; words were escaped by the drawing


def slim(drawn: str) -> str:
    """Without what browsers do not need; names of clip paths are those of no other drawing on the page."""
    drawn = re.sub(r'<path class="(?:background|foreground)"[^>]*/>', "", drawn)
    drawn = re.sub(r' (?:xmlns(?::xlink)?|version|aria-[a-z]+|role|pointer-events|class)="[^"]*"', "", drawn)
    drawn = re.sub(r"(\d+\.\d\d)\d+", r"\1", drawn)
    drawn = drawn.replace(' opacity="1"', "").replace(' font-family="sans-serif"', "")
    mark = f"k{next(_count)}-"
    return re.sub(r'(url\(#|id=")clip', rf"\1{mark}", drawn)


def named(drawn: str, label: str) -> str:
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def responsive(make: Callable[[int], Spec], label: str) -> Markup:
    """The same chart for wide and for narrow pages, so that letters keep their size; one of them is shown."""
    wide, narrow = (svg(make(width), label) for width in (WIDE, NARROW))
    return Markup('<div class="at-wide">{}</div><div class="at-narrow">{}</div>').format(wide, narrow)


def fitted(width: int, height: int, right: int = 12) -> Spec:
    """Size of a whole drawing, axes and all, room for labels at the right; letters may come out wider."""
    padding = {"left": 12, "top": 8, "right": right, "bottom": 2}
    return {"width": width, "height": height, "padding": padding, "autosize": {"type": "fit", "contains": "padding"}}


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The places moved as little as it takes to keep `gap` between any two, in their order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    blocks: list[list[float]] = []  # [sum of (place − rank · gap), members] of labels that touch
    for rank, i in enumerate(order):
        blocks.append([places[i] - rank * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
    found = [0.0] * len(places)
    rank = 0
    for total, members in blocks:
        for _ in range(int(members)):
            found[order[rank]] = total / members + rank * gap
            rank += 1
    return found


def told_apart(names: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and dashes of lines by name: rows with `first` are in colour, the others grey, each with its dashes."""
    colour = {"condition": {"test": "datum.first", "value": ACCENT}, "value": SOFT}
    dashes = [DASHES[n % len(DASHES)] for n in range(len(names))]
    scale = {"domain": list(names), "range": dashes}
    return colour, {"field": "name", "type": "nominal", "legend": None, "scale": scale}


def unit_of(measure: str) -> float:
    """What a chart multiplies values by: shares are shown in percent."""
    return 100.0 if measure in wording.SHARES else 1.0


def axis_of(measure: str) -> str:
    return f"{wording.head(measure)}, %" if measure in wording.SHARES else wording.head(measure)
