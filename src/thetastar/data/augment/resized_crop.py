"""Random crop, resized to the image."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.errors import UserError
from thetastar.functional.boxes import boxes
from thetastar.functional.pictures import Draws, of_images
from thetastar.functional.warping import windows
from thetastar.registry import Fraction

__all__ = ["resized_crop"]

AtLeastOne = Annotated[float, Ge(1)]


class resized_crop(Warped):
    """A rectangle of the image stretched to its size: y(i, j) = x(top + i h / height, left + j w / width).

    Its area is a share uniform on [least, most] of the image's, its width / height log-uniform on [1/aspect, aspect];
    of ten drawn shapes the first that fits is taken.

    Args:
        least: smallest share of the area, in [0, 1].
        most: largest share of the area, in [0, 1].
        aspect: largest width / height and height / width, ≥ 1.

    Shapes: (batch, channels, height, width) → the same.

    Source: Szegedy et al. 2015, Going deeper with convolutions.
    """

    def __init__(self, *, least: Fraction = 0.08, most: Fraction = 1.0, aspect: AtLeastOne = 4 / 3) -> None:
        if least > most:
            raise UserError(f"resized_crop.least={least:g}", f"at most {most:g}, the largest share", "lower least")
        self.least, self.most, self.aspect = least, most, aspect

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        return self._onto(x, (x.shape[2], x.shape[3]), generator)

    def several(self, x: Tensor, count: int, size: tuple[int, int], generator: Draws = None) -> Tensor:
        """`count` independent crops of every example, each stretched to `size`.

        Shapes: (batch, channels, height, width) → (batch, count, channels, *size).
        """
        batch = len(of_images(x, "resized_crop"))
        like = x[:1].expand(batch * count, -1, -1, -1)  # of it only the shape is read
        return windows(x, self._onto(like, size, generator).view(batch, count, 2, 3), size)

    def _onto(self, x: Tensor, size: tuple[int, int], generator: Draws) -> Tensor:
        """(batch, 2, 3) from places of an image of `size` to those of x."""
        height, width = x.shape[2:]
        top, left, h, w = boxes(x, self.least, self.most, self.aspect, generator)
        none = torch.zeros_like(top)
        across = (w / size[1], none, left + w / 2 - width / 2)
        down = (none, h / size[0], top + h / 2 - height / 2)
        return torch.stack([*across, *down], 1).view(-1, 2, 3)
