"""A model taken apart: the rows of its layers, what they add up to, and what is remarkable."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from thetastar.errors import UserError
from thetastar.explain.model.formulas import formulas_of
from thetastar.explain.model.remarks import remarks_on
from thetastar.explain.model.walk import Row, walked
from thetastar.functional.nested import mapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

TRAINED = 64  # examples of a training batch, where nothing says how many


@dataclass(frozen=True)
class Anatomy:
    """What `anatomy` finds.

    Attributes:
        name: of the model.
        rows: one a call of a module, in their order; see `walk.Row`.
        remarks: sentences about what may be a mistake.
        inputs: shape of the input, or of each one by name; the batch included.
        batch: examples of a training batch, for which `Row.kept` is counted.
        buffers: numbers that are kept but not trained.
    """

    name: str
    rows: Sequence[Row]
    remarks: Sequence[str]
    inputs: Any
    batch: int
    buffers: int

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def frozen(self) -> int:
        return sum(row.frozen for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass over the input."""
        return sum(row.macs for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all activations of one forward pass over the input."""
        return sum(row.memory for row in self.rows)

    @property
    def kept(self) -> int | None:
        """Bytes that a training step keeps for the backward pass; None where that is not known."""
        parts = [row.kept for row in self.rows if row.outputs]
        return None if None in parts else sum(part for part in parts if part is not None)

    def to_json(self, *, formulas: bool = False) -> dict[str, Any]:
        return {
            "name": self.name,
            "input": mapped_shapes(self.inputs),
            "layers": [as_json(row, formulas) for row in self.rows],
            "totals": {
                "trainable": self.trainable,
                "frozen": self.frozen,
                "buffers": self.buffers,
                "multiply_adds": self.macs,
                "activation_bytes": self.memory,
                "trained_batch": self.batch,
                "kept_bytes": self.kept,
            },
            "remarks": list(self.remarks),
        }

    def _repr_html_(self) -> str:
        from thetastar.explain.model.table import as_html

        return as_html(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from thetastar.explain.model.table import Layers

        yield Layers(self, formulas=False)

    def __str__(self) -> str:
        from thetastar.explain.model.table import as_text

        return as_text(self)


def mapped_shapes(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: mapped_shapes(part) for name, part in inputs.items()}
    return list(inputs)


def as_json(row: Row, formulas: bool) -> dict[str, Any]:
    seen = row.seen
    entry: dict[str, Any] = {
        "path": row.path,
        "kind": row.kind,
        "inputs": [list(shape) for shape in row.inputs],
        "outputs": [list(shape) for shape in row.outputs],
        "trainable": row.trainable,
        "frozen": row.frozen,
        "multiply_adds": row.macs,
        "activation_bytes": row.memory,
        "kept_bytes": row.kept,
        "receptive_field": None,
        "stride": None,
    }
    if seen is not None:
        entry["receptive_field"] = "global" if seen.everything else [w.size for w in seen.windows]
        entry["stride"] = None if seen.everything else [_number(w.stride) for w in seen.windows]
    if formulas:
        entry["formulas"] = [{"of": f.of, "text": f.text, "value": f.value} for f in formulas_of(row)]
    return entry


def _number(stride: Any) -> int | float:
    return int(stride) if stride.denominator == 1 else float(stride)


def example(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An example of that shape, of which nothing is held."""
    try:
        return torch.zeros(1, *shape, dtype=dtype, device="meta")
    except RuntimeError:  # torch counts entries in 64 bits
        raise UserError(f"the shape {tuple(shape)}", "fewer entries", "write for example (3, 224, 224)") from None


def anatomy(module: nn.Module, x: Any, *, batch: int = TRAINED, name: str = "") -> Anatomy:
    """The layers of a model: shapes, parameters, multiply-adds, memory and receptive field.

    It runs the model once on shapes without numbers, in evaluation mode, and leaves it as it was.

    Args:
        module: any model whose forward takes one input.
        x: a tensor with a batch axis, several by name, or the shape of one example: (3, 224, 224).
        batch: examples of a training batch, ≥ 2, for what a training step keeps.
        name: as the table calls it; its class by default.

    Raises:
        UserError: where a layer does not fit what reaches it.
    """
    if isinstance(x, tuple | list) and all(isinstance(size, int) for size in x):
        if not x or min(x) < 1:
            raise UserError(f"the shape {tuple(x)}", "sizes ≥ 1", "write for example (3, 224, 224)")
        like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0, device="meta"))
        numbers = not like.is_meta
        x = example(x, like.dtype)
    elif isinstance(x, Tensor | Mapping):
        numbers = not any(t.is_meta for t in (*tree_leaves(x), *module.parameters()))
    else:
        raise UserError(f"an input of {type(x).__name__}", "a tensor or the shape of an example", "write (3, 224, 224)")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        rows = walked(module, x, batch, numbers=numbers)
    said = [str(one.message).split() for one in heard if issubclass(one.category, UserWarning)]
    warned = dict.fromkeys(f"a warning: {' '.join(words)}" for words in said)
    buffers = sum(buffer.numel() for buffer in module.buffers())
    shapes = mapped(lambda part: tuple(part.shape), x)
    return Anatomy(name or type(module).__name__, rows, [*remarks_on(rows), *warned], shapes, batch, buffers)
