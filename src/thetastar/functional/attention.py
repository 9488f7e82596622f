"""Attention: every token asks all tokens, and takes from each as much as its key answers the query.

Source: Vaswani et al. 2017, Attention is all you need.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class Attended:
    """What attention computes on its way.

    Shapes: scores, weights (…, queries, keys); output (…, queries, width).
    """

    scores: Tensor
    weights: Tensor
    output: Tensor


def attention_in_steps(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Attended:
    """S = Q Kᵀ / √d, A = softmax(S) over the keys, output A V: the same as `attention`, with all that is between.

    Args:
        query, key: d numbers a token.
        value: what a token hands on.
        allowed: True where a query may look; the score is −∞ elsewhere.

    Shapes: (…, queries, d), (…, keys, d), (…, keys, width), (…, queries, keys) → `Attended`.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (…, queries, keys)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    weights = scores.softmax(-1)
    return Attended(scores, weights, weights @ value)


def attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
    """softmax(Q Kᵀ / √d) V in one kernel, which never holds all weights at once where it need not.

    Shapes: as of `attention_in_steps` → (…, queries, width).
    """
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)


def in_plain_products() -> AbstractContextManager[object]:
    """A block in which `attention` is made of products and sums.

    Its fused kernels have no second derivative, and for the CPU no form that runs over a stack of nets at once.
    """
    return sdpa_kernel(SDPBackend.MATH)


def causal(tokens: int, device: torch.device | None = None) -> Tensor:
    """True where a token may look when it must not see those that follow.

    Shapes: → (tokens, tokens).
    """
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def rollout(weights: list[Tensor]) -> Tensor:
    """R = R_L ⋯ R_1 with R_l = (I + mean over heads of A_l) / 2: how much of each input token is in each output token.

    The I is the skip connection past the attention. Every row sums to one.

    Args:
        weights: A_l of every block in order.

    Shapes: each (batch, heads, tokens, tokens) → (batch, tokens, tokens).

    Source: Abnar and Zuidema 2020, Quantifying attention flow in transformers.
    """
    mixed = [(one.mean(1) + torch.eye(one.shape[-1], dtype=one.dtype, device=one.device)) / 2 for one in weights]
    total = mixed[0]
    for one in mixed[1:]:
        total = one @ total
    return total
