"""Drawings by hand, as SVG that stands alone: light on light screens and dark on dark ones."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

FONT = "'DejaVu Sans', Verdana, Arial, sans-serif"  # the first is the widest: what fits in it fits in the others
STYLE = """
:root{color-scheme:light dark}
.sheet{color:#1c2733;max-width:none}
.paper{fill:#ffffff}.ink{fill:#1c2733}.soft{fill:#5a6670}.accent{fill:#1769a8}
.card{fill:#f5f7f9;stroke:#a9b3bb}.line{fill:none;stroke:#8a959e}.head{fill:#8a959e}.rule{stroke:#d3d9de}
.cell{stroke:#a9b3bb}.marked{fill:#cfe3f3}
@media (prefers-color-scheme:dark){
.sheet{color:#e4e8ec}
.paper{fill:#14181c}.ink{fill:#e4e8ec}.soft{fill:#9aa6b0}.accent{fill:#6bb5ee}
.card{fill:#1f252b;stroke:#56616b}.line{stroke:#74808a}.head{fill:#74808a}.rule{stroke:#39424a}
.cell{stroke:#56616b}.marked{fill:#1d4a6e}
}"""


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
