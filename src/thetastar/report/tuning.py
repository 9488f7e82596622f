"""The figure of a search: the best so far over trials, and how much each setting mattered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thetastar.outer import wording
from thetastar.outer.study import Study
from thetastar.report.charts import ACCENT, CONFIG, INK, LINE, PAPER, SOFT, TEXT, Spec, unit_of
from thetastar.report.curves import frame

COLOURS = {
    "light": {INK: "#1c2126", SOFT: "#59636e", PAPER: "#ffffff", LINE: "#dfe3e8", ACCENT: "#00657c"},
    "dark": {INK: "#e7eaee", SOFT: "#a3adb8", PAPER: "#14181c", LINE: "#343c45", ACCENT: "#5cc6de"},
}
WIDTH, HEIGHT, BAR = 560, 240, 22


def drawing(study: Study, importance: Mapping[str, float], scheme: str) -> str:
    """SVG that stands by itself, on light or dark paper."""
    import vl_convert

    charts = [progress(study)] + ([bars(importance)] if importance else [])
    spec: Spec = {"config": {**CONFIG, "background": PAPER}, "padding": 16, "vconcat": charts, "spacing": 28}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    for name, colour in COLOURS[scheme].items():
        drawn = drawn.replace(name, colour)
    return drawn


def png(drawn: str) -> bytes:
    import vl_convert

    return vl_convert.svg_to_png(drawn, scale=2)


def progress(study: Study) -> Spec:
    """Each trial as a point, the best so far as a line; pruned trials where they ended, hollow."""
    unit = unit_of(study.measure)
    points: list[dict[str, Any]] = []
    for trial in study.trials:
        value = trial.value if trial.state == "finished" else trial.curve[-1][1] if trial.curve else None
        if value is not None:
            points.append({"trial": trial.number + 1, "value": unit * value, "ended": trial.state != "finished"})
    line = [
        {"trial": trial.number + 1, "value": unit * value}
        for trial, value in zip(study.trials, study.best_so_far(), strict=True)
        if value is not None
    ]
    bottom, top = frame([{"low": p["value"], "high": p["value"], "mean": p["value"]} for p in points])
    last = max(point["trial"] for point in points)
    for point in points:
        inside = min(max(point["value"], bottom), top)
        point |= {"outside": inside != point["value"], "value": inside}
    x = {"field": "trial", "type": "quantitative", "title": "trial",
         "scale": {"domain": [0.5, last + 0.5], "nice": False},
         "axis": {"grid": False, "tickMinStep": 1, "format": "d"}}  # fmt: skip
    name = f"{wording.head(study.measure)} on valid" + (", %" if unit > 1 else "")
    y = {"field": "value", "type": "quantitative", "title": name,
         "scale": {"domain": [bottom, top], "nice": False}, "axis": {"tickCount": 5}}  # fmt: skip
    hollow = {"condition": {"test": "datum.ended", "value": PAPER}, "value": SOFT}
    shape = {"condition": {"test": "datum.outside", "value": "triangle-down" if study.higher else "triangle-up"},
             "value": "circle"}  # fmt: skip
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "title": title(
            f"Best so far of {wording.counted(len(study.trials), 'trial')}",
            "hollow: ended early, where it stood; triangle: outside the frame",
        ),
        "encoding": {"x": x, "y": y},
        "layer": [
            {"data": {"values": points},
             "mark": {"type": "point", "filled": True, "size": 42, "stroke": SOFT, "strokeWidth": 1.2,
                      "opacity": 1},
             "encoding": {"fill": hollow, "shape": shape}},
            {"data": {"values": line},
             "mark": {"type": "line", "interpolate": "step-after", "color": ACCENT, "strokeWidth": 2.2, "clip": True}},
        ],
    }  # fmt: skip


def title(text: str, below: str) -> Spec:
    return {"text": text, "subtitle": below, "subtitleColor": SOFT, "subtitleFontSize": TEXT, "frame": "group"}


def bars(importance: Mapping[str, float]) -> Spec:
    values = [{"setting": label, "share": 100 * share} for label, share in importance.items()]
    y = {"field": "setting", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 260, "grid": False}}
    x = {"field": "share", "type": "quantitative", "title": "%",
         "axis": {"tickCount": 5}}  # fmt: skip
    return {
        "width": WIDTH,
        "height": BAR * len(values),
        "title": title("How much each setting mattered", "share of the variance over all that was searched"),
        "data": {"values": values},
        "mark": {"type": "bar", "color": ACCENT, "height": 12},
        "encoding": {"x": x, "y": y},
    }
