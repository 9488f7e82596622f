"""K nets of one kind as one: their tensors stacked, and the numbers in which they differ beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import stack_module_state
from torch.nn import Parameter

from thetastar.errors import UserError
from thetastar.protocols import Method, Model, Spec

COUNTER = "num_batches_tracked"  # the one buffer that members share: they see equally many batches
Tensors = dict[str, Tensor]
Place = tuple[str, str]  # a module by its path, and its attribute
Numbers = dict[Place, list[float]]  # what each member has there
Vary = Mapping[str, Sequence[float]]


class Member(nn.Module):
    """f and its method, called by the name of a function of the method."""

    def __init__(self, f: Model, method: Method) -> None:
        super().__init__()
        self.f, self.method = f, method

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self.method, function)(self.f, *arguments)


def stacked(lone: Sequence[Member]) -> Member:
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


def stacks_of(member: Member) -> Tensors:
    """All stacks, by the name that they have in one member."""
    named = [*member.named_parameters(), *member.named_buffers()]
    return {name: tensor for name, tensor in named if not name.endswith(COUNTER)}


@contextlib.contextmanager
def holding(member: Member, numbers: Mapping[Place, Any]) -> Iterator[None]:
    """A block in which modules have these numbers as their attributes."""
    before = {place: getattr(member.get_submodule(place[0]), place[1]) for place in numbers}
    for (path, name), value in numbers.items():
        setattr(member.get_submodule(path), name, value)
    try:
        yield
    finally:
        for (path, name), value in before.items():
            setattr(member.get_submodule(path), name, value)


# --- what varies ------------------------------------------------------------------------------------------------------


def counted(members: int | None, seeds: Sequence[int] | None, vary: Vary, default: int = 4) -> int:
    """How many members there are, where seeds and varied values agree on it."""
    for key in vary:
        if key.partition(".")[0] not in ("model", "method", "algorithm") or "." not in key:
            do = "data of their own come from data={name: resampled, …}" if key.startswith("data") else "name its place"
            raise UserError(f"method.vary: {key}", "a number of model, method or algorithm", do)
        if not vary[key]:
            raise UserError(f"method.vary: {key} has no values", "one a member", "leave it out")
    given = {f"values of {key}": len(values) for key, values in vary.items()}
    given |= {"seeds": len(seeds)} if seeds is not None else {}
    members = members or next(iter(given.values()), default)
    for what, count in given.items():
        if count != members:
            got, what = f"population: {count} {what} for {members} members", what.split()[0].removesuffix("s")
            raise UserError(got, f"one {what} a member", "set as many as there are members")
    return members


def varied(spec: Spec, vary: Vary, part: str, k: int) -> Spec:
    """The spec of member k: that of all with its own numbers at the places below `part`."""
    for key, values in vary.items():
        first, *path = key.split(".")
        if first == part:
            spec = _placed(spec, path, values[k], key)
    return spec


def _placed(spec: Any, path: Sequence[str], value: float, key: str) -> Any:
    if not path:
        return value
    if not isinstance(spec, Mapping) or path[0] == "name":
        raise UserError(f"method.vary: {key}", "a number of a component", "check the place")
    return {**spec, path[0]: _placed(spec.get(path[0]), path[1:], value, key)}


def differing(lone: Sequence[Member], vary: Vary) -> Numbers:
    """The numbers in which members differ, kept as attributes of their modules; refuses what else differs."""
    shapes = [{name: tensor.shape for name, tensor in member.state_dict().items()} for member in lone]
    names = [[name for name, _ in member.named_modules()] for member in lone]
    if any(one != shapes[0] for one in shapes) or any(one != names[0] for one in names):
        do = "a share of 0 may leave a layer out" if any("dropout" in key for key in vary) else "vary other numbers"
        raise UserError(f"{', '.join(vary)} makes members of different layers", "members of the same layers", do)
    numbers: Numbers = {}
    for path in names[0]:
        modules = [member.get_submodule(path) for member in lone]
        for name, value in vars(modules[0]).items():
            values = [vars(module).get(name) for module in modules]
            if name.startswith("_") or name == "spec" or not isinstance(value, float | int | str | tuple | list | dict):
                continue
            if any(other != value for other in values):
                if not all(isinstance(other, float) for other in values):
                    got = f"a population of {type(modules[0]).__name__}s that differ in {name}"
                    raise UserError(got, "numbers that are used by arithmetic", "vary other numbers")
                numbers[path, name] = values  # type: ignore[assignment]
    return numbers
