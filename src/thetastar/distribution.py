"""Several processes as one, under torchrun: each holds the Program and takes its part of every batch."""

from __future__ import annotations

import atexit
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.nested import rows_of
from thetastar.functional.sharding import like, whole
from thetastar.protocols import Aux, Batch, Program


@dataclass(frozen=True)
class World:
    """The processes that train together; alone, every function is the identity.

    A step of n processes is the step that one process takes on the n parts of the batch: gradients and logs are means
    over all weights, `Aux.carry` is joined, and every loss value is the global one, so that all ranks decide alike.
    What is drawn at random differs from a single process, since the rank is part of every key.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """The process group; started here where torchrun has set the scene."""
        if not dist.is_available():
            return cls()
        if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(dist.destroy_process_group)
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    def shard(self, program: Program) -> Program:
        """A copy of the program that averages gradients over the processes; alone, the program itself."""
        if self.size == 1:
            return program
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self._refuse(program)
        program = copy.deepcopy(program)
        device = next(program.parameters()).device.type
        if device == "cuda":
            program = cast(Program, nn.SyncBatchNorm.convert_sync_batchnorm(program))
        mesh = init_device_mesh(device, (self.size, 1), mesh_dim_names=("replicate", "shard"))
        fully_shard(program, mesh=mesh)
        return program

    def _refuse(self, program: Program) -> None:
        got = f"{type(program.method).__name__} on {self.size} processes"
        if not list(program.parameters()):
            raise UserError(f"{got}, without parameters", "something to train together", "leave torchrun out")
        if program.method.couples:
            raise UserError(f"{got}: its loss couples the examples of a batch", "one process", "leave torchrun out")
        normed = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in program.modules())
        if normed and next(program.parameters()).device.type != "cuda":
            # torch synchronises the moments of a batch on GPUs only; moments of a part would be another model
            raise UserError(f"{got} with batch norm on a CPU", "layer norm, or GPUs", "choose another norm")

    def part(self, batch: Batch) -> Batch:
        """This rank's rows of a batch: contiguous, and as many as the others' up to one."""
        if self.size == 1:
            return batch
        rows = rows_of({name: value for name, value in batch.items() if isinstance(value, Tensor)} or batch)
        if rows < self.size:
            got = f"a batch of {rows} examples for {self.size} processes"
            raise UserError(got, "at least one each", "set data.drop_last=true or another batch size")
        return {name: self._rows(name, value, rows) for name, value in batch.items()}

    def _rows(self, name: str, value: Any, rows: int) -> Any:
        if isinstance(value, Mapping):
            return self.part(dict(value))
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        if len(value) != rows:
            got = f"'{name}' has {len(value)} rows in a batch of {rows}"
            raise UserError(got, "a batch that can be cut by examples", "leave torchrun out")
        return value.tensor_split(self.size)[self.rank]

    def weigh(self, said: tuple[Tensor, Aux], batch: Batch) -> tuple[Tensor, Aux]:
        """The value and logs of all parts, averaged by weight, with the gradient of this part's share.

        torch averages gradients over the ranks, so the share is size · w_r / Σ w.
        """
        if self.size == 1:
            return said
        value, aux = said
        weight = aux.weight if aux.weight is not None else value.new_tensor(float(rows_of(batch)))
        weight = weight.detach().float()
        shown = torch.stack([value.detach().float(), *(entry.detach().float() for entry in aux.log.values())])
        each = shown[:0] if aux.each is None else aux.each.float()
        sums = torch.cat([weight.reshape(1), weight * shown, weight * each])
        dist.all_reduce(sums)
        value_of_all, *logs = (sums[1:] / sums[0]).split([1] * len(shown) + [len(each)])
        each = None if aux.each is None else logs.pop()
        share = value * (weight * self.size / sums[0])
        log = {name: mean.squeeze(0) for name, mean in zip(aux.log, logs, strict=False)}
        return share + (value_of_all.squeeze(0) - share.detach()), Aux(log, aux.carry, sums[0], each=each)

    def gather(self, aux: Aux) -> Aux:
        """What a move said, with the carry of all ranks in the order of the batch."""
        if self.size > 1:
            aux.carry = {name: self._joined(value) for name, value in aux.carry.items()}
        return aux

    def _joined(self, value: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.int64, device=value.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(value)], device=value.device))
        longest = max(int(count) for count in counts)
        padded = value.new_zeros(longest, *value.shape[1:])
        padded[: len(value)] = value.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])

    @torch.no_grad()
    def collect(self, program: Program, into: Program) -> Program:
        """`into` with the tensors of the sharded program: what is judged, saved and kept, whole on every rank."""
        if self.size == 1:
            return program
        into.load_state_dict({name: whole(tensor) for name, tensor in program.state_dict().items()})
        return into

    @torch.no_grad()
    def spread(self, source: Program, program: Program) -> None:
        """The inverse of `collect`."""
        if self.size > 1:
            own = source.state_dict()
            for name, tensor in program.state_dict().items():
                tensor.copy_(like(own[name], tensor))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def agree(self, value: float) -> float:
        """What the first rank says, on all ranks: for clocks and whatever else each of them would see differently."""
        if self.size == 1:
            return value
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        said = torch.tensor(float(value), dtype=torch.float64, device=device)
        dist.broadcast(said, 0)
        return said.item()
