"""Changes of where things are in an image. Neighbours in a recipe are done at once: one gather, or one resampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce

from torch import Tensor

from thetastar.functional.masks import VOID
from thetastar.functional.pictures import Draws, of_images
from thetastar.functional.placing import after, placed
from thetastar.functional.warping import chained, warp, warp_mask
from thetastar.protocols import Augment

__all__: list[str] = []


class Moving(Augment):
    """A change that moves things: drawn once for the images and their masks."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return type(self).__name__


class Placed(Moving):
    """Whole pixels move: y[c, i, j] = x[c, rows[i], columns[j]], each example by its own rows and columns."""

    @abstractmethod
    def places(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        """Rows (batch, height) and columns (batch, width) of x, negative where zeros come in."""

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        return placed(of_images(x, self.title, values=False), *self.places(x, generator))

    def together(self, x: Tensor, mask: Tensor, generator: Draws = None) -> tuple[Tensor, Tensor]:
        rows, columns = self.places(of_images(x, self.title, values=False), generator)
        return placed(x, rows, columns), placed(mask[:, None], rows, columns, VOID)[:, 0]


class Warped(Moving):
    """An affine map: y(u′) = x(A u′ + t), each example by its own matrix, bilinear between pixels."""

    fill: str | None = None  # what is beyond the image, "zero" or "edge"; None where nothing of it can show

    @abstractmethod
    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        """(batch, 2, 3), from places of the new image to places of x; see `functional.warping`."""

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        return warp(of_images(x, self.title), self.matrix(x, generator), self.fill or "edge")

    def together(self, x: Tensor, mask: Tensor, generator: Draws = None) -> tuple[Tensor, Tensor]:
        matrix, fill = self.matrix(of_images(x, self.title), generator), self.fill or "edge"
        return warp(x, matrix, fill), warp_mask(mask, matrix, fill)


class Placements(Placed):
    """Several moves of whole pixels as one gather; the result is that of one after the other."""

    def __init__(self, changes: Sequence[Placed]) -> None:
        self.changes = changes

    @property
    def title(self) -> str:
        return self.changes[0].title

    def places(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        rows, columns = zip(*(change.places(x, generator) for change in self.changes), strict=True)
        return reduce(after, rows), reduce(after, columns)


class Warps(Warped):
    """Several affine maps as one resampling, which blurs once and brings back what one moved out and the next in."""

    def __init__(self, changes: Sequence[Warped], fill: str) -> None:
        self.changes, self.fill = changes, fill

    @property
    def title(self) -> str:
        return self.changes[0].title

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        return reduce(chained, (change.matrix(x, generator) for change in self.changes))


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
