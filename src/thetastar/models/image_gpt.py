"""Image GPT: a transformer that reads pixels as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.attention import attention, causal
from thetastar.layers.raster import TOY, Levels, Raster
from thetastar.layers.transformer import Block
from thetastar.protocols import Schema
from thetastar.registry import BelowOne, Count

__all__ = ["image_gpt"]


class image_gpt(Raster):
    """A causal transformer over pixels in raster order: token i is a vector of x_{i−1} and one of the place i.

    A learnt token starts the sequence; where `conditional`, one of each class. Unlike a convolution it knows nothing
    of neighbourhood, and its work grows with the square of the pixels.

    Args:
        schema: images; channels follow one another within a pixel.
        levels: of brightness, each with a vector of its own; 256 keeps bytes as they are.
        width: of a token.
        depth: blocks.
        heads: of the attention, a divisor of `width`.
        ratio: hidden units of a block's perceptron over `width`.
        dropout: share dropped in training, in [0, 1).
        conditional: the sequence starts with the class.

    Shapes: (batch, channels, height, width) → (batch, outputs), a linear answer from the mean over all places.

    Source: Chen, Radford, Child, Wu, Jun, Luan and Sutskever 2020, Generative pretraining from pixels.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "autoregressive"}
    allowed: Tensor

    def __init__(
        self,
        schema: Schema,
        *,
        levels: Levels = 256,
        width: Count = 64,
        depth: Count = 4,
        heads: Count = 4,
        ratio: Count = 4,
        dropout: BelowOne = 0.0,
        conditional: bool = False,
    ) -> None:
        super().__init__(schema, levels, width, conditional)
        if width % heads:
            raise UserError(f"image_gpt of width {width} with {heads} heads", "a divisor of the width", "change heads")
        self.each = width
        tokens = self.channels * self.height * self.across
        self.start = nn.Embedding(max(self.classes, 1), width)
        self.words = nn.Embedding(levels, width)
        self.positions = nn.Parameter(torch.zeros(tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads, ratio=ratio, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("allowed", causal(tokens), persistent=False)
        initialise(self)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**TOY, "model": {"name": "image_gpt", "levels": 4, "width": 16, "depth": 2, "heads": 2}}

    def beginning(self, count: int, given: Tensor | None) -> Tensor:
        """The token before the first pixel: that of the class, or of all classes together. (count, 1, width)."""
        token = self.start.weight.mean(0).expand(count, -1) if given is None else self.start(given)
        return token[:, None]

    def places(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        batch, channels, rows, across = codes.shape
        words = self.words(codes.permute(0, 2, 3, 1).flatten(1))  # (batch, places, width)
        places = words.shape[1]
        h = torch.cat([self.beginning(batch, given), words[:, :-1]], 1) + self.positions[:places]
        for block in self.blocks:
            h = block(h, self.allowed[:places, :places])
        return self.norm(h).view(batch, rows, across, channels * self.each).permute(0, 3, 1, 2)

    def place(self, codes: Tensor, at: tuple[int, int, int], given: Tensor | None, memory: dict[str, Any]) -> Tensor:
        row, column, channel = at
        number = (row * self.across + column) * self.channels + channel
        if number:
            pixel, before = divmod(number - 1, self.channels)
            h = self.words(codes[:, before, pixel // self.across, pixel % self.across])[:, None]
        else:
            h = self.beginning(len(codes), given)
        h = h + self.positions[number]
        for depth, block in enumerate(self.blocks):
            h = one_token(block, h, memory.setdefault(str(depth), []))
        out = h.new_zeros(len(codes), self.channels, self.each)
        out[:, channel] = self.norm(h)[:, 0]
        return out.flatten(1)


def one_token(block: Any, h: Tensor, memory: list[Tensor]) -> Tensor:
    """A block at the newest token; `memory` holds the keys and values of those before.

    Shapes: (batch, 1, width) → the same.
    """
    query, key, value = block.attn.queries_keys_values(block.norm1(h))
    if memory:
        key, value = (torch.cat([old, new], 2) for old, new in zip(memory, (key, value), strict=True))
    memory[:] = [key, value]
    out = attention(query, key, value)  # (batch, heads, 1, d)
    h = h + block.attn.proj(out.transpose(1, 2).reshape(h.shape))
    return h + block.mlp(block.norm2(h))


def initialise(f: nn.Module) -> None:
    """N(0, 0.02²) for all matrices and vectors of words and places, 0 for biases, as published."""
    for name, parameter in f.named_parameters():
        if name.startswith("head"):
            continue
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
