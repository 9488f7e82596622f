"""Pictures of the report pages: three widths, light and dark, by a headless Chromium: `python docs/screenshots.py`.

Trains two small comparisons (images and a table), renders their pages and a notebook's display, and writes PNGs with a
palette to `docs/_static/screens/`. Chromium is spoken to over a pipe in its DevTools protocol, so that widths below a
window's least and the colour scheme can be set.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

SCREENS = Path(__file__).parent / "_static" / "screens"
WIDTHS = (390, 768, 1280)  # a phone, a tablet, a laptop
SCHEMES = ("light", "dark")
SHOWN = {"digits": 5000, "table": 2600, "notebook": 2000}  # pixels from the top, so that the repository stays small
COLOURS = 40  # of the palette
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Browser:
    """A headless Chromium, spoken to in JSON messages that end with a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'  # the protocol wants these two numbers
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.rest, self.count, self.session = b"", 0, ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are dropped."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self.next()).get("id") != self.count:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, event: str) -> None:
        while self.next().get("method") != event:
            pass

    def next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            read = os.read(self.into, 1 << 20)
            if not read:
                raise RuntimeError("the browser has gone")
            self.rest += read
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def picture(self, page: Path, width: int, scheme: str, tallest: int) -> Image.Image:
        """The page from its top at a width and in a colour scheme, folded parts as they open."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.wait("Page.loadEventFired")
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        if size["width"] > width:
            print(f"{page.name} at {width}: {size['width']:.0f} pixels wide, so it scrolls sideways", file=sys.stderr)
        clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], tallest), "scale": 1}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return Image.open(io.BytesIO(base64.b64decode(shot["data"])))

    def close(self) -> None:
        os.close(self.out)
        self.process.terminate()
        self.process.wait()
        os.close(self.into)


def program() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit(f"no browser; expected one of {', '.join(BROWSERS)} on the path; install chromium")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        opened = Browser(program(), Path(profile))
        try:
            yield opened
        finally:
            opened.close()


def save(picture: Image.Image, name: str) -> None:
    """With a palette: a page of words and a few colours loses nothing by it."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(SCREENS / f"{name}.png", optimize=True)


def reports(place: Path) -> dict[str, Path]:
    """Two comparisons, of images and of a table."""
    import thetastar as ts

    digits = ts.compare("digits", ["softmax", "mlp", "cnn", "knn"], seeds=3, budget={"epochs": 15}, out=place / "a")
    table = ts.compare("breast_cancer", ["softmax", "random_forest", "tabular_mlp"], seeds=3, out=place / "b")
    return {"digits": digits.to_html(place / "digits.html"), "table": table.to_html(place / "table.html")}


def notebook(place: Path) -> dict[str, Path]:
    """What a star, a verdict and a data set show of themselves, on a page styled as notebooks are."""
    import thetastar as ts

    star = ts.fit("wine", "softmax", epochs=20)
    verdict = ts.compare("wine", ["softmax", "knn"], seeds=3)
    cells = {"star": star, "verdict": verdict, "star.stream": star.stream}
    body = "".join(
        f'<pre class="in">{name}</pre><div class="rendered">{shown._repr_html_()}</div>'
        for name, shown in cells.items()
    )
    page = place / "notebook.html"
    page.write_text(f"<!doctype html><meta charset='utf-8'><style>{NOTEBOOK}</style>{body}", encoding="utf-8")
    return {"notebook": page}


NOTEBOOK = """
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 1rem; }
body { background: light-dark(#fff, #111); color: light-dark(#000, #ddd); }
pre { background: light-dark(#f5f5f5, #212121); border: 1px solid light-dark(#e0e0e0, #333); padding: .4rem; }
.rendered { margin: 0 0 1rem .5rem; }
.rendered table { border-collapse: collapse; font-size: 12px; }
.rendered th, .rendered td { padding: .5em; text-align: right; }
.rendered tbody tr:nth-child(odd) { background: light-dark(#f5f5f5, #1c1c1c); }
"""


def shoot(pages: dict[str, Path], widths: Sequence[int]) -> None:
    with browser() as opened:
        for name, page in pages.items():
            for width in widths:
                for scheme in SCHEMES:
                    save(opened.picture(page, width, scheme, SHOWN[name]), f"{name}-{width}-{scheme}")


def main() -> None:
    program()  # before anything is trained
    with tempfile.TemporaryDirectory() as place:
        shoot(reports(Path(place)), WIDTHS)
        shoot(notebook(Path(place)), (768,))
    size = sum(path.stat().st_size for path in SCREENS.glob("*.png"))
    print(f"{SCREENS}: {len(list(SCREENS.glob('*.png')))} pictures, {size / 1024:,.0f} KiB")


if __name__ == "__main__":
    main()
