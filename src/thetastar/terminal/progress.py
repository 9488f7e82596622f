"""A run in flight on the terminal: a bar with the time left, and a first Ctrl-C that waits for a checkpoint."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from thetastar.terminal.console import number
from thetastar.trace import Row
from thetastar.watch import Watch

PATIENCE = 1.0  # seconds before a bar appears: what is over by then needs none
REFRESH = 0.1


class Progress(Watch):
    """Shows the steps of one run; a pipe sees only what is said.

    Args:
        console: where to show them.
        label: what the bar is called.
    """

    def __init__(self, console: Console, label: str) -> None:
        self.console, self.label = console, label
        self.asked = self.leaving = False
        self.done, self.planned = 0, 0
        self._began = self._shown = time.monotonic()
        self._bars: Bars | None = None
        self._task = TaskID(0)
        self._judged = ""

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)
        if self._bars:
            self._bars.stop()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first interruption waits for the step's end and a checkpoint, the second waits for nothing."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def step(self, step: int, steps: int) -> None:
        self.done, self.planned = step, steps
        if self.leaving:  # the engine has written a checkpoint since
            raise KeyboardInterrupt
        self.leaving = self.asked
        now = time.monotonic()
        if not self.console.is_terminal or now - self._began < PATIENCE or now - self._shown < REFRESH:
            return
        self._shown = now
        if self._bars is None:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[judged]}"),
                console=self.console,
                transient=True,
            )
            self._task = self._bars.add_task(self.label, total=steps, completed=step, judged="")
            self._bars.start()
        self._bars.update(self._task, completed=step, total=steps, judged=self._judged)

    def row(self, row: Row) -> None:
        judged = [(name.removeprefix("valid."), value) for name, value in row.items() if name.startswith("valid.")]
        if judged:
            self._judged = "valid " + "  ".join(f"{name} {number(value)}" for name, value in judged[:2])

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)
