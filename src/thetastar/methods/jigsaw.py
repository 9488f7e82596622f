"""Jigsaw puzzles: learn features by putting the tiles of an image back in order."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.moments import moments
from thetastar.functional.patches import cut
from thetastar.functional.permutations import distant
from thetastar.layers.crops import fitting, smallest
from thetastar.layers.projection import features_of, projector
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["jigsaw"]


class jigsaw(Pretext):
    """L = −log p(k | f(x_{π_k(1)}), …, f(x_{π_k(n)})): which of the permutations π put the tiles of x in this order.

    Each tile is seen by f alone, and only their features are compared: so f must tell the parts of things. Shortcuts
    are closed: tiles are cut at random places within their cells, so that edges do not run on from one to the next, and
    every tile is brought to the same mean and deviation, so that light and colour do not tell neighbours. Permutations
    differ in as many places as can be, or the order of few tiles would do. Nets that pool globally see tiles as they
    are, others see them enlarged to the size of the images. "jigsaw_accuracy" is traced.

    Args:
        grid: cells down and across.
        permutations: how many, of all grid²! at most.
        gap: of a cell's side, what a tile leaves free, in [0, 1); 11 of 75 pixels in the paper.
        hidden: units between the features of all tiles and the answer.

    Shapes: (batch, channels, height, width) → features (batch, width).

    Source: Noroozi and Favaro 2016, Unsupervised learning of visual representations by solving jigsaw puzzles.
    """

    mean: Tensor
    std: Tensor
    orders: Tensor
    margin: Tensor  # before the cells, down and across

    def __init__(
        self,
        *,
        grid: Annotated[int, Ge(2), Le(3)] = 3,
        permutations: Annotated[int, Ge(2)] = 100,
        gap: BelowOne = 0.15,
        hidden: Count = 512,
    ) -> None:
        super().__init__()
        self.grid, self.permutations, self.gap, self.hidden = grid, permutations, gap, hidden

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "jigsaw", "grid": 2, "permutations": 8, "hidden": 32}
        return {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "method": method}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        _, *size = field.shape
        self.size, self.least = (size[0], size[1]), smallest(f, schema)
        self.cell = min(size) // self.grid
        self.side = min(self.cell - 1, round((1 - self.gap) * self.cell)) if self.gap else self.cell
        if self.side < 2:
            got = f"jigsaw on {size[0]}×{size[1]} images: tiles of {max(self.side, 0)}×{max(self.side, 0)}"
            raise UserError(got, f"at least {3 * self.grid}×{3 * self.grid}", "resize the images (data.size)")
        tiles = self.grid**2
        if self.permutations > math.factorial(tiles):
            got = f"method.permutations={self.permutations} of {tiles} tiles"
            raise UserError(got, f"at most {math.factorial(tiles)}", "ask for fewer")
        self.said = [f"{tiles} tiles of {self.side}×{self.side}, each within a cell of {self.cell}×{self.cell}"]
        mean, std = moments(field)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("margin", (torch.tensor(self.size) - self.grid * self.cell) // 2, persistent=False)
        self.register_buffer("orders", distant(tiles, self.permutations), persistent=False)
        width = features_of(f, schema, "jigsaw")
        self.answer = projector(tiles * width, self.hidden, self.permutations, norm=False)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        tiles, which = self.puzzles(batch["input"])
        features = f.features(fitting(self.levelled(tiles.flatten(0, 1)), self.least, self.size))
        logits = full(self.answer(features.view(len(which), -1)))  # tiles side by side
        right = (logits.detach().argmax(1) == which).float().mean()
        return F.cross_entropy(logits, which), Aux(log={"jigsaw_accuracy": right})

    def puzzles(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The tiles of every image in the order of a permutation, and which it is.

        Shapes: (batch, channels, height, width) → (batch, tiles, channels, side, side), (batch,).
        """
        which = torch.randint(self.permutations, (len(x),), device=x.device)
        order = self.orders[which]  # (batch, tiles): the cell that the tile at each place comes from
        cells = torch.stack([order // self.grid, order % self.grid], -1) * self.cell
        free = torch.randint(self.cell - self.side + 1, cells.shape, device=x.device)
        return cut(x, cells + free + self.margin, self.side), which

    def levelled(self, tiles: Tensor) -> Tensor:
        """Every channel of a tile with the mean and the deviation of the train split.

        Shapes: (tiles, channels, side, side) → the same.
        """
        mean, deviation = tiles.mean((2, 3), keepdim=True), tiles.std((2, 3), keepdim=True)
        return self.mean + self.std * (tiles - mean) / (deviation + 1e-3)  # of a tile without detail: the mean
