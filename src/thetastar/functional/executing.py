"""Who of a stack runs when: all members in one call, one after the other, or in threads."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from thetastar.functional.attention import in_plain_products
from thetastar.functional.keys import reseed
from thetastar.functional.nested import mapped
from thetastar.functional.stacking import COUNTER, Member, Numbers, Place, Tensors, stacks_of
from thetastar.functional.wrapping import uncached_casts
from thetastar.protocols import Batch

MEMBERS = "members"  # the part of a batch that has a batch for each member, (members, batch, …)
Said = tuple[Tensors, Tensors, Tensors]  # scalars, scalars to log, and what there is of every example
Call = Callable[[Member, Tensors, Any, Mapping[Place, Any], Batch], Said]


def at_once(call: Call, member: Member, keys: Sequence[int], numbers: Numbers, batch: Batch) -> Said:
    """All members in one call over their stacks.

    Args:
        call: (member, its tensors, key, numbers, batch) → what it says.
        member: holds the stacks.
        keys: of each member's draws.
        numbers: in which members differ.
        batch: the same for all, or with a part for each.

    Shapes: scalars (K,); of examples (batch, K, …), examples in front as whoever joins batches expects.
    """
    stacks = stacks_of(member)
    like = next(iter(stacks.values()))  # a weight: in another precision, scalars would draw the loss with them
    device = like.device
    held = like.new_tensor(list(numbers.values())).view(-1, len(keys))

    def alone(tensors: Tensors, key: Tensor, values: Tensor, batch: Batch) -> Said:
        return call(member, tensors, key, dict(zip(numbers, values, strict=True)), batch)

    dims = (0, 0, 1, 0 if MEMBERS in batch else None)
    every = vmap(alone, in_dims=dims, randomness="different")
    with uncached_casts(), in_plain_products():
        said, log, carry = every(stacks, torch.tensor(keys, device=device), held, batch.get(MEMBERS, batch))
    # of what is the same for all, as the rows of a batch, torch cannot put the members anywhere but in front
    return said, log, mapped(lambda x: x.movedim(0, 1), carry)


def by_turns(
    call: Call,
    member: Member,
    keys: Sequence[int],
    numbers: Numbers,
    batch: Batch,
    which: Sequence[int],
    stepped: Sequence[str] = (),
    copies: Sequence[Member] = (),
) -> tuple[Said, list[Tensor | None]]:
    """Members one after the other, or in threads where there are `copies`, one each; who is not in `which` says 0.

    The gradients of the scalar "value" in the tensors `stepped` come with it, so that one member's memory is free
    before the next begins.
    """
    stacks = stacks_of(member)
    counters = {name: buffer for name, buffer in member.named_buffers() if name.endswith(COUNTER)}

    def one(worker: int, k: int) -> tuple[Said, Sequence[Tensor | None]]:
        tensors = {name: stack.detach()[k] for name, stack in stacks.items()}
        tensors |= counters if k == which[-1] else {name: count.clone() for name, count in counters.items()}
        leaves = [tensors[name].requires_grad_() for name in stepped]
        if not copies:
            reseed(keys[k])
        own = mapped(lambda part: part[k], batch[MEMBERS]) if MEMBERS in batch else batch
        here = {place: values[k] for place, values in numbers.items()}
        said = call(copies[worker] if copies else member, tensors, keys[k], here, own)
        slopes = torch.autograd.grad(said[0]["value"], leaves, allow_unused=True) if leaves else ()
        return tuple(mapped(Tensor.detach, part) for part in said), slopes  # type: ignore[return-value]

    alike(copies, member)
    with uncached_casts():
        found = on_threads(one, which, len(copies)) if copies else [one(0, k) for k in which]
    said, slopes = zip(*found, strict=True)
    parts = [
        {name: scattered([part[name] for part in column], which, len(keys), dim) for name in column[0]}
        for column, dim in zip(zip(*said, strict=True), (0, 0, 1), strict=True)
    ]
    return tuple(parts), [scattered(column, which, len(keys)) for column in zip(*slopes, strict=True)]  # type: ignore[return-value]


def scattered(values: Sequence[Any], which: Sequence[int], count: int, dim: int = 0) -> Any:
    """One value of each of `count` members along `dim`, 0 for those not in `which`; None where it is for all."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    empty = torch.zeros_like(known[0])
    by = {k: empty if value is None else value for k, value in zip(which, values, strict=True)}
    return torch.stack([by.get(k, empty) for k in range(count)], dim)


class Ready(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor | None], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:  # type: ignore[override]
        return None, None, *(None if gradient is None else gradient * upstream for gradient in ctx.gradients)


# --- threads ----------------------------------------------------------------------------------------------------------


@cache
def pool(workers: int) -> ThreadPoolExecutor:
    """Threads that compute with one core each, kept for the life of the process."""
    threads, all_here = torch.get_num_threads(), threading.Barrier(workers)
    made = ThreadPoolExecutor(workers, "member", initializer=lambda: torch.set_num_threads(1))
    list(made.map(lambda _: all_here.wait(), range(workers)))
    torch.set_num_threads(threads)  # the count of this thread, which a worker's setting would hand on to new ones
    return made


def on_threads(act: Callable[[int, int], Any], which: Sequence[int], workers: int) -> list[Any]:
    """act(worker, k) of every k; each worker takes its own share, under this thread's autocast and gradient mode."""
    graded = torch.is_grad_enabled()
    cast, kind = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def share(worker: int) -> list[Any]:
        with torch.set_grad_enabled(graded), torch.autocast("cpu", kind, cast, cache_enabled=False):
            return [act(worker, k) for k in which[worker::workers]]

    found: dict[int, Any] = {}
    for worker, results in enumerate(pool(workers).map(share, range(workers))):
        found |= dict(zip(which[worker::workers], results, strict=True))
    return [found[k] for k in which]


def replica(member: Member) -> Member:
    """Another module around the same tensors, for a thread of its own."""
    shared = [*member.parameters(), *member.buffers()]
    return copy.deepcopy(member, {id(tensor): tensor for tensor in shared})


def alike(copies: Sequence[Member], member: Member) -> None:
    """Copies train, and track moments, where the member does."""
    for module in copies:
        for own, other in zip(module.modules(), member.modules(), strict=True):
            own.training = other.training
            if "track_running_stats" in vars(other):
                own.track_running_stats = other.track_running_stats  # type: ignore[assignment]
