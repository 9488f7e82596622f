"""One forward pass through a model, with what each layer takes, makes, costs and sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from thetastar.errors import UserError
from thetastar.explain.model.fitting import check_fit, misfit
from thetastar.explain.model.sight import Seen, Sight
from thetastar.functional.nested import mapped

# what torch says of shapes that do not fit, and of several tensors where it expects one
MISFITS = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, ArithmeticError)


@dataclass
class Row:
    """One call of one module.

    Attributes:
        path: as in `named_modules`; "" is the model itself.
        inputs, outputs: shapes, the batch included; () where it was never called.
        trainable, frozen: parameters of its own, counted where they are met first.
        macs: multiply-adds of the matrix products and convolutions outside its parts.
        memory: bytes of its output, 0 where that shares its input's.
        kept: bytes that training keeps for the backward pass; None where that is not known.
        before, seen: what its input and its output see of the model's input.
        source: the row whose output is its input, where it is one's.
    """

    path: str
    layer: nn.Module
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    trainable: int = 0
    frozen: int = 0
    macs: int = 0
    memory: int = 0
    kept: int | None = None
    before: Seen | None = None
    seen: Seen | None = None
    source: Row | None = None
    leaf: bool = True

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    @property
    def label(self) -> str:
        """The class, with the word by which the layer tells itself from its like, as in 'Elementwise relu'."""
        word = self.layer.extra_repr() if self.leaf else ""
        return f"{self.kind} {word}" if word.isidentifier() else self.kind

    @property
    def depth(self) -> int:
        return self.path.count(".") + 1 if self.path else 0


def walked(module: nn.Module, x: Any, batch: int | None, *, numbers: bool) -> list[Row]:
    """A row a call, in the order of the calls; then modules with parameters that were not called.

    Shapes are all that is computed with, on torch's meta device.

    Args:
        x: a tensor, or several by name, with a batch axis.
        batch: examples for which `kept` is counted; None leaves it out.
        numbers: whether a model that needs them may run on zeros instead.
    """
    try:
        rows = _forward(module, mapped(lambda part: part.to("meta"), x), _on_meta(module), last=not numbers)
    except MISFITS as error:
        if not numbers or isinstance(error, UserError):
            raise
        like = next(module.parameters(), torch.empty(0))
        x = mapped(lambda part: torch.zeros_like(part, device=like.device) if part.is_meta else part, x)
        rows, batch = _forward(module, x, {}, last=True), None
    _count_parameters(module, rows)
    if batch and any(row.trainable for row in rows):
        many = mapped(lambda part: torch.empty(batch, *part.shape[1:], dtype=part.dtype, device="meta"), x)
        _count_kept(module, many, rows)
    return rows


def _on_meta(module: nn.Module) -> dict[str, Tensor]:
    """Stand-ins for parameters and buffers that have a shape and nothing else."""
    found: dict[str, Tensor] = {}
    for name, p in module.named_parameters():
        found[name] = nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
    return found | {name: torch.empty_like(b, device="meta") for name, b in module.named_buffers()}


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _hooked(module: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> Iterator[None]:
    handles = []
    for path, part in module.named_modules():

        def enter(layer: nn.Module, args: Any, kwargs: Any, path: str = path) -> None:
            before(path, layer, _tensors((args, kwargs)))

        def leave(layer: nn.Module, args: Any, kwargs: Any, out: Any, path: str = path) -> None:
            after(path, _tensors(out))

        handles.append(part.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(part.register_forward_hook(leave, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _run(module: nn.Module, x: Any, weights: Mapping[str, Tensor]) -> None:
    if weights:
        functional_call(module, dict(weights), (x,))
    else:
        module(x)


@dataclass
class _Call:
    """A call in progress."""

    row: Row
    started: int  # operations counted before it
    parts: int = 0  # operations of its parts


def _forward(module: nn.Module, x: Any, weights: Mapping[str, Tensor], *, last: bool) -> list[Row]:
    """Rows with shapes, costs and sight, in evaluation mode; with `last`, what does not fit is a UserError."""
    rows: list[Row] = []
    stack: list[_Call] = []
    makers: dict[int, Row] = {}
    outputs: list[Tensor] = []
    held: dict[int, Tensor] = {}  # by storage; what is held leaves its ids to no other
    counter = FlopCounterMode(display=False)
    sight = Sight(x, places=_has_places(module, x)) if isinstance(x, Tensor) else None

    def before(path: str, layer: nn.Module, given: list[Tensor]) -> None:
        row = Row(path, layer, [tuple(t.shape) for t in given], leaf=next(layer.children(), None) is None)
        rows.append(row)
        stack.append(_Call(row, counter.get_total_flops()))
        for tensor in given:
            held.setdefault(_storage(tensor), tensor)
        if given:
            check_fit(path, layer, row.inputs[0])
            row.before = sight.of(given[0]) if sight else None
            row.source = makers.get(id(given[0]))

    def after(path: str, made: list[Tensor]) -> None:
        call = stack.pop()
        row, spent = call.row, counter.get_total_flops() - call.started
        row.macs, row.outputs = (spent - call.parts) // 2, [tuple(t.shape) for t in made]
        if stack:
            stack[-1].parts += spent
        for tensor in made:
            if _storage(tensor) not in held:
                held[_storage(tensor)] = tensor
                row.memory += tensor.numel() * tensor.element_size()
        if made:
            row.seen = sight.of(made[0]) if sight else None
            if row.leaf:
                makers[id(made[0])] = row
                outputs.append(made[0])

    with _mode(module, False), torch.no_grad(), _hooked(module, before, after), counter, sight or nullcontext():
        try:
            _run(module, x, weights)
        except MISFITS as error:
            if not last or isinstance(error, UserError):
                raise
            row = stack[-1].row if stack else Row("", module)
            raise misfit(row.path, row.layer, row.inputs, error) from error
    return rows


def _has_places(module: nn.Module, x: Tensor) -> bool:
    """Images do; three axes are those of a sequence of channels only where something sweeps along it."""
    swept = (nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)
    return x.ndim > 3 or (x.ndim == 3 and any(isinstance(part, swept) for part in module.modules()))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _count_parameters(module: nn.Module, rows: list[Row]) -> None:
    """Each parameter belongs to the first row that has it; rows are added for modules that were not called."""
    called = {row.path for row in rows}
    counted: set[int] = set()
    for path, layer in module.named_modules():
        if path not in called and next(layer.parameters(recurse=False), None) is not None:
            above = path.rpartition(".")[0]
            place = max((i + 1 for i, row in enumerate(rows) if _inside(row.path, above)), default=len(rows))
            rows.insert(place, Row(path, layer, leaf=next(layer.children(), None) is None))
    _add_headings(module, rows)
    first = {path: row for row in reversed(rows) for path in [row.path]}
    for path, layer in module.named_modules():
        for p in layer.parameters(recurse=False):
            if id(p) not in counted:
                counted.add(id(p))
                first[path].trainable += p.numel() if p.requires_grad else 0
                first[path].frozen += 0 if p.requires_grad else p.numel()


def _inside(path: str, above: str) -> bool:
    return not above or path == above or path.startswith(f"{above}.")


def _add_headings(module: nn.Module, rows: list[Row]) -> None:
    """A row for each module above another that was itself not called, as where a model calls parts of its parts."""
    known = {row.path for row in rows}
    place = 0
    while place < len(rows):
        names = rows[place].path.split(".")[:-1]
        for path in (".".join(names[:count]) for count in range(1, len(names) + 1)):
            if path not in known:
                known.add(path)
                rows.insert(place, Row(path, module.get_submodule(path), leaf=False))
                place += 1
        place += 1


def _count_kept(module: nn.Module, x: Any, rows: list[Row]) -> None:
    """Bytes that autograd keeps in a training pass, each counted where it is kept first; parameters not at all."""
    weights = _on_meta(module)
    known = {_storage(t) for t in weights.values()}
    stack: list[str] = []
    calls: dict[str, int] = {}
    kept: dict[tuple[str, int], int] = {}

    def before(path: str, layer: nn.Module, given: list[Tensor]) -> None:
        calls[path] = calls.get(path, 0) + 1
        kept[path, calls[path]] = 0
        stack.append(path)

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in known:
            known.add(_storage(tensor))
            path = stack[-1]
            kept[path, calls[path]] += tensor.untyped_storage().nbytes()
        return tensor

    def leave(path: str, made: list[Tensor]) -> None:
        stack.pop()
        held.extend(made)

    saving = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    held: list[Tensor] = []  # what is kept keeps its storage, so that no other is taken for it
    with _mode(module, True), torch.enable_grad(), saving, _hooked(module, before, leave):
        try:
            _run(module, x, weights)
        except MISFITS:
            return  # a layer that needs numbers in training only: what it keeps stays unknown
    seen: dict[str, int] = {}
    for row in rows:
        seen[row.path] = seen.get(row.path, 0) + 1
        row.kept = kept.get((row.path, seen[row.path]), 0 if row.outputs else None)
