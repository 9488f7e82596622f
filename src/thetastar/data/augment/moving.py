"""Changes of where things are in an image. Neighbours in a recipe are done at once: one gather, or one resampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce

from torch import Tensor

from thetastar.functional.pictures import Draws, of_images
from thetastar.functional.placing import after, placed
from thetastar.functional.warping import chained, warp
from thetastar.protocols import Augment

__all__: list[str] = []


class Placed(Augment):
    """Whole pixels move: y[c, i, j] = x[c, rows[i], columns[j]], each example by its own rows and columns."""

    @abstractmethod
    def places(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        """Rows (batch, height) and columns (batch, width) of x, negative where zeros come in."""

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        return placed(of_images(x, type(self).__name__, values=False), *self.places(x, generator))


class Warped(Augment):
    """An affine map: y(u′) = x(A u′ + t), each example by its own matrix, bilinear between pixels."""

    fill: str | None = None  # what is beyond the image, "zero" or "edge"; None where nothing of it can show

    @abstractmethod
    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        """(batch, 2, 3), from places of the new image to places of x; see `functional.warping`."""

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        return warp(of_images(x, type(self).__name__), self.matrix(x, generator), self.fill or "edge")


class Placements(Augment):
    """Several moves of whole pixels as one gather; the result is that of one after the other."""

    def __init__(self, changes: Sequence[Placed]) -> None:
        self.changes = changes

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        of_images(x, type(self.changes[0]).__name__, values=False)
        rows, columns = zip(*(change.places(x, generator) for change in self.changes), strict=True)
        return placed(x, reduce(after, rows), reduce(after, columns))


class Warps(Augment):
    """Several affine maps as one resampling, which blurs once and brings back what one moved out and the next in."""

    def __init__(self, changes: Sequence[Warped], fill: str) -> None:
        self.changes, self.fill = changes, fill

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        of_images(x, type(self.changes[0]).__name__)
        return warp(x, reduce(chained, (change.matrix(x, generator) for change in self.changes)), self.fill)


def joined(changes: Sequence[Augment]) -> list[Augment]:
    """The changes in their order, with neighbours that can be done at once made into one. All draws stay the same."""
    groups: list[list[Augment]] = []
    for change in changes:
        if groups and _together([*groups[-1], change]):
            groups[-1].append(change)
        else:
            groups.append([change])
    return [_together(group) or group[0] for group in groups]


def _together(group: Sequence[Augment]) -> Augment | None:
    """The group as one change, if it is several and they are of one kind."""
    whole = [change for change in group if isinstance(change, Placed)]
    affine = [change for change in group if isinstance(change, Warped)]
    fills = {change.fill for change in affine if change.fill}
    if len(group) > 1 and len(whole) == len(group):
        return Placements(whole)
    if len(group) > 1 and len(affine) == len(group) and len(fills) < 2:
        return Warps(affine, *(fills or {"edge"}))
    return None
