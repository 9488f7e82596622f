"""A run in flight on the terminal: a bar with the time left, and a first Ctrl-C that waits for a checkpoint."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from thetastar.terminal.console import number
from thetastar.trace import Row
from thetastar.watch import Watch

PATIENCE = 1.0  # seconds before a bar appears: what is over by then needs none
REFRESH = 0.1


class Bar(Watch):
    """Shows steps as a bar on a terminal; a pipe sees only what is said.

    Args:
        console: where to show them.
        label: what the bar is called, until a row names its run.
        counts: whether steps are worth reading as numbers.
        opening: said once training is under way, so that a mistake is all that is said before it.
    """

    def __init__(self, console: Console, label: str, counts: bool = True, opening: Sequence[str] = ()) -> None:
        self.console, self.label, self.judged = console, label, ""
        self.counts, self.opening = counts, list(opening)
        self.began = self.shown = time.monotonic()
        self.bars: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()
        if error is None:
            self.open()

    def open(self) -> None:
        for line in self.opening:
            self.say(line)
        self.opening = []

    def step(self, step: int, steps: int) -> None:
        self.open()
        now = time.monotonic()
        if not self.console.is_terminal or now - self.began < PATIENCE or now - self.shown < REFRESH:
            return
        self.shown = now
        if self.bars is None:
            count = [MofNCompleteColumn()] if self.counts else []
            columns = [TextColumn("{task.description}"), BarColumn(), *count, TimeRemainingColumn()]
            self.bars = Progress(*columns, TextColumn("{task.fields[judged]}"), console=self.console, transient=True)
            self.task = self.bars.add_task(self.label, judged="")
            self.bars.start()
        self.bars.update(self.task, description=self.label, completed=step, total=steps, judged=self.judged)

    def row(self, row: Row) -> None:
        self.label = row.get("run", self.label)
        values = [(name.removeprefix("valid."), value) for name, value in row.items() if name.startswith("valid.")]
        if values:
            self.judged = "valid " + "  ".join(f"{name} {number(value)}" for name, value in values[:2])

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, style="dim")


class Polite(Watch):
    """Lets the first Ctrl-C wait for the end of the step and a checkpoint; the second waits for nothing.

    Args:
        inner: hears everything.
    """

    def __init__(self, inner: Watch) -> None:
        self.inner = inner
        self.asked = self.leaving = False
        self.done, self.planned = 0, 0
        self.alone = threading.current_thread() is threading.main_thread()  # only it may handle signals

    def __enter__(self) -> Polite:
        if self.alone:
            self.before = signal.signal(signal.SIGINT, self.interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alone:
            signal.signal(signal.SIGINT, self.before)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def step(self, step: int, steps: int) -> None:
        self.done, self.planned = step, steps
        if self.leaving:  # the engine has written a checkpoint since
            raise KeyboardInterrupt
        self.leaving = self.asked
        self.inner.step(step, steps)

    def row(self, row: Row) -> None:
        self.inner.row(row)

    def say(self, line: str) -> None:
        self.inner.say(line)
