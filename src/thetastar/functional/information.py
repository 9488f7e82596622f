"""How much is unknown, in nats or bits: entropies and divergences of distributions over the last axis.

Distributions are given as probabilities, or as logits z with p = softmax(z); then nothing is exponentiated that need
not be. 0 · log 0 = 0 throughout. `base` is that of the logarithm: e for nats, 2 for bits.

Source: Shannon 1948, A mathematical theory of communication; Kullback and Leibler 1951, On information and sufficiency;
Lin 1991, Divergence measures based on the Shannon entropy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thetastar.functional.losses import full


def log_sum_exp(z: Tensor) -> Tensor:
    """log Σ_j exp(z_j) = m + log Σ_j exp(z_j − m) with m = max_j z_j: between m and m + log q for q entries.

    Shapes: (…, q) → (…).
    """
    return torch.logsumexp(full(z), -1)


def surprisal(p: Tensor, *, logits: bool = False, base: float = math.e) -> Tensor:
    """−log p of each outcome, ∞ for what cannot happen; of logits log Σ exp(z) − z_j.

    Shapes: (…, classes) → (…, classes).
    """
    p = full(p)
    return (-torch.log_softmax(p, -1) if logits else -p.log()) / math.log(base)


def entropy(p: Tensor, *, logits: bool = False, base: float = math.e) -> Tensor:
    """H(P) = −Σ_j p_j log p_j: 0 where one outcome is certain, log q where all of q are alike.

    Shapes: (…, classes) → (…).
    """
    return cross_entropy(p, p, logits=logits, base=base)


def cross_entropy(p: Tensor, q: Tensor, *, logits: bool = False, base: float = math.e) -> Tensor:
    """H(P, Q) = −Σ_j p_j log q_j = H(P) + KL(P ‖ Q); ∞ where Q excludes what P allows.

    Shapes: (…, classes)² → (…).
    """
    share = _shares(p, logits)
    return (share * _costs(q, share > 0, logits, base)).sum(-1)


def kl(p: Tensor, q: Tensor, *, logits: bool = False, base: float = math.e) -> Tensor:
    """KL(P ‖ Q) = Σ_j p_j log(p_j / q_j) ≥ 0, 0 where P = Q alone; not KL(Q ‖ P).

    Shapes: (…, classes)² → (…).
    """
    share = _shares(p, logits)
    here, there = (_costs(each, share > 0, logits, base) for each in (p, q))
    return (share * (there - here)).sum(-1)


def js(p: Tensor, q: Tensor, *, logits: bool = False, base: float = math.e) -> Tensor:
    """JS(P, Q) = ½ KL(P ‖ M) + ½ KL(Q ‖ M) with M = ½ (P + Q): the same both ways, in [0, log 2].

    Shapes: (…, classes)² → (…).
    """
    first, second = _shares(p, logits), _shares(q, logits)
    middle = (first + second) / 2
    return (kl(first, middle, base=base) + kl(second, middle, base=base)) / 2


def mutual_information(joint: Tensor, *, base: float = math.e) -> Tensor:
    """I(X; Y) = Σ_xy p(x, y) log(p(x, y) / (p(x) p(y))) = H(X) + H(Y) − H(X, Y): in [0, min(H(X), H(Y))].

    Args:
        joint: a table of probabilities or of counts, rows x and columns y; not all 0.

    Shapes: (…, rows, columns) → (…).
    """
    joint = full(joint)
    joint = joint / joint.sum((-2, -1), keepdim=True)
    apart = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return kl(joint.flatten(-2), apart.flatten(-2), base=base)


def mutual_information_of_labels(x: Tensor, y: Tensor, *, base: float = math.e) -> Tensor:
    """I(X; Y) of two labellings of the same examples, from how often each pair of labels occurs.

    Shapes: (n,)² of any labels → (), in float64.
    """
    (rows, of), (columns, at) = (torch.unique(labels, return_inverse=True) for labels in (x, y))
    pairs = torch.bincount(of * len(columns) + at, minlength=len(rows) * len(columns))
    return mutual_information(pairs.double().reshape(len(rows), len(columns)), base=base)


def _shares(p: Tensor, logits: bool) -> Tensor:
    return torch.softmax(full(p), -1) if logits else full(p)


def _costs(q: Tensor, possible: Tensor, logits: bool, base: float) -> Tensor:
    """−log q_j; 0, and without a gradient, where what costs it never happens."""
    q = q if logits else full(q).where(possible, 1.0)
    return surprisal(q, logits=logits, base=base).where(possible, 0.0)
