"""The nouns of the equation θ* ← A_φ(D, P, L, f_θ), and what each of them promises.

`Stream` is D, `Measure` is P, `Method` is L, `Model` is f, `Algorithm` is A; `Batch`, `Schema` and `Clock` are what
they pass to one another. A component is an abstract class's final child in a file of its folder; see `registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from thetastar.functional.keys import mix
from thetastar.schema import Field as Field
from thetastar.schema import Schema as Schema

Batch = dict[str, Any]  # str → Tensor | Batch; canonical keys "input", "target", "index"; nested for zipped streams
Split = Literal["train", "valid", "test"]
Spec = dict[str, Any]  # {"name": component, argument: value, …}; nested components are Specs too
Act = Callable[[Batch], Tensor]
Loss = Callable[[Batch, int], "tuple[Tensor, Aux]"]


@dataclass(frozen=True)
class Clock:
    """Where training stands; all randomness is a function of it."""

    seed: int
    step: int = 0
    steps: int = 1
    epoch: int = 0
    rank: int = 0
    part: int = 0  # of the window, where a step sums several batches

    @property
    def progress(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        return min(self.step / max(self.steps, 1), 1.0)

    def at(self, part: int, rank: int = 0) -> Clock:
        """The same moment, at another batch of the window or on another process."""
        return replace(self, part=part, rank=rank) if part or rank else self

    def key(self, *salt: int | str) -> int:
        """A 63-bit key for a draw at this step, for the purpose named by `salt`."""
        return mix(self.seed, self.step, self.rank, *salt)


@dataclass
class Aux:
    """What a loss says besides its value.

    Attributes:
        log: scalars to trace (stay on the device; averaged over an epoch).
        carry: per-example tensors for `Method.observe`, concatenated over micro-batches and ranks.
        weight: the denominator of the loss (masked or weighted means); None means the number of examples.
        finite: set by the algorithm: whether the step was taken.
        each: losses of stacked members, (members,); their sum is the loss.
        allowed: set by the algorithm: which of them could step, (members,).
    """

    log: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    carry: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    weight: Tensor | None = None
    finite: Tensor | None = None
    each: Tensor | None = None
    allowed: Tensor | None = None


@dataclass(frozen=True)
class Move:
    """One kind of step: `name` is the method's loss, taken on every `every`-th step over exactly these parameters.

    `stacked` parameters hold independent members along their first axis: shapes and norms are then those of one member.
    `own` are arguments of the algorithm that each member has for itself, (members,); `active` is 0 for one that rests.
    """

    name: str
    parameters: dict[str, Parameter]
    every: int = 1
    scale: float = 1.0
    stacked: bool = False
    own: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    active: Tensor | None = None


@dataclass(frozen=True)
class Origin:
    """The file that f began with, its hash, and the names of the tensors that were read from it; () is none."""

    file: str = ""
    sha256: str = ""
    names: frozenset[str] = frozenset()


class Model(nn.Module, ABC):
    """f_θ, built as `name(schema, *, …)`. Encoders are used through `features`, of size `width`.

    Attributes:
        companions: what a recipe uses with this model where it does not say: {"method": spec, "algorithm": spec, …}.
        keys: beginnings of parameter names here and in the checkpoints that are common for the architecture.
        said: one line per decision that the schema made it take, such as a stem for small images.
        origin: the weights that it began with, where they were not all drawn.
    """

    folder: ClassVar[str] = "models"
    companions: ClassVar[Mapping[str, Any]] = {}
    keys: ClassVar[Mapping[str, str]] = {}
    said: Sequence[str] = ()
    origin: Origin = Origin()
    head: nn.Module
    width: int

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A recipe that trains in a second, from which the contract suite makes a tiny instance and batch."""
        return {"data": "bars", "model": cls.__name__}

    @abstractmethod
    def features(self, x: Any) -> Tensor:
        """(batch, …) → (batch, width)."""

    def forward(self, x: Any) -> Tensor:
        return self.head(self.features(x))

    def heads(self, x: Any) -> Sequence[tuple[float, Tensor]]:
        """What the risk sums, each with its weight: f(x) and, while training, what auxiliary heads say."""
        return [(1.0, self(x))]


class Source(ABC):
    """A data set before it is split: rows, and how to turn them into tensors once the training rows are known."""

    folder: ClassVar[str] = "data"
    name: str
    rows: int
    given: Mapping[Split, Any] | None  # row numbers of the splits that the publisher gave
    strata: Any | None  # one label a row for stratified splitting; None where that makes no sense
    groups: Any | None = None  # one label a row: rows of a group stay in one split
    times: Any | None = None  # one number a row: the earliest rows train, the latest test
    said: list[str]  # one line per decision taken for the user

    @abstractmethod
    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        """Fit preparation on the rows `train` only; return the schema and the columns of all rows."""

    @abstractmethod
    def transform(self, raw: Any) -> Batch:
        """What a user hands to `predict`, as the "input" of a batch; a function of the state alone."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that `transform` needs, as JSON; stored with the star."""

    @classmethod
    @abstractmethod
    def restore(cls, state: Mapping[str, Any]) -> Source:
        """The inverse of `state`: enough of the source to `transform`."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content: equal data, equal fingerprint."""


class Augment(ABC):
    """A random change of inputs alone, batched on their device; each example draws its own parameters."""

    folder: ClassVar[str] = "data/augment"

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(batch, …) → the same shape; drawn from `generator`, or from the default one."""

    def together(self, x: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Images and their masks (batch, height, width) by the same draws; what moves nothing leaves the masks."""
        return self(x, generator), mask


class Stream(ABC):
    """D as batches on the device: a function of (seed, epoch, skip). `companions`: as for models."""

    folder: ClassVar[str] = "data"
    companions: ClassVar[Mapping[str, Any]] = {}
    schema: Schema
    batch_size: int
    said: list[str]

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A recipe that trains in a second; see `Model.example`."""
        return {"data": {"name": cls.__name__, "source": "bars"}, "model": {"name": "mlp", "widths": [16]}}

    @abstractmethod
    def length(self, split: Split) -> int:
        """Batches in one pass over the split."""

    @abstractmethod
    def size(self, split: Split) -> int:
        """Examples in the split."""

    @abstractmethod
    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        """One pass, from batch `skip` on; training batches are shuffled by (t.seed, t.epoch).

        `act` answers for environments.
        """

    def to(self, device: torch.device) -> None:  # noqa: B027 - most streams keep nothing on a device
        """Move what is resident to the device."""

    def state_dict(self) -> dict[str, Any]:
        """Only where there is state: environments, replay."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        assert not state, "a stream without state was given one"

    @property
    def fingerprint(self) -> str:
        """A hash of the content."""
        return ""


class Method(nn.Module, ABC):
    """L: how the risk is formed from f and a batch.

    Attributes:
        reads: keys of the batch that it uses.
        kinds: kinds of input that it accepts; empty means any.
        couples: the loss of one example depends on others, so a batch must not be cut into micro-batches.
        companions: as for models.
        said: one line per decision that it took by trial.
    """

    folder: ClassVar[str] = "methods"
    companions: ClassVar[Mapping[str, Any]] = {}
    reads: tuple[str, ...] = ("input", "target")
    kinds: frozenset[str] = frozenset()
    couples: bool = False
    said: Sequence[str] = ()

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A recipe that trains in a second; see `Model.example`."""
        return {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "method": cls.__name__}

    def attach(self, f: Model, schema: Schema) -> None:
        """Once, before training: build heads, copy a teacher. Not again between tasks."""

    def rehearse(self, f: Model, loss: Loss, batch: Batch, t: Clock) -> None:
        """Before the first step of a single process: settle by trial of the run's loss on its first batch."""

    @abstractmethod
    def moves(self, f: Model) -> Sequence[Move]:
        """Once: what is stepped, and over which parameters; [] learns without gradient steps."""

    @abstractmethod
    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        """What `wants` names: "logits", "probabilities", "prediction", "features", "samples", …"""

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        """After the update, in place: moving averages, queues, centres. The only place that writes state."""

    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        """After the last step, before the final evaluation: memories, closed forms, Fisher information."""


class Objective(Method):
    """A method with one loss; nearly every method is one."""

    @abstractmethod
    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        """The risk on a batch: a mean over `Aux.weight` (default: the examples). Pure but for batch-norm buffers."""

    def moves(self, f: Model) -> Sequence[Move]:
        return [Move("loss", trainable(f=f, method=self))]


class Program(nn.Module):
    """f and the method: the one thing that is compiled, sharded, saved and snapshotted."""

    def __init__(self, f: Model, method: Method) -> None:
        super().__init__()
        self.f, self.method = f, method

    def forward(self, loss: str, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        return getattr(self.method, loss)(self.f, batch, t)


class Schedule(ABC):
    """The step size as a share of its peak, a pure function of progress; `listens` where the losses matter too."""

    folder: ClassVar[str] = "algorithms/schedules"
    listens: ClassVar[bool] = False

    @abstractmethod
    def factor(self, t: Clock, losses: Sequence[float] = ()) -> float:
        """In [0, 1]. `losses`: the mean training loss of every finished epoch, for schedules that listen."""


class Algorithm(ABC):
    """A: how θ moves. State is separate from the rule, so one rule serves several moves. `companions`: as Model."""

    folder: ClassVar[str] = "algorithms"
    companions: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A recipe that trains in a second; see `Model.example`."""
        return {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "algorithm": cls.__name__}

    @abstractmethod
    def init(self, move: Move) -> Any:
        """The state of the rule over the parameters of a move."""

    @abstractmethod
    def update(self, move: Move, loss: Loss, window: Sequence[Batch], state: Any, t: Clock) -> Aux:
        """One step in place. `loss(batch, part)` may be called at will: the same part gives the same value."""

    def weights(self, state: Any) -> dict[str, Tensor]:
        """Averaged weights to evaluate instead of the live ones, by parameter name; {} = live."""
        return {}

    @abstractmethod
    def export(self, state: Any) -> dict[str, Any]:
        """The state as nested dicts of tensors and JSON values, for an exact resume."""

    @abstractmethod
    def restore(self, state: Any, saved: Mapping[str, Any]) -> None:
        """The inverse of `export`, in place."""


class Measure(ABC):
    """P: one number (or a few) about predictions on a split, streaming.

    Attributes:
        wants: what the method's `predict` is asked for.
        kinds: kinds of target that it judges; empty means any.
    """

    folder: ClassVar[str] = "measures"
    kinds: frozenset[str] = frozenset()
    wants: frozenset[str] = frozenset({"logits"})
    higher_is_better: bool | None = True  # None: a description that cannot rank

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A recipe that trains in a second; see `Model.example`."""
        return {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    @abstractmethod
    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor | None:
        """Take in a batch; return the per-example column where the measure is a mean of one."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The value so far; the first key is the measure's own name."""


def trainable(**modules: nn.Module) -> dict[str, Parameter]:
    """Parameters that want gradients, named as in the Program: trainable(f=f, method=self)."""
    return {
        f"{prefix}.{name}": parameter
        for prefix, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
