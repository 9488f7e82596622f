"""A bar over rows that are answered, with the time left where it is known how many there are."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from thetastar.terminal.rows import Rows

PATIENCE = 1.0  # seconds before a bar appears


class Counter:
    """Shows how far reading has come, on a terminal only.

    Args:
        console: where.
        rows: that are read.
        shown: whether a bar may be shown.
    """

    def __init__(self, console: Console, rows: Rows, shown: bool) -> None:
        self.console, self.rows, self.shown = console, rows, shown and console.is_terminal
        self.began = time.monotonic()
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> Counter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def to(self, count: int) -> None:
        """So many rows are answered."""
        if not self.shown or time.monotonic() - self.began < PATIENCE:
            return
        if self.bar is None:
            columns = [BarColumn(), TimeRemainingColumn()] if self.rows.total else []
            self.bar = Progress(TextColumn("{task.description}"), *columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=self.rows.total)
            self.bar.start()
        self.bar.update(self.task, description=f"{count:,} rows", completed=self.rows.done)
