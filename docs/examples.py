"""Runs the examples of the pages; as a script, writes what they say into the pages: `python docs/examples.py [PAGE…]`.

A block ```console holds commands after `$ ` and what they say; a block ```python runs in one namespace a page, and the
```text block right after it holds what was printed; `<!-- file: NAME -->` before a block makes it a file.
`<!-- not run: WHY -->` leaves a block alone. A page runs from top to bottom in an empty folder.

Everything runs on the CPU in float32, so that pages say the same on other machines. Words must be the same; times,
sizes in memory, dates, hashes and what "would settle" a pair are not compared; other numbers must be close, because
processors differ in their last digits and seeds of small data amplify that.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES = [HERE / "tutorial.md", *sorted(set((HERE / "verbs").glob("*.md")) - {HERE / "verbs" / "index.md"})]
COLUMNS = 88  # what a page shows of a terminal without scrolling
FENCE = re.compile(
    r"(?P<mark><!-- (?:file|not run): [^\n]*? -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELL = re.compile(r"[|<>;&*]")
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"), "<date>"),
    (re.compile(r"(?<![\w.])\d[\d.,]* ?(?:ns|µs|ms|s|min|h)\b"), "<time>"),
    (re.compile(r"(?<![\w.])\d[\d.,]* (?:[KMG]iB|B)\b"), "<memory>"),
    (re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{6,64}\b"), "<hash>"),
    (re.compile(r"(?:about [\d,]+ more [\w ]+?|no affordable number of [\w ]+?) would settle it"), "<settled>"),
    (re.compile(r"one of the \d+ in"), "one of those in"),
    (re.compile(r"Looked at alone, .*? would be decided; among \d+ pairs that is not enough\."), ""),
    (re.compile(r"[━─═┏┓┗┛┡┩└┘├┤┳┻╇┴┬┼╷╵│┃|▁-█]+"), " "),
)
NUMBER = re.compile(r"(± ?)?([-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(%| ±)?")


@dataclass
class Block:
    """A fenced block: its place in the page, its language, the mark before it, its text."""

    start: int
    end: int
    language: str
    mark: str
    text: str


@dataclass
class Ran:
    """A block after its run: the text it should have had."""

    block: Block
    text: str


@dataclass
class Session:
    """What lives from block to block of one page: Python's names and the last exit code."""

    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    code: int = 0

    def console(self, text: str) -> str:
        commands = [line for line in text.splitlines() if line.startswith("$ ")]
        return "".join(f"{line}\n{self.said(line[2:])}" for line in commands)

    def said(self, command: str) -> str:
        """What a command line prints, both streams in the order of printing."""
        if command == "echo $?":
            return f"{self.code}\n"
        if command.startswith("theta ") and not SHELL.search(unquoted(command)):
            with listening() as heard:
                self.code = main(shlex.split(command)[1:])
            return tidy(heard.getvalue())
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        place = {**os.environ, "PATH": tools}
        done = subprocess.run(["bash", "-c", command], env=place, stdout=-1, stderr=subprocess.STDOUT, text=True)
        self.code = done.returncode
        return tidy(done.stdout)

    def python(self, text: str) -> str:
        with listening() as heard:
            exec(compile(text, "<example>", "exec"), self.names)
        return tidy(heard.getvalue())


def main(words: list[str]) -> int:
    from thetastar import cli

    return cli.main(words)


def unquoted(command: str) -> str:
    return re.sub(r"\"[^\"]*\"|'[^']*'", "", command)


def tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


class Terminal(io.StringIO):
    """Text that calls itself a terminal, so that tables fit its width."""

    def isatty(self) -> bool:
        return True


class Aside(io.StringIO):
    """The error stream beside it: no bars, lines folded as a terminal folds them, where they were printed."""

    def __init__(self, into: io.StringIO) -> None:
        super().__init__()
        self.into = into

    def write(self, text: str) -> int:
        lines = text.split("\n")
        return self.into.write("\n".join("\n".join(textwrap.wrap(line, COLUMNS) or [""]) for line in lines))


@contextlib.contextmanager
def listening() -> Iterator[io.StringIO]:
    heard = Terminal()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(Aside(heard)):
        yield heard


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """A plain terminal of COLUMNS, one thread, the CPU, float32, no data sets of this machine; then as before."""
    import torch

    from thetastar import equation, hardware, registry

    said = {"COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "dumb", "THETASTAR_DATA": ""}
    before = {name: os.environ.get(name) for name in said}
    known = dict(registry._user_files)  # what a page includes is its own
    threads, chosen = torch.get_num_threads(), (equation.choose_device, equation.choose_precision)
    os.environ.update(said)
    torch.set_num_threads(1)
    equation.choose_device = lambda asked: hardware.choose_device("cpu")
    equation.choose_precision = lambda asked, *rest: chosen[1]("float32", *rest)
    try:
        yield
    finally:
        registry._user_files.clear()
        registry._user_files.update(known)
        equation.choose_device, equation.choose_precision = chosen
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def blocks(page: str) -> list[Block]:
    return [
        Block(found.start("text"), found.end("text"), found["language"], found["mark"] or "", found["text"])
        for found in FENCE.finditer(page)
    ]


def run(page: str) -> list[Ran]:
    """Every block with output, as it comes out now; runs in the current folder."""
    session, found = Session(), []
    all_blocks = blocks(page)
    for number, block in enumerate(all_blocks):
        if block.mark.startswith("<!-- not run"):
            continue
        if block.mark.startswith("<!-- file"):
            Path(block.mark.split(": ")[1].removesuffix(" -->\n")).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            found.append(Ran(block, session.console(block.text)))
        elif block.language == "python":
            printed = session.python(block.text)
            after = all_blocks[number + 1] if number + 1 < len(all_blocks) else None
            beside = (
                after and after.language == "text" and not page[block.end + 3 : after.start - len("```text\n")].strip()
            )
            if after and beside:
                found.append(Ran(after, printed))
            elif printed:
                raise ValueError(f"a python block prints, and no text block follows it:\n{block.text}{printed}")
    return found


def masked(text: str) -> str:
    text = " ".join(text.split())
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def difference(written: str, said: str) -> str:
    """Where what is written is not what is said, "" where they agree."""
    old, new = masked(written), masked(said)
    words_old, words_new = NUMBER.sub("#", old).split(), NUMBER.sub("#", new).split()
    if words_old != words_new:
        place = next((i for i, pair in enumerate(zip(words_old, words_new, strict=False)) if pair[0] != pair[1]), -1)
        around = slice(max(place - 4, 0), place + 5) if place >= 0 else slice(-9, None)
        return f"the page has '{' '.join(words_old[around])}', now it is '{' '.join(words_new[around])}'"
    for one, other in zip(NUMBER.finditer(old), NUMBER.finditer(new), strict=True):
        if not close(one, other):
            return f"the page has '{one[0]}', now it is '{other[0]}': {new[max(other.start() - 60, 0) : other.end()]}"
    return ""


def close(one: re.Match[str], other: re.Match[str]) -> bool:
    """Within a tenth of the larger and 0.05; 5 points more where the number is a share or carries an interval."""
    a, b = (float(found[2].replace(",", "").replace("−", "-")) for found in (one, other))
    points = 5.0 if one[1] or one[3] else 0.0
    return abs(a - b) <= 0.05 + points + 0.1 * max(abs(a), abs(b))


def rewritten(page: str, ran: list[Ran]) -> str:
    for one in sorted(ran, key=lambda one: -one.block.start):
        page = page[: one.block.start] + one.text + page[one.block.end :]
    return page


def refresh(path: Path) -> None:
    """Write what the examples of a page say now into it."""
    page, before = path.read_text(encoding="utf-8"), Path.cwd()
    with tempfile.TemporaryDirectory() as place, settings():
        os.chdir(place)
        try:
            made = rewritten(page, run(page))
        finally:
            os.chdir(before)
    path.write_text(made, encoding="utf-8")
    print(f"{path}: {'unchanged' if made == page else 'rewritten'}")


if __name__ == "__main__":
    for name in [Path(word).resolve() for word in sys.argv[1:]] or PAGES:
        refresh(name)
