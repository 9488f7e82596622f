"""Several members trained as one: the sum of their losses over stacked weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import functional_call

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.executing import MEMBERS, Ready, Said, at_once, by_turns, replica
from thetastar.functional.keys import keyed, reseed, seeded
from thetastar.functional.members import mean_of
from thetastar.functional.mixtures import mixture
from thetastar.functional.nested import rows_of
from thetastar.functional.pacing import MODES, WORDS, Mode, fastest
from thetastar.functional.stacking import (
    Member,
    Place,
    Tensors,
    counted,
    differing,
    holding,
    stacked,
    stacks_of,
    varied,
)
from thetastar.functional.wrapping import learns_later, objective
from thetastar.layers.frozen import scratch
from thetastar.protocols import Aux, Batch, Clock, Loss, Method, Model, Move, Objective, Schema, Spec
from thetastar.registry import Count, Whole

__all__ = ["population"]


class population(Objective):
    """L(θ₁, …, θ_K) = Σ_k L_k(θ_k): K members of one recipe at once, each with the gradient that it would have alone.

    Member k is what a run alone with seed s_k, and with its values of `vary`, would train on the same batches: initial
    weights, dropout masks, rate, penalties and clipping are its own. Who cannot take a step, or rests, stays as it is
    while the others go on. Batches may hold a part for each member (see the stream `resampled`). Predictions are the
    mixture p(y | x) = 1/K Σ_k p_k(y | x), for numbers the mean. f itself gets the first member's weights at the end.

    Args:
        inner: the method of every member; it must have one loss and learn by gradient steps alone.
        members: K ≥ 1; null is as many as there are seeds or values to vary, else 4.
        seeds: s_1, …, s_K; null draws them from the run's seed.
        vary: {place in a member's recipe: its K values}, as {algorithm.lr: [0.1, 0.01], method.label_smoothing: [0,
            0.1]}; "method" is the inner one. Of the algorithm lr, weight_decay, l1, clip and clip_value; of model and
            method numbers that enter the loss by arithmetic alone.
        execution: all members in one stacked call, one after the other, or in threads; auto takes the fastest on the
            first batch. They agree but for rounding, so name one where a run shall be repeated to the same bits.

    Shapes: the prediction "members" is (batch, K, …): probabilities for categories, values for numbers. Beside "each",
    what a member answers to every other word is "each.WORD", (batch, K, …).

    Source: Lakshminarayanan, Pritzel and Blundell 2017, Simple and scalable predictive uncertainty estimation using
    deep ensembles.
    """

    active: Tensor  # who has not come to rest
    own: Tensor  # (arguments of the algorithm that vary, members)

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        members: Count | None = None,
        seeds: tuple[Whole, ...] | None = None,
        vary: dict[str, list[float]] | None = None,
        execution: Literal["auto", "stacked", "in_turn", "threads"] = "auto",
    ) -> None:
        super().__init__()
        inner = objective(inner, "population")
        if learns_later(inner):
            name = type(inner).__name__
            raise UserError(
                f"population of {name}, which learns after the last step", "gradient steps alone", f"train {name} alone"
            )
        self.inner_spec: Spec = inner.spec  # type: ignore[assignment]
        self.vary, self.seeds = vary or {}, tuple(seeds or ())
        self.count = counted(members, seeds, self.vary)
        self.asked: Mode | None = None if execution == "auto" else execution
        self.mode: Mode = self.asked or "stacked"
        self.reads, self.kinds, self.couples = inner.reads, inner.kinds, inner.couples
        self.observes = type(inner).observe is not Method.observe
        self.said: Sequence[str] = ()
        self.copies: list[Member] = []
        self.before: Tensors = {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "population", "members": 3, "execution": "stacked"}
        return {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "method": method}

    def attach(self, f: Model, schema: Schema) -> None:
        if getattr(f, "spec", None) is None:
            raise UserError("a population of a model given in Python", "a registered model", "write a file for --with")
        self.seeds = self.seeds or tuple(torch.randint(1 << 31, (self.count,)).tolist())
        self.kind = schema.target.kind if schema.target else ""
        lone = [self._member(f, schema, k) for k in range(self.count)]
        own = lone[0].method.moves(lone[0].f)
        if [move.name for move in own] != ["loss"]:
            raise UserError(
                f"a population of {self.inner_spec['name']}, which has {len(own)} moves", "one", "choose supervised"
            )
        self.every, self.scale, self.stepped = own[0].every, own[0].scale, tuple(own[0].parameters)
        self.numbers = differing(lone, self.vary)
        self.members = stacked(lone)
        f.requires_grad_(False)
        rates = [values for key, values in self.vary.items() if key.startswith("algorithm.")]
        self.register_buffer("own", torch.tensor(rates, dtype=torch.float64).view(-1, self.count), persistent=False)
        self.register_buffer("active", torch.ones(self.count, dtype=torch.bool))

    def _member(self, like: Model, schema: Schema, k: int) -> Member:
        """What a run with its seed starts from: weights drawn from the same key in the same order, or of a file."""
        with seeded(self.seeds[k], "init"):
            spec = varied(like.spec, self.vary, "model", k)  # type: ignore[arg-type]
            f: Model = registry.build("models", spec, schema, where="model")
            if like.origin.names:
                read = {name: tensor for name, tensor in like.state_dict().items() if name in like.origin.names}
                f.load_state_dict(read, strict=False)
            spec = varied(self.inner_spec, self.vary, "method", k)
            method: Method = registry.build("methods", spec, where="method.inner")
            method.attach(f, schema)
        return Member(f, method)

    def moves(self, f: Model) -> Sequence[Move]:
        stacks = dict(self.members.named_parameters())
        parameters = {f"method.members.{name}": stacks[name] for name in self.stepped}
        names = [key.removeprefix("algorithm.") for key in self.vary if key.startswith("algorithm.")]
        own = dict(zip(names, self.own, strict=True))
        return [Move("loss", parameters, self.every, self.scale, stacked=True, own=own, active=self.active)]

    # --- the loss ----------------------------------------------------------------------------------------------------

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        self._check(batch)
        self._remember(t)
        keys = self.keys(t)

        def alone(member: Member, tensors: Tensors, key: Any, numbers: Mapping[Place, Any], batch: Batch) -> Said:
            with keyed(key), holding(member, numbers):
                value, aux = functional_call(member, tensors, ("loss", batch, t))
            weight = {} if aux.weight is None else {"weight": aux.weight}
            return {"value": value, **weight}, aux.log, aux.carry

        slopes: list[Tensor | None] = []
        if self.mode == "stacked":
            said, log, carry = at_once(alone, self.members, keys, self.numbers, batch)
        else:
            awake = self.active.nonzero().flatten().tolist()
            stepped = self.stepped if torch.is_grad_enabled() else ()
            copies = self._copies() if self.mode == "threads" else ()
            (said, log, carry), slopes = by_turns(
                alone, self.members, keys, self.numbers, batch, awake, stepped, copies
            )
        values = said["value"]
        learning = self.active & values.isfinite()
        # one member whose loss is not finite must not hide those of the others; that of all is seen
        total = values.where(learning | ~learning.any(), 0).sum()
        if slopes:
            stacks = stacks_of(self.members)
            total = Ready.apply(total, slopes, *(stacks[name] for name in self.stepped))
        log = {name: mean_of(column, learning) for name, column in log.items()}
        log["mean_loss"] = mean_of(values.detach(), learning)
        weight = said["weight"].mean() if "weight" in said else None
        return total, Aux(log, carry, weight, each=values.detach())  # type: ignore[arg-type]

    def _check(self, batch: Batch) -> None:
        parts = rows_of(batch[MEMBERS]) if MEMBERS in batch else self.count
        if parts != self.count:
            got, do = f"a batch with parts for {parts} members", f"set method.members={parts}"
            raise UserError(f"{got} in a population of {self.count}", "a part for each", do)

    def keys(self, t: Clock) -> list[int]:
        """The key of each member's loss evaluation: what the engine would give it alone, so masks are the same."""
        return [replace(t, seed=seed).key("loss", t.part) for seed in self.seeds]

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        more = wants - {"each", "members"} if "each" in wants else wants & {"features"}
        asked = more | {"probabilities", "prediction"}

        def alone(member: Member, tensors: Tensors, key: Any, numbers: Mapping[Place, Any], batch: Batch) -> Said:
            with holding(member, numbers):
                return {}, {}, functional_call(member, tensors, ("predict", batch, asked, t))

        if self.mode == "stacked":
            out = at_once(alone, self.members, self.keys(t), self.numbers, batch)[2]
        else:
            out = by_turns(alone, self.members, self.keys(t), self.numbers, batch, range(self.count))[0][2]
        answers = out.get("probabilities", out.get("prediction"))
        mixed = {} if answers is None else mixture(answers, self.kind)
        if "features" in wants:
            mixed["features"] = out["features"].flatten(1)
        said = {name: value for name, value in mixed.items() if name in wants}
        return said | ({f"each.{name}": value for name, value in out.items()} if "each" in wants else {})

    # --- how it is computed -------------------------------------------------------------------------------------------

    def rehearse(self, f: Model, loss: Loss, batch: Batch, t: Clock) -> None:
        """Take the fastest execution on this batch; where one was asked for, say why it is not possible."""
        acts: dict[Mode, Callable[[], None]] = {mode: partial(self._try, mode, loss, batch) for mode in MODES}
        whose = f"a population of {self.inner_spec['name']}"
        with scratch(self):
            self.mode, line = fastest(acts, self.asked, partial(self._unthreadable, t), whose)
        self.said = [line] if line else []
        for parameter in self.parameters():
            parameter.grad = None

    def _try(self, mode: Mode, loss: Loss, batch: Batch) -> None:
        self.mode = mode
        loss(batch, 0)[0].backward()

    def _unthreadable(self, t: Clock) -> str:
        """Why members cannot have threads, asked after they went one after the other."""
        if self.active.is_cuda:
            return "a GPU takes one call at a time"
        after = torch.default_generator.get_state()
        reseed(self.keys(t)[-1])
        drew = not torch.equal(after, torch.default_generator.get_state())
        return "its loss draws from the generator that threads share" if drew else ""

    def _copies(self) -> list[Member]:
        if not self.copies:
            self.copies = [replica(self.members) for _ in range(min(max(torch.get_num_threads(), 2), self.count))]
        return self.copies

    def get_extra_state(self) -> Tensor:
        """The execution, so that a run that is continued keeps to it."""
        return torch.tensor(MODES.index(self.mode))

    def set_extra_state(self, state: Tensor) -> None:
        self.mode = MODES[int(state)]
        self.said = [] if self.asked else self.said or [f"members {WORDS[self.mode]}, as the run began"]

    # --- what is written ---------------------------------------------------------------------------------------------

    def each(self, out: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """What each member predicts, out of what all predict together where "each" is asked for."""
        own = {name.removeprefix("each."): value for name, value in out.items() if name.startswith("each.")}
        return [{name: value[:, k] for name, value in own.items()} for k in range(self.count)]

    def take(self, kept: dict[str, Tensor], now: Mapping[str, Tensor], which: Sequence[int]) -> None:
        """Into a state of the program that is kept, what these members are now; what they share as it is now."""
        stacks = {f"method.members.{name}" for name in stacks_of(self.members)}
        for name, tensor in now.items():
            if name in stacks:
                kept[name][which] = tensor[which]
            else:
                kept[name] = tensor

    def rest(self, which: Sequence[int]) -> None:
        """These members stay as they are from here on."""
        self.active[list(which)] = False

    def _views(self) -> Iterator[Tensors]:
        """One member's tensors after the other: what is written in place goes to the stack."""
        for k in range(self.count):
            yield {name: tensor.detach()[k] for name, tensor in stacks_of(self.members).items()}

    def _remember(self, t: Clock) -> None:
        """What a member that does not step must get back: moments, on a GPU also what `observe` may write."""
        if not torch.is_grad_enabled() or t.part:
            return
        stacks = stacks_of(self.members)
        device = self.active.device.type
        names = [name for name in stacks if name not in self.stepped and (device != "cpu" or "running_" in name)]
        self.before = {name: stacks[name].clone() for name in names}

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        allowed = aux["loss"].allowed
        stepped = self.active if allowed is None else self.active & allowed
        on_host = not stepped.is_cuda
        for k, tensors in enumerate(self._views()) if self.observes else ():
            if on_host and not stepped[k]:
                continue
            own = {n: replace(a, carry={c: x[:, k] for c, x in a.carry.items()}) for n, a in aux.items()}
            with holding(self.members, {place: values[k] for place, values in self.numbers.items()}):
                functional_call(self.members, tensors, ("observe", own, t))
        if not on_host or not bool(stepped.all()):
            stacks = stacks_of(self.members)
            with torch.no_grad():
                for name, old in self.before.items():
                    stacks[name].copy_(torch.where(stepped.view(-1, *[1] * (old.ndim - 1)), stacks[name], old))

    @torch.no_grad()
    def consolidate(self, f: Model, stream: Any, t: Clock) -> None:
        """f becomes the first member, so that whoever looks at f alone sees a trained one."""
        first = next(self._views())
        for name, tensor in [*f.named_parameters(), *f.named_buffers()]:
            tensor.copy_(first[f"f.{name}"] if f"f.{name}" in first else self.members.get_buffer(f"f.{name}"))
