"""Drawings as SVG that stand alone, light on light screens and dark on dark ones, and Vega-Lite in their colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

FONT = "'DejaVu Sans', Verdana, Arial, sans-serif"  # the first is the widest: what fits in it fits in the others
BLUE, ORANGE = "#2e86c8", "#d97a2b"  # readable on either paper
STYLE = """
:root{color-scheme:light dark}
.sheet{color:#1c2733;max-width:none}
.paper{fill:#ffffff}.ink{fill:#1c2733}.soft{fill:#5a6670}.accent{fill:#1769a8}
.card{fill:#f5f7f9;stroke:#a9b3bb}.line{fill:none;stroke:#8a959e}.head{fill:#8a959e}.rule{stroke:#d3d9de}
@media (prefers-color-scheme:dark){
.sheet{color:#e4e8ec}
.paper{fill:#14181c}.ink{fill:#e4e8ec}.soft{fill:#9aa6b0}.accent{fill:#6bb5ee}
.card{fill:#1f252b;stroke:#56616b}.line{stroke:#74808a}.head{fill:#74808a}.rule{stroke:#39424a}
}"""
CONFIG: dict[str, Any] = {
    "aria": False,
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor", "labelOpacity": 0.75, "titleColor": "currentColor", "titleOpacity": 0.75,
        "gridColor": "currentColor", "gridOpacity": 0.13, "domain": False, "ticks": False, "labelFontSize": 10,
        "titleFontSize": 11, "titleFontWeight": "normal", "labelPadding": 5,
    },
    "header": {"labelColor": "currentColor", "labelFontSize": 12, "labelFontWeight": 600, "labelAnchor": "start"},
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 11},
    "text": {"color": "currentColor"},
    "title": {"color": "currentColor", "fontSize": 12, "fontWeight": 600, "anchor": "start", "offset": 6},
}  # fmt: skip


def sheet(body: str, width: float, height: float, label: str) -> str:
    """A drawing with its paper, named by `label` for screen readers."""
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sheet" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}" role="img" aria-label={quoteattr(label)}>'
    )
    return f'{opening}<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>{body}</svg>'


def text(x: float, y: float, words: str, kind: str = "ink", size: float = 11, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def bold(x: float, y: float, words: str, size: float = 11) -> str:
    return f'<text class="ink" x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="bold">{escape(words)}</text>'


def breadth(words: str, size: float = 11) -> float:
    """Of words in the widest of the fonts."""
    return 0.65 * size * len(words)


def chart(spec: Mapping[str, Any], label: str) -> str:
    """A Vega-Lite specification on a sheet."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg({"config": CONFIG, "padding": 16, **spec})
    found = re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"[^>]*>(.*)</svg>', drawn, re.DOTALL)
    assert found, "Vega draws one SVG with a width and a height"
    return sheet(found[3], float(found[1]), float(found[2]), label)
