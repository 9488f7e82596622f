"""The block of a transformer: attention among tokens, then a small perceptron on each of them.

Source: Vaswani et al. 2017, Attention is all you need; Xiong et al. 2020, On layer normalization in the transformer
architecture (the normalisation that comes first).
"""

from __future__ import annotations

from torch import Tensor, nn

from thetastar.functional.attention import attention
from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout, StochasticDepth


class Attention(nn.Module):
    """Multi-head self-attention: y = W_o concat_h(softmax(Q_h K_hᵀ / √d) V_h) + b_o, where Q, K, V = W x + b.

    Args:
        width: of a token, a multiple of `heads`.
        heads: each of d = width / heads numbers.
        dropout: share of the output dropped in training, in [0, 1).

    Shapes: (batch, tokens, width), allowed (…, tokens, tokens) → (batch, tokens, width).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.proj_drop = Dropout(dropout)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, tokens, width) → three times (batch, heads, tokens, d)."""
        batch, tokens, width = x.shape
        split = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def forward(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        out = attention(*self.queries_keys_values(x), allowed)  # (batch, heads, tokens, d)
        return self.proj_drop(self.proj(out.transpose(1, 2).reshape(x.shape)))


class Mlp(nn.Module):
    """y = W₂ φ(W₁ x + b₁) + b₂ on each token.

    Args:
        width: of a token.
        hidden: units.
        activation: φ.
        dropout: share of the hidden units, and of the output, dropped in training.

    Shapes: (…, width) → (…, width).
    """

    def __init__(self, width: int, hidden: int, activation: Activation = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1, self.act, self.drop1 = nn.Linear(width, hidden), phi(activation), Dropout(dropout)
        self.fc2, self.drop2 = nn.Linear(hidden, width), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(x)))))


class Block(nn.Module):
    """x ← x + Attention(N(x)); x ← x + Mlp(N(x)).

    Args:
        width: of a token.
        heads: of the attention, a divisor of `width`.
        ratio: hidden units of the perceptron over `width`.
        dropout: share dropped of what either part adds, and of the hidden units.
        skipped: share of examples for which either part adds nothing in training.
        activation: of the perceptron.
        epsilon: ε of the normalisation.

    Shapes: (batch, tokens, width) → (batch, tokens, width).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        ratio: float = 4.0,
        dropout: float = 0.0,
        skipped: float = 0.0,
        activation: Activation = "gelu",
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, epsilon)
        self.attn = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width, epsilon)
        self.mlp = Mlp(width, int(width * ratio), activation, dropout)
        self.drop_path = StochasticDepth(skipped)

    def forward(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), allowed))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def depths(skipped: float, blocks: int) -> list[float]:
    """Shares of skipped examples block by block: from 0 in even steps to `skipped`, deeper blocks more often."""
    return [skipped * block / max(blocks - 1, 1) for block in range(blocks)]
