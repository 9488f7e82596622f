"""The Transformer encoder of texts: what fills up counts for nothing, and the forward pass written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from thetastar.errors import UserError
from thetastar.models.text_transformer import text_transformer
from thetastar.protocols import Field, Schema

SCHEMA = Schema(Field("tokens", (9,), classes=30), Field("category", (), 3))


def made() -> text_transformer:
    torch.manual_seed(0)
    return text_transformer(SCHEMA, width=8, depth=2, heads=2).double().eval()


def test_what_fills_up_counts_for_nothing() -> None:
    f, x = made(), torch.tensor([[2, 7, 8, 3, 0, 0, 0, 0, 0], [2, 9, 9, 9, 9, 9, 9, 9, 3]])
    whole = f(x)
    torch.testing.assert_close(f(x[:1, :4]), whole[:1])
    f.embed.weight.data[0] = 100.0
    torch.testing.assert_close(f(x), whole)
    assert not torch.allclose(f(torch.tensor([[2, 8, 7, 3, 0, 0, 0, 0, 0]])), whole[:1])  # order matters


def test_the_forward_pass_written_out() -> None:
    f, x = made(), torch.tensor([[2, 7, 8, 3, 0, 0]])
    z = f.embed.weight[x[0]] + f.places[:6]
    for block in f.blocks:
        h = nn.functional.layer_norm(z, (8,), block.norm1.weight, block.norm1.bias, 1e-6)
        query, key, value = (h @ block.attn.qkv.weight.T + block.attn.qkv.bias).split(8, 1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            scores = query[:, part] @ key[:, part].T / math.sqrt(4)
            scores[:, 4:] = -math.inf
            heads.append(scores.softmax(1) @ value[:, part])
        z = z + torch.cat(heads, 1) @ block.attn.proj.weight.T + block.attn.proj.bias
        h = nn.functional.layer_norm(z, (8,), block.norm2.weight, block.norm2.bias, 1e-6)
        h = nn.functional.gelu(h @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
        z = z + h @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
    z = nn.functional.layer_norm(z, (8,), f.norm.weight, f.norm.bias)
    torch.testing.assert_close(f.features(x)[0], z[:4].mean(0))


def test_too_long_texts_and_other_inputs_are_refused() -> None:
    with pytest.raises(UserError, match="texts of 12 tokens"):
        made()(torch.ones(1, 12, dtype=torch.int64))
    with pytest.raises(UserError, match="on vector inputs"):
        text_transformer(Schema(Field("vector", (4,)), Field("category", (), 3)))
    with pytest.raises(UserError, match="width 10 and 4 heads"):
        text_transformer(SCHEMA, width=10)
