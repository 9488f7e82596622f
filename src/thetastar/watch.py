"""Who hears of progress. The engine only ever calls these four."""

from __future__ import annotations

from thetastar.trace import Row


class Watch:
    """Hears nothing; what shows progress overrides what it wants to hear.

    Attributes:
        leaving: the next `step` will end the run; the engine writes a checkpoint before.
    """

    leaving: bool = False

    def step(self, step: int, steps: int) -> None:
        """An update was taken."""

    def row(self, row: Row) -> None:
        """The trace was flushed."""

    def say(self, line: str) -> None:
        """Something that the user should read."""

    def decided(self, line: str) -> None:
        """What the model chose by the data alone, the same for every seed."""
        self.say(line)
