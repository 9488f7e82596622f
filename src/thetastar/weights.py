"""The weights that f begins with, from a file: names are matched, sizes adapted, and all that did not fit is said.

A checkpoint is that of the model's architecture, by the names that are common for it (`Model.keys`) or by ours. What
depends on the task and the images may differ: the head, the first convolution, dense layers behind the last one, the
positions of patches, and whole modules that only one side has, such as auxiliary heads. All else must be there in the
right shape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isqrt
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.positions import Grid, resized
from thetastar.protocols import Model, Origin
from thetastar.recipe import Recipe
from thetastar.run import Run

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
ZIP, PICKLE = b"PK\x03\x04", b"\x80"  # what torch.save writes today, and wrote before 2020
WRAPPED = ("module.", "_orig_mod.", "model.")  # what tools put in front of every name
OURS = "f."  # in front of the model's names in a run's file
FREE = ("head.", "standardise.")  # what the task and the data at hand may change
SHOWN = 3
Size = torch.Size


@dataclass
class Fitting:
    """What of a file goes where: tensors by our names, what was adapted on the way, and what was left.

    Attributes:
        adapted: sentences, one for each tensor that was changed.
        fresh: names of ours that stay as they were drawn, with the two shapes where these are the reason.
        unused: names of the file.
        wrong: differences that make it another architecture.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    adapted: list[str] = field(default_factory=list[str])
    fresh: dict[str, str] = field(default_factory=dict[str, str])
    unused: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])


def begun(f: Model, engine: Mapping[str, Any]) -> Model:
    """f with the weights of a file, where the recipe names one; `f.said` tells what came of it.

    Args:
        f: as it was drawn; changed in place.
        engine: of the recipe.
    """
    if not engine.get("weights"):
        return f
    path, name = located(engine["weights"]), type(f).__name__
    if not any(True for _ in f.parameters()):
        raise UserError(f"{name} has no weights to begin with", "a net", "leave the weights out")
    data = read(path)
    found = fitted(f, plain(tensors_of(data, path)))
    if found.wrong:
        more = len(found.wrong) - SHOWN
        listed = "; ".join(found.wrong[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        do = "name the model, with the arguments, that they were trained with"
        raise UserError(f"{path.name} holds weights of another architecture: {listed}", f"those of a {name}", do)
    own = f.state_dict()
    with torch.no_grad():
        for key, tensor in found.tensors.items():
            own[key].copy_(tensor)
    f.origin = Origin(str(path), hashlib.sha256(data).hexdigest(), frozenset(found.tensors))
    f.said = [*f.said, *told(f, found, path)]
    return f


def located(place: str) -> Path:
    """The file; a run's folder stands for its model."""
    path = Path(place)
    return path / "model.safetensors" if path.is_dir() else path


def read(path: Path) -> bytes:
    """The bytes of a safetensors file; pickles, which can run code when they are opened, are refused unopened."""
    try:
        with path.open("rb") as file:
            start = file.read(9)  # of safetensors: how long the header is, and its first brace
            old = start.startswith(PICKLE) and not start.endswith(b"{")
            pickled = path.suffix in PICKLES or start.startswith(ZIP) or old
            data = b"" if pickled else start + file.read()
    except OSError as error:
        do = "check the path"
        raise UserError(f"cannot read {path}: {error.strerror}", "a safetensors file or a run's folder", do) from None
    if pickled:
        new = path.with_suffix(".safetensors").name
        do = (
            "where you trust it, convert it once: "
            f"safetensors.torch.save_file(torch.load('{path.name}', weights_only=True), '{new}')"
        )
        raise UserError(f"{path} is a pickle, which can run code when it is opened", "a safetensors file", do)
    return data


def tensors_of(data: bytes, path: Path) -> dict[str, Tensor]:
    """Tensors by name, all of finite numbers."""
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, KeyError) as error:  # a key error where torch has no such type of numbers
        got = f"{path} is no safetensors file, or was cut short: {error}"
        raise UserError(got, "a whole safetensors file", "fetch it again") from None
    if not tensors:
        raise UserError(f"{path} holds no tensors", "the weights of a net", "choose another file")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            got = f"{path}: {name} holds numbers that are not finite"
            raise UserError(got, "weights that can be trained", "choose another checkpoint")
    return tensors


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what stands in front of every name; of a run's file the model alone, without its method."""
    if any(name.startswith(OURS) for name in tensors):
        return {name.removeprefix(OURS): tensor for name, tensor in tensors.items() if name.startswith(OURS)}
    for front in WRAPPED:
        if all(name.startswith(front) for name in tensors):
            return plain({name.removeprefix(front): tensor for name, tensor in tensors.items()})
    return dict(tensors)


def common(name: str, keys: Mapping[str, str]) -> str:
    """One of our names as the usual checkpoints have it: the longest beginning in `keys` decides."""
    start = max((ours for ours in keys if name.startswith(ours)), key=len, default=None)
    return name if start is None else keys[start] + name.removeprefix(start)


def fitted(f: Model, given: Mapping[str, Tensor]) -> Fitting:
    """What of the checkpoint fits where."""
    own = {name: tensor for name, tensor in f.state_dict().items() if not counts(name)}
    both = ({name: common(name, keys) for name in own} for keys in (f.keys, {}))
    named = max(both, key=lambda names: sum(name in given for name in names.values()))
    heads = [(own[n].shape[:1], given[named[n]].shape[:1]) for n in own if of_head(n) and named[n] in given]
    stem, dense, found = first_convolution(f), behind(f), Fitting()
    for name, tensor in own.items():
        other = given.get(named[name])
        if other is None:
            found.fresh[name] = ""
        elif other.shape == tensor.shape and other.is_floating_point() == tensor.is_floating_point():
            found.tensors[name] = other
        elif name.startswith(FREE) or top(name) in dense or answers(tensor.shape, other.shape, heads):
            found.fresh[name] = f"{shape(tensor)} here, {shape(other)} there"
        elif name == stem and other.shape[:1] == tensor.shape[:1] and other.ndim == tensor.ndim:
            enter(found, name, other, tensor)
        elif not reposition(f, found, name, other, tensor):
            found.wrong.append(f"{named[name]} is {shape(other)} there, {shape(tensor)} here")
    renewed = {top(name) for name in found.fresh} & {"head", *dense}
    for name in [name for name in own if top(name) in renewed]:  # all of them or nothing
        found.fresh.setdefault(name, "")
        found.tensors.pop(name, None)
    compare(f, found, named, given)
    return found


def compare(f: Model, found: Fitting, named: Mapping[str, str], given: Mapping[str, Tensor]) -> None:
    """What only one side has: a head, or modules that the other does without altogether; else it is a difference."""
    taken, both = set(named.values()), {top(name) for name in named.values() if name in given}
    found.unused = sorted(name for name in given if name not in taken and not counts(name))
    here = [name for name in named if named[name] not in given and not name.startswith(FREE)]
    there = [name for name in found.unused if not name.startswith((*FREE, common("head.", f.keys)))]
    body = [name for name in named if not name.startswith(FREE)]
    if 2 * len(here) <= len(body) and any(name in found.tensors for name, _ in f.named_parameters()):
        here = [name for name in here if top(named[name]) in both]
        there = [name for name in there if top(name) in both]
    pairs = zip_longest((f"{named[name]} is only here" for name in here), (f"{name} is only there" for name in there))
    found.wrong += [line for pair in pairs for line in pair if line]


def counts(name: str) -> bool:
    """How many batches batch norm has seen: older files leave it out, and nothing rests on it."""
    return name.endswith("num_batches_tracked")


def of_head(name: str) -> bool:
    return name.startswith("head.")


def top(name: str) -> str:
    return name.split(".")[0]


def answers(own: Size, other: Size, heads: Sequence[tuple[Size, Size]]) -> bool:
    """Whether a tensor ends in as many outputs as the head, here and there: that of a second, auxiliary head."""
    return (own[:1], other[:1]) in heads and own[1:] == other[1:]


def first_convolution(f: Model) -> str | None:
    """The name of the weight that images meet first, where it is a convolution's."""
    for name, module in f.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{name}.weight"
    return None


def behind(f: Model) -> set[str]:
    """Rows of dense layers behind convolutions: their first sees as many numbers as the images leave it."""
    if first_convolution(f) is None:
        return set()
    flat = (nn.Linear, nn.BatchNorm1d, nn.LayerNorm)
    rows = {name: row for name, row in f.named_children() if isinstance(row, nn.Sequential) and name != "head"}
    weighty = {name: [layer for layer in row if list(layer.parameters())] for name, row in rows.items()}
    return {name for name, layers in weighty.items() if layers and all(isinstance(one, flat) for one in layers)}


def enter(found: Fitting, name: str, other: Tensor, own: Tensor) -> None:
    """The first convolution for images of other channels; one of another size is drawn anew."""
    if other.shape[2:] != own.shape[2:]:
        found.fresh[name] = f"{shape(own)} here, {shape(other)} there"
        return
    found.tensors[name] = rechannelled(other, own.shape[1])
    how = "summed over" if own.shape[1] == 1 else "spread from"
    found.adapted.append(f"{name} {how} {other.shape[1]} channels to {own.shape[1]}")


def rechannelled(weight: Tensor, channels: int) -> Tensor:
    """A kernel for images of other channels, which sees the same in grey images as before.

    W'_c = Σ_k W_k for a single channel, else W'_c = (C/C') W_{c mod C}: for grey images, whose channels are all alike,
    one channel makes exactly what C of them made, and so do C' that are a multiple of C.

    Shapes: (out, C, height, width) → (out, C', height, width).
    """
    count = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % count] * (count / channels)


def reposition(f: Model, found: Fitting, name: str, other: Tensor, own: Tensor) -> bool:
    """Positions of a square grid of patches, moved to the model's grid; False where they are none."""
    grid: Grid | None = getattr(f, "grid", None)
    if not name.endswith("pos_embed") or grid is None or other.ndim != 3 or other.shape[2] != own.shape[2]:
        return False
    tokens = own.shape[1] - grid[0] * grid[1]
    side = isqrt(max(other.shape[1] - tokens, 0))
    if not side or side * side != other.shape[1] - tokens:
        return False
    found.adapted.append(f"{name} moved from {side}×{side} to {grid[0]}×{grid[1]} patches")
    found.tensors[name] = resized(other, tokens, (side, side), grid)
    return True


def told(f: Model, found: Fitting, path: Path) -> list[str]:
    """What was read, adapted, drawn anew and not used, in two lines at most."""
    sizes = {name: parameter.numel() for name, parameter in f.named_parameters()}
    read = sum(size for name, size in sizes.items() if name in found.tensors)
    lines = [f"weights: {read:,} of {sum(sizes.values()):,} parameters from {path.name}"]
    lines[0] += "".join(f"; {one}" for one in found.adapted)
    if any(name.startswith("standardise.") for name in found.tensors):
        lines[0] += "; inputs are standardised as they were there"
    fresh = grouped((name for name in found.fresh if name in sizes), found.fresh)
    parts = [f"drawn anew: {', '.join(fresh)}"] if fresh else []
    parts += [f"not used: {', '.join(grouped(found.unused, {}))}"] if found.unused else []
    return [*lines, f"weights: {'; '.join(parts)}"] if parts else lines


def grouped(names: Iterable[str], why: Mapping[str, str]) -> list[str]:
    """Names by the module that holds them, each with its count or its reason."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(top(name), []).append(name)
    found: list[str] = []
    for module, inside in modules.items():
        reason = next((why[name] for name in inside if why.get(name)), "")
        found.append(module + (f" ({reason})" if reason else f" ({len(inside)} tensors)" if len(inside) > 1 else ""))
    return found


def shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


# --- recipes and runs ----------------------------------------------------------------------------------------------


def without(recipe: Recipe) -> Recipe:
    """The recipe of a program whose weights come from elsewhere: from a checkpoint, or from a finished run."""
    return recipe.replace(engine={name: value for name, value in recipe.engine.items() if name != "weights"})


def provenance(f: Model) -> dict[str, Any]:
    """The file that f began with, for the run folder; nothing where its weights were drawn."""
    return {"weights": {"file": f.origin.file, "sha256": f.origin.sha256}} if f.origin.file else {}


def refuse_other(run: Run) -> None:
    """A file that is not the one the run began with; one that is gone is not missed, for it is read only once."""
    recorded = run.provenance.get("weights")
    if not recorded or not (path := Path(recorded["file"])).is_file():
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != recorded["sha256"]:
        got = f"{path} has changed since {run.path} began with it"
        raise UserError(got, "the weights that it began with", "restore them, or begin a run in another folder")
