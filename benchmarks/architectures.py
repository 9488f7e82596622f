"""Forward and backward of ResNet-50 and ViT-S beside plain transcriptions of the same networks.

    python -m benchmarks.architectures [--compile] [--repeats 9] [--out benchmarks/results/architectures.json]

The transcriptions below are what one writes by hand in PyTorch, in-place activations included. Both get the same
weights, images, precision, memory layout and compile flag, and take turns in one process, each first in every other
turn, so that what disturbs the machine disturbs both; the median of the turns' ratios is what counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.turns import Line
from thetastar import registry
from thetastar.hardware import choose_device, choose_precision, provenance
from thetastar.protocols import Field, Model, Schema

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Step = Callable[[], None]


class PlainBottleneck(nn.Module):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if stride != 1 or inputs != 4 * planes:
            projection = nn.Conv2d(inputs, 4 * planes, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return F.relu(out, inplace=True)


class PlainResNet(nn.Module):
    def __init__(self, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.inputs = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self.make_layer(width, blocks[0], stride=1)
        self.layer2 = self.make_layer(2 * width, blocks[1], stride=2)
        self.layer3 = self.make_layer(4 * width, blocks[2], stride=2)
        self.layer4 = self.make_layer(8 * width, blocks[3], stride=2)
        self.fc = nn.Linear(32 * width, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def make_layer(self, planes: int, blocks: int, stride: int) -> nn.Sequential:
        layers = []
        for block in range(blocks):
            layers.append(PlainBottleneck(self.inputs, planes, stride if block == 0 else 1))
            self.inputs = 4 * planes
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PlainAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))


class PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = PlainAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class PlainViT(nn.Module):
    def __init__(
        self, size: int, patch: int = 16, width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000
    ) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, kernel_size=patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (size // patch) ** 2, width))
        self.blocks = nn.Sequential(*[PlainBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


@dataclass(frozen=True)
class Setting:
    """What both networks of a comparison have in common."""

    model: str
    device: str
    precision: str
    layout: str
    compiled: bool
    size: int
    batch: int


def ours(spec: dict[str, Any], size: int, classes: int = 1000) -> Model:
    field = Field("image", (3, size, size), mean=MEAN, std=STD)
    return registry.build("models", spec, Schema(field, Field("category", (), classes)))


def with_weights_of(f: Model, plain: nn.Module) -> nn.Module:
    """The transcription with the weights and moments of our network."""
    state: dict[str, Tensor] = {}
    for key, value in f.state_dict().items():
        if key.startswith("standardise."):
            continue
        known = next((mine for mine in f.keys if key.startswith(mine)), None)
        state[f.keys[known] + key.removeprefix(known) if known else key] = value
    plain.load_state_dict(state)
    return plain


def pair(model: str, size: int) -> tuple[Model, nn.Module]:
    """Our network as published, and its transcription with the same weights."""
    if model == "resnet50":
        f = ours({"name": "resnet50", "stem": "full"}, size)
        return f, with_weights_of(f, PlainResNet())
    f = ours({"name": "vit_small", "patch": 16}, size)
    return f, with_weights_of(f, PlainViT(size))


def training_step(f: nn.Module, setting: Setting) -> Step:
    """Forward and backward of one batch; gradients are made anew each time."""
    layout = torch.channels_last if setting.layout == "channels_last" else torch.contiguous_format
    device = torch.device(setting.device)
    f = f.to(device).to(memory_format=layout).train()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(setting.batch, 3, setting.size, setting.size, generator=generator).to(device, memory_format=layout)
    y = torch.randint(0, 1000, (setting.batch,), generator=generator).to(device)
    run = torch.compile(f) if setting.compiled else f

    def step() -> None:
        f.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16"):
            loss = F.cross_entropy(run(x), y)
        loss.backward()

    return step


def seconds(step: Step, steps: int, device: str) -> float:
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return time.perf_counter() - began


def measured(setting: Setting, repeats: int, steps: int) -> dict[str, Any]:
    f, plain = pair(setting.model, setting.size)
    loops = {"ours": training_step(f, setting), "plain": training_step(plain, setting)}
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for step in loops.values():
        seconds(step, 2, setting.device)
    for turn in range(repeats):
        for name in sorted(loops, reverse=bool(turn % 2)):
            taken[name].append(seconds(loops[name], steps, setting.device))
    return asdict(setting) | {"steps": steps} | summary(taken, setting.batch * steps)


def summary(taken: dict[str, list[float]], images: int) -> dict[str, Any]:
    """Images a second of both, and the median over turns of how many times as fast ours is."""
    ratios = sorted(plain / mine for plain, mine in zip(taken["plain"], taken["ours"], strict=True))
    count = len(ratios)
    return {
        "images_per_second": round(images / statistics.median(taken["ours"]), 2),
        "images_per_second_plain": round(images / statistics.median(taken["plain"]), 2),
        "to_plain": round(statistics.median(ratios), 3),
        "to_plain_quartiles": [round(ratios[count // 4], 3), round(ratios[3 * count // 4], 3)],
        "seconds": {name: [round(value, 5) for value in values] for name, values in taken.items()},
    }


def lines(found: Mapping[str, Any]) -> list[Line]:
    """For the table of all ratios."""
    form = "{model} {size}² batch {batch} {precision}"
    return [
        Line(form.format(**row), "ours", "plain transcription", row["to_plain"], tuple(row["to_plain_quartiles"]), 0.95)
        for row in found["rows"]
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["resnet50", "vit_small"], default=["resnet50", "vit_small"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto")
    parser.add_argument("--layout", choices=["channels_last", "contiguous"], default="channels_last")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side, a multiple of 16")
    parser.add_argument("--batch", type=int, help="images a step (8 on a CPU, 128 on a GPU)")
    parser.add_argument("--steps", type=int, help="steps a turn (1 on a CPU, 20 on a GPU)")
    parser.add_argument("--repeats", type=int, default=9, help="turns")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    batch, steps = (128, 20) if device.type == "cuda" else (8, 1)
    rows: list[dict[str, Any]] = []
    for model in options.models:
        precision = choose_precision(options.precision, device, pair(model, options.size)[0], "classification")
        batch = options.batch or batch
        setting = Setting(model, str(device), precision, options.layout, options.compile, options.size, batch)
        rows.append(measured(setting, options.repeats, options.steps or steps))
        print(
            "{model} {size}×{size} batch {batch} {precision} {layout} on {device}: {images_per_second:.1f} images/s, "
            "{to_plain:.3f} × the plain transcription {to_plain_quartiles}".format(**rows[-1]),
            flush=True,
        )
    if options.out:
        options.out.write_text(json.dumps({"rows": rows, "provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
