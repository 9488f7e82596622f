"""Features of a star before and after training, laid out in the plane so that neighbours stay neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.outer.embedding import at_hand, batches_of, embedded
from thetastar.outer.retrieval import found
from thetastar.protocols import Split
from thetastar.star import Star

POINTS = 600  # of a layout
PERPLEXITY = 30.0
FEWEST = 10


@dataclass(frozen=True)
class Layout:
    """The same examples before and after.

    Attributes:
        rows: their numbers in the data.
        classes: of each, None where there are none.
        places: before and after, (rows, 2) each, in [−1, 1].
        agreement: the share whose nearest neighbour among the features, not in the plane, is of the same class; before
            and after.
    """

    rows: Tensor
    classes: Tensor | None
    places: tuple[NDArray[Any], NDArray[Any]]
    agreement: tuple[float, float] | None


def layout(star: Star, split: Split) -> Layout | None:
    """Up to 600 examples of a split, drawn by the seed of the run; None where there are too few, or no features.

    Before training is the program with the weights that the recipe begins with.
    """
    stream = at_hand(star.stream)
    every = torch.from_numpy(stream.rows[split])
    if len(every) < FEWEST:
        return None
    order = torch.randperm(len(every), generator=generator(star.recipe.seed, "layout"))
    rows = every[order[:POINTS]].sort().values
    batches = list(batches_of(stream, rows, star.rows_at_once))
    inputs = [batch["input"] for batch in batches]
    begun = Star(equation.assemble(star.recipe, star.schema), star.recipe, star.schema, None, {}, {})
    begun.program.to(star.device)
    try:
        vectors = [embedded(one, inputs) for one in (begun, star)]
    except UserError:
        return None  # what gives no features has no layout
    target = star.schema.target
    classes = agreement = None
    if target is not None and target.kind == "category":
        classes = torch.cat([batch["target"].cpu() for batch in batches])
        before, after = (float(found(one, classes, (1,)).double().mean()) for one in vectors)
        agreement = (before, after)
    places = (plane(vectors[0], star.recipe.seed), plane(vectors[1], star.recipe.seed))
    return Layout(rows, classes, places, agreement)


def plane(vectors: Tensor, seed: int) -> NDArray[Any]:
    """t-SNE of vectors of unit length, begun at their first two principal axes: (rows, width) → (rows, 2) in [−1, 1].

    Source: van der Maaten and Hinton 2008, Visualizing data using t-SNE.
    """
    from sklearn.manifold import TSNE

    x = torch.nn.functional.normalize(vectors, dim=1).double().numpy()
    if np.ptp(x, axis=0).max() < 1e-9:  # collapsed: all are at one place
        return np.zeros((len(x), 2))
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    init: Any = "pca" if x.shape[1] >= 2 else "random"
    places = TSNE(2, perplexity=perplexity, init=init, random_state=seed % 2**32, max_iter=500).fit_transform(x)
    places = places - places.mean(0)
    return places / np.abs(places).max()
