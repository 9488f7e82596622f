"""A whole split as its examples are, for learners that take it in once, at once or in parts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from thetastar.functional.keys import generator
from thetastar.functional.nested import mapped, rows_of
from thetastar.protocols import Batch, Clock, Split, Stream


def plain_batches(stream: Stream, split: Split, t: Clock) -> Iterator[Batch]:
    """The examples of a split in parts, each once and as it is, in an order that the seed draws.

    The batches of training may leave out the last examples or change all of them at random, so a stream that can give
    its `examples` is asked for those.
    """
    examples = getattr(stream, "examples", None)
    if examples is None:
        yield from stream.batches(split, Clock(t.seed))
        return
    whole: Batch = examples(split)
    order = torch.randperm(rows_of(whole), generator=generator(t.seed, "plain"))
    for part in order.split(stream.batch_size):
        yield mapped(lambda column, part=part: column.index_select(0, part.to(column.device)), whole)


def gathered(stream: Stream, split: Split, t: Clock) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of all rows of a split, each once, in the order in which they are stored, not that of the pass.

    So what is learnt from them depends on the seed only where the learner itself draws. A pass may leave rows out,
    repeat or change them at random, so a stream that can give its `examples` as they are is asked for those.
    """
    examples = getattr(stream, "examples", None)
    if examples is not None:
        batch = examples(split)
        return batch["input"], batch["target"]
    inputs: list[Tensor] = []
    targets: list[Tensor] = []
    rows: list[Tensor] = []
    for batch in stream.batches(split, Clock(t.seed)):
        inputs.append(batch["input"])
        targets.append(batch["target"])
        if "index" in batch:
            rows.append(batch["index"])
    x, y = torch.cat(inputs), torch.cat(targets)
    if not rows:
        return x, y
    order = torch.cat(rows).argsort()
    return x[order], y[order]


def vote_logits(votes: Tensor, voters: int | Tensor, prior: float | Tensor) -> Tensor:
    """log((n_c + λ/C) / (n + λ)): votes for each of C classes, smoothed by λ voters who are of every opinion.

    Without them a class that got no vote would have probability 0, and one such example an infinite negative
    log-likelihood. Order and ties are kept. Source: Perks 1947, Some observations on inverse probability.

    Shapes: votes (batch, classes) that sum to `voters`.
    """
    return torch.log((votes + prior / votes.shape[-1]) / (voters + prior))


def label_logits(votes: Tensor, voters: int | Tensor, prior: float | Tensor) -> Tensor:
    """log((n₁ + λ/2) / (n₀ + λ/2)): the same for labels that are each there or not, as the logit of the sigmoid."""
    return torch.log((votes + prior / 2) / (voters - votes + prior / 2))


def in_deviations(y: Tensor) -> tuple[Tensor, Tensor]:
    """Several numbers an example in units of each one's deviation, and these: so none counts more for its unit.

    A single number keeps its own: there is nothing that it could outweigh.

    Shapes: (rows,) or (rows, outputs) → the same in float64, and () or (outputs,).
    """
    y = y.double()
    if y.ndim == 1:
        return y, y.new_ones(())
    spread = y.std(0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    return y / spread, spread
