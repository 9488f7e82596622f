"""Charts as SVG files that stand alone: drawn without a browser, light or dark as their reader has it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

# in light and in dark: paper, ink, soft ink, lines, then series that keep apart for all kinds of eyes
SHADES = {
    "paper": ("#ffffff", "#14181c"),
    "ink": ("#1c2126", "#e7eaee"),
    "soft": ("#59636e", "#a3adb8"),
    "line": ("#dfe3e8", "#343c45"),
    "first": ("#00657c", "#5cc6de"),
    "second": ("#b3541e", "#f2a57f"),
    "third": ("#6b4fa0", "#b9a3e3"),
    "fourth": ("#8a6a00", "#e5c454"),
}
PAPER, INK, SOFT, LINE, FIRST, SECOND, THIRD, FOURTH = (light for light, _ in SHADES.values())
SERIES = (FIRST, SECOND, THIRD, FOURTH)
# nine steps of one quantity, from much to little: pale to deep on paper, dark to bright on black
STEPS = ("#f4f6f7", "#dcebee", "#c0dde3", "#9fcbd4", "#7ab5c2", "#549bab", "#337f92", "#1b6478", "#0b4a5c")
DARK_STEPS = ("#1a2228", "#1d3038", "#214049", "#28545f", "#326b78", "#418593", "#55a1b0", "#73c0cf", "#9ddcea")

CONFIG: dict[str, Any] = {
    "aria": False,  # the drawing has one name; its thousand parts have none
    "background": PAPER,
    "padding": 14,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "domain": False, "ticks": False, "labelPadding": 6,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8, "gridWidth": 1,
    },
    "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": 600, "labelAnchor": "start"},
    "legend": {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "titleFontSize": 12},
    "text": {"fill": INK, "fontSize": 12},
    "title": {"color": INK, "subtitleColor": SOFT, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
}  # fmt: skip


def lite(spec: Mapping[str, Any], label: str) -> str:
    """A Vega-Lite chart; `label` says in a sentence what it shows."""
    import vl_convert

    return standing(vl_convert.vegalite_to_svg({"config": CONFIG, **spec}), label)


def vega(spec: Mapping[str, Any], label: str) -> str:
    """A Vega chart."""
    import vl_convert

    return standing(vl_convert.vega_to_svg({"config": CONFIG, **spec}), label)


def standing(drawn: str, label: str) -> str:
    """With a name for screen readers, and the dark shades where the reader prefers them."""
    pairs = [*SHADES.values(), *zip(STEPS, DARK_STEPS, strict=True)]
    rules = "".join(f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in pairs)
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    head, _, rest = drawn.partition(">")
    return f'{head} role="img" aria-label="{escape(label)}">{style}{rest}'
