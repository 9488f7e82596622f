"""Several members trained as one: the sum of their losses over stacked weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import Parameter

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.attention import in_plain_products
from thetastar.functional.keys import keyed, seeded
from thetastar.functional.wrapping import objective, uncached_casts
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Move, Objective, Schema, Spec
from thetastar.registry import Count, Whole

__all__ = ["population"]

COUNTER = "num_batches_tracked"  # the one buffer that members share: they see the same batches
Said = tuple[Tensor, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]


class Member(nn.Module):
    """f and its method, called by the name of a function of the method."""

    def __init__(self, f: Model, method: Method) -> None:
        super().__init__()
        self.f, self.method = f, method

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self.method, function)(self.f, *arguments)


class population(Objective):
    """L(θ₁, …, θ_K) = Σ_k L_k(θ_k): K members of one recipe at once, each with the gradient that it would have alone.

    Members differ in their seed: initial weights and dropout masks of member k are those of a lone run with seed s_k.
    The order of the batches is the run's, and a step that one member cannot take is taken by none. Predictions are the
    mixture p(y | x) = 1/K Σ_k p_k(y | x), for numbers the mean. f itself gets the first member's weights at the end.

    Args:
        inner: the method of every member; it must have one loss and learn by gradient steps alone.
        members: K ≥ 1.
        seeds: s_1, …, s_K; null draws them from the run's seed.

    Shapes: the prediction "members" is (batch, K, …): probabilities for categories, values for numbers.

    Source: Lakshminarayanan, Pritzel and Blundell 2017, Simple and scalable predictive uncertainty estimation using
    deep ensembles.
    """

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        members: Count = 4,
        seeds: tuple[Whole, ...] | None = None,
    ) -> None:
        super().__init__()
        if seeds is not None and len(seeds) != members:
            raise UserError(
                f"population: {len(seeds)} seeds for {members} members", "one seed a member", "set members or seeds"
            )
        inner = objective(inner, "population")
        if type(inner).consolidate is not Method.consolidate:
            name = type(inner).__name__
            raise UserError(
                f"population of {name}, which learns after the last step", "gradient steps alone", f"train {name} alone"
            )
        self.inner_spec: Spec = inner.spec  # type: ignore[assignment]
        self.count, self.seeds = members, tuple(seeds or ())
        self.reads, self.kinds, self.couples = inner.reads, inner.kinds, inner.couples
        self.observes = type(inner).observe is not Method.observe

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": "bars",
            "model": {"name": "mlp", "widths": [16]},
            "method": {"name": "population", "members": 3},
        }

    def attach(self, f: Model, schema: Schema) -> None:
        if getattr(f, "spec", None) is None:
            raise UserError(
                "a population of a model given in Python", "a registered model", "put it in a file for --with"
            )
        self.seeds = self.seeds or tuple(torch.randint(1 << 31, (self.count,)).tolist())
        self.kind = schema.target.kind if schema.target else ""
        lone = [self._member(f, schema, seed) for seed in self.seeds]
        own = lone[0].method.moves(lone[0].f)
        if [move.name for move in own] != ["loss"]:
            raise UserError(
                f"a population of {self.inner_spec['name']}, which has {len(own)} moves", "one", "choose supervised"
            )
        self.every, self.scale, self.stepped = own[0].every, own[0].scale, tuple(own[0].parameters)
        self.members = _stacked(lone)
        f.requires_grad_(False)

    def _member(self, like: Model, schema: Schema, seed: int) -> Member:
        """What a run with this seed starts from: weights drawn from the same key in the same order, or of a file."""
        with seeded(seed, "init"):
            f: Model = registry.build("models", like.spec, schema, where="model")  # type: ignore[arg-type]
            if like.origin.names:
                read = {name: tensor for name, tensor in like.state_dict().items() if name in like.origin.names}
                f.load_state_dict(read, strict=False)
            method: Method = registry.build("methods", self.inner_spec, where="method.inner")
            method.attach(f, schema)
        return Member(f, method)

    def moves(self, f: Model) -> Sequence[Move]:
        stacks = dict(self.members.named_parameters())
        parameters = {f"method.members.{name}": stacks[name] for name in self.stepped}
        return [Move("loss", parameters, self.every, self.scale, stacked=True)]

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        def alone(tensors: dict[str, Tensor], key: Tensor) -> Said:
            with keyed(key):
                value, aux = functional_call(self.members, tensors, ("loss", batch, t))
            return value, aux.log, aux.carry, {} if aux.weight is None else {"weight": aux.weight}

        # carry keeps the examples in front, as micro-batches and processes are concatenated there: (batch, K, …)
        every = vmap(alone, out_dims=(0, 0, 1, 0), randomness="different")
        with uncached_casts(), in_plain_products():
            values, log, carry, weight = every(self.tensors(), self.keys(t))
        log = {name: column.mean() for name, column in log.items()} | {"mean_loss": values.detach().mean()}
        return values.sum(), Aux(log, carry, weight["weight"].mean() if weight else None)

    def keys(self, t: Clock) -> Tensor:
        """The key of each member's loss evaluation: what the engine would give it alone, so masks are the same."""
        keys = [replace(t, seed=seed).key("loss", t.part) for seed in self.seeds]
        return torch.tensor(keys, device=next(self.members.parameters()).device)

    def tensors(self) -> dict[str, Tensor]:
        """All stacks, by the name that they have in one member."""
        named = [*self.members.named_parameters(), *self.members.named_buffers()]
        return {name: tensor for name, tensor in named if not name.endswith(COUNTER)}

    def each(self) -> Iterator[dict[str, Tensor]]:
        """Views of one member's tensors after the other: what is written in place goes to the stack."""
        for k in range(self.count):
            yield {name: tensor.detach()[k] for name, tensor in self.tensors().items()}

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        asked = frozenset({"probabilities", "prediction"}) | (wants & {"features"})

        def alone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return functional_call(self.members, tensors, ("predict", batch, asked, t))

        with uncached_casts(), in_plain_products():
            said = vmap(alone, out_dims=1, randomness="different")(self.tensors())
        out = mixture(said.get("probabilities", said["prediction"]), self.kind)
        if "features" in wants:
            out["features"] = said["features"].flatten(1)
        return {name: value for name, value in out.items() if name in wants}

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        if not self.observes:
            return
        for k, tensors in enumerate(self.each()):
            own = {n: replace(a, carry={c: value[:, k] for c, value in a.carry.items()}) for n, a in aux.items()}
            functional_call(self.members, tensors, ("observe", own, t))

    @torch.no_grad()
    def consolidate(self, f: Model, stream: Any, t: Clock) -> None:
        """f becomes the first member, so that whoever looks at f alone sees a trained one."""
        first = next(self.each())
        for name, tensor in [*f.named_parameters(), *f.named_buffers()]:
            tensor.copy_(first[f"f.{name}"] if f"f.{name}" in first else self.members.get_buffer(f"f.{name}"))


def mixture(members: Tensor, kind: str) -> dict[str, Tensor]:
    """(batch, K, …) probabilities, or values for a `kind` of "number" → their mean, as a method predicts it."""
    mean = members.mean(1)
    if kind == "number":
        return {"prediction": mean, "members": members}
    safe = mean.clamp_min(torch.finfo(mean.dtype).tiny)
    if kind == "categories":
        logits, prediction = safe.log() - torch.log1p(-mean).clamp_min(-100.0), (mean > 0.5).to(torch.int64)
    else:
        logits, prediction = safe.log(), mean.argmax(1 if kind == "mask" else -1)
    return {"logits": logits, "probabilities": mean, "prediction": prediction, "members": members}


def _stacked(lone: Sequence[Member]) -> Member:
    """The first member with the tensors of all, stacked, in place of its own; ties between tensors stay."""
    parameters, buffers = stack_module_state(list(lone))  # type: ignore[arg-type]
    first = lone[0]
    stacks: dict[int, Tensor] = {
        id(tensor): buffers[name] for name, tensor in first.named_buffers() if not name.endswith(COUNTER)
    }
    for name, tensor in first.named_parameters():
        stacks[id(tensor)] = Parameter(parameters[name].detach(), requires_grad=tensor.requires_grad)
    for module in first.modules():
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is not None and id(tensor) in stacks:
                    own[name] = stacks[id(tensor)]  # type: ignore[assignment]
    return first
