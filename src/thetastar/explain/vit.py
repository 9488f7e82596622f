"""A Vision Transformer on one image, stage by stage: patches, embedding, tokens, blocks, head."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor

from thetastar.errors import UserError
from thetastar.explain.attention_maps import Panel, drawn
from thetastar.explain.showing import Shown
from thetastar.functional.attention import Attended, attention_in_steps, rollout
from thetastar.functional.differentiation import deviation
from thetastar.layers.transformer import Block
from thetastar.models.vit import VisionTransformer
from thetastar.star import Star
from thetastar.terminal import console

SHADES = " ░▒▓█"
MOST = 5  # classes that are named


@dataclass(frozen=True)
class Looked:
    """One block: what its attention computed, and the tokens that it hands on.

    Shapes: query, key, value (heads, tokens, d); `attended` as of `attention_in_steps`; tokens (tokens, width).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    attended: Attended
    tokens: Tensor


@dataclass(frozen=True)
class Stages:
    """All that is computed on the way from one image to its outputs, without the axis of the batch.

    Shapes: pixels (channels, height, width); patches (n, P · P · channels); embedded (n, width);
    entered, left (tokens + n, width); output as the model's.
    """

    pixels: Tensor
    patches: Tensor
    embedded: Tensor
    entered: Tensor
    blocks: list[Looked]
    left: Tensor
    output: Tensor

    def shares(self, block: int) -> Tensor:
        """(heads, n): how much the class token takes from each patch."""
        weights = self.blocks[block].attended.weights
        return weights[:, 0, weights.shape[1] - len(self.embedded) :]

    @property
    def flow(self) -> Tensor:
        """(n,): the rollout's share of each patch in the class token."""
        whole = rollout([block.attended.weights[None] for block in self.blocks])[0]
        return whole[0, len(whole) - len(self.embedded) :]


@torch.no_grad()
def stages_of(f: VisionTransformer, x: Tensor) -> Stages:
    """The forward pass in steps; `f` in evaluation mode.

    Shapes: x (1, channels, height, width).
    """
    pixels = f.standardise(x)
    patches = torch.nn.functional.unfold(pixels, f.patch, stride=f.patch).transpose(1, 2)
    embedded = f.patch_embed(pixels)
    entered = z = f.embedded(x)
    looked: list[Looked] = []
    for block in f.blocks:
        assert isinstance(block, Block)
        query, key, value = block.attn.queries_keys_values(block.norm1(z))
        attended = attention_in_steps(query, key, value)
        z = z + block.attn.proj(attended.output.transpose(1, 2).reshape(z.shape))
        z = z + block.mlp(block.norm2(z))
        inside = Attended(attended.scores[0], attended.weights[0], attended.output[0])
        looked.append(Looked(query[0], key[0], value[0], inside, z[0]))
    left = f.norm(z)
    return Stages(pixels[0], patches[0], embedded[0], entered[0], looked, left[0], f.answered(left)[0])


def show(star: Star, raw: Any, title: str) -> Shown:
    """The stages of one image; numbers are those of the net in double precision."""
    f = check(star)
    net = copy.deepcopy(f).cpu().double().eval()
    x = (star.source.transform(raw) if star.source else {"input": torch.as_tensor(raw)})["input"].cpu().double()
    stages = stages_of(net, x)
    with torch.no_grad():
        apart = deviation(stages.output, net(x)[0])
    answers = answers_of(star, stages.output)
    label = f"{type(f).__name__} on {title}: {answers[0][0]}"
    data = {
        "model": type(f).__name__,
        "image": title,
        "stages": [{"stage": name, "is": words, "shape": shape} for name, words, shape in rows_of(net, stages)],
        "output": stages.output.tolist(),
        "answers": [{"name": name, "value": value} for name, value in answers],
        "class_attention": [stages.shares(i).unflatten(1, net.grid).tolist() for i in range(len(stages.blocks))],
        "rollout": stages.flow.unflatten(0, net.grid).tolist(),
        "first_head": first_head(stages),
        "deviation": apart,
    }
    panel = Panel(label, x[0], net.grid, [(name, words) for name, words, _ in rows_of(net, stages)], answers)
    maps = [stages.shares(i).unflatten(1, net.grid) for i in range(len(stages.blocks))]
    figure = drawn(panel, maps, stages.flow.unflatten(0, net.grid))
    return Shown(parts(net, stages, answers, title, apart), data, figure, label)


def check(star: Star, what: str = "vit") -> VisionTransformer:
    """The net of a run, if it is a Vision Transformer; `what` asks for it."""
    f = star.program.f
    if not isinstance(f, VisionTransformer):
        got, expected = f"{what} of a run of {type(f).__name__}", "a run of a Vision Transformer, such as vit_tiny"
        raise UserError(got, expected, "choose another run")
    return f


def first_head(stages: Stages) -> dict[str, Any]:
    """What the class token computes in the first head of the first block."""
    block = stages.blocks[0]
    attended = {"scores": block.attended.scores, "weights": block.attended.weights, "output": block.attended.output}
    return {
        "query": block.query[0, 0].tolist(),
        "key": block.key[0].tolist(),
        "value": block.value[0].tolist(),
        **{name: tensor[0, 0].tolist() for name, tensor in attended.items()},
    }


def rows_of(f: VisionTransformer, stages: Stages) -> list[tuple[str, str, list[int]]]:
    """The five stages: a name, what happens, and the shape that comes out."""
    channels, height, width = stages.pixels.shape
    count, size = stages.patches.shape
    block = stages.blocks[0]
    heads, tokens, d = block.query.shape
    front = "class token" if f.tokens == 1 else "class and distillation token"
    hidden = f.blocks[0].mlp.fc1.out_features  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    cut = f"{channels}×{height}×{width} → {count} patches of {f.patch}×{f.patch}"
    stem = type(f.patch_embed).__name__ == "PatchEmbed"
    places = "positions added" if f.pos_embed is not None else "no positions"
    several = "head" if heads == 1 else "heads"
    inside = (
        f"{len(stages.blocks)} × (attention, {heads} {several} of {d}; perceptron {f.width} → {hidden} → {f.width})"
    )
    return [
        ("1 patches", f"{cut} = {size} numbers each", [count, size]),
        ("2 embedding", f"{size} → {f.width}" if stem else f"convolutions → {f.width}", [count, f.width]),
        ("3 tokens", f"{front} in front, {places}", [tokens, f.width]),
        ("4 blocks", inside, [tokens, f.width]),
        ("5 head", f"{front} → outputs", list(stages.output.shape)),
    ]


def answers_of(star: Star, output: Tensor) -> list[tuple[str, float]]:
    """The likeliest classes with their probabilities; numbers as they are."""
    target = star.schema.target
    if target is None or target.kind == "number":
        return [(f"output {i + 1}", value) for i, value in enumerate(output.reshape(-1).tolist())][:MOST]
    shares = output.softmax(-1) if target.kind == "category" else output.sigmoid()
    best = shares.topk(min(MOST, len(shares)))
    names = [target.names[i] if target.names else str(i) for i in best.indices.tolist()]
    return list(zip(names, best.values.tolist(), strict=True))


def parts(
    f: VisionTransformer, stages: Stages, answers: list[tuple[str, float]], title: str, apart: float
) -> list[RenderableType]:
    """Stages, answers, how widely each head looks, and the rollout in shades."""
    table = console.table("stage", "what happens", "shape")
    for name, words, shape in rows_of(f, stages):
        table.add_row(name, words, " × ".join(map(str, shape)))
    looks = console.table("block", *(f"head {i + 1}" for i in range(len(stages.shares(0)))))
    for i, block in enumerate(stages.blocks):
        weights = block.attended.weights[:, 0]
        spread = torch.special.entr(weights).sum(-1).exp()
        looks.add_row(str(i + 1), *(f"{value:.1f}" for value in spread.tolist()))
    flow = stages.flow.unflatten(0, f.grid)
    grades = (
        ((flow - flow.min()) / (flow.max() - flow.min()).clamp_min(1e-12) * (len(SHADES) - 1)).round().int().tolist()
    )
    picture = "\n".join("  " + "".join(SHADES[grade] * 2 for grade in row) for row in grades)
    said = ", ".join(f"{name} {value:.3g}" for name, value in answers)
    tokens = len(stages.entered)
    return [
        Text(f"{type(f).__name__} on {title}\n"),
        table,
        Text(f"\noutputs: {said}"),
        Text(f"\nOf how many tokens ({tokens} at most) the class token takes, e to the entropy of its weights\n"),
        looks,
        Text(
            f"\nAttention rollout: {flow.min():.2%} to {flow.max():.2%} of the class token at the end is each patch\n"
        ),
        Text(picture),
        Text(f"\nLargest deviation of these steps from the forward pass, relative to its largest entry: {apart:.0e}."),
    ]
