"""Pictures that a method makes: what it draws, paints or fills in, beside images of the data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thetastar.data.resident import resident
from thetastar.data.wrapping import Wrapping
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.outer import wording
from thetastar.protocols import Split
from thetastar.report.page import Section, section
from thetastar.star import load

COUNT, SIDE, GAP = 12, 56, 4  # images of a strip; pixels of a tile's longer side at least, and between tiles
ASKED = frozenset({"pictures", "samples"})


def pictures(runs: Mapping[str, Path], split: Split) -> Section | None:
    """A run of each learner; None where none of them makes pictures."""
    strips = {wording.spoken(name): made(path, split) for name, path in runs.items()}
    found = {name: [strip(*one) for one in made.items()] for name, made in strips.items() if made}
    if not found:
        return None
    drawn = any("samples" in made for made in strips.values())
    return section("pictures", "Pictures", learners=found, split=split, drawn=drawn)


def made(path: Path, split: Split) -> dict[str, Tensor]:
    """What the method of a run makes of some examples, by name, (count, channels, height, width) in [0, 1].

    Samples are of the same classes as the examples beside them where the model is told the class.
    """
    star = load(path)
    try:
        stream = star.stream
    except UserError:
        return {}  # what was drawn can only be judged beside the data
    if not isinstance(stream, resident | Wrapping) or not stream.size(split):
        return {}
    batch = stream.sample(split, COUNT)
    if not isinstance(batch["input"], Tensor) or not pictorial(batch["input"]):
        return {}
    stream.to(star.device)
    with torch.no_grad(), seeded(star.recipe.seed, "pictures"):
        out = star.program.method.predict(star.program.f, stream.sample(split, COUNT), ASKED, star.clock)
    found = {name: x.detach().float().cpu().clamp(0, 1) for name, x in out.items() if pictorial(x)}
    return {f"images of {split}": batch["input"].cpu(), **found} if "samples" in found else found


def pictorial(x: Tensor) -> bool:
    """Whether these are grey or coloured images."""
    return x.ndim == 4 and x.shape[1] in (1, 3)


def strip(name: str, images: Tensor) -> dict[str, Any]:
    """Images beside one another as the data URI of a PNG."""
    pixels: NDArray[np.uint8] = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    share = max(1, -(-SIDE // max(pixels.shape[1:3])))
    height, width = (share * side for side in pixels.shape[1:3])
    page = Image.new("RGB", (len(pixels) * (width + GAP) - GAP, height), (255, 255, 255))
    for place, one in enumerate(pixels):
        tile = Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one).convert("RGB")
        page.paste(tile.resize((width, height), Image.Resampling.NEAREST), (place * (width + GAP), 0))
    stream = io.BytesIO()
    page.save(stream, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    return {"name": name, "picture": uri, "count": len(pixels)}
