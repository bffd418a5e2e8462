"""One worker's place among the workers, and the few collectives that training needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from abaw_ray.config import TrainConfig
from abaw_ray.errors import ConfigurationError


@dataclass(frozen=True)
class World:
    """This worker's place among the workers. One worker needs no process group.

    Args:
        rank: of this worker.
        size: number of workers.
        device: this worker's.
        nodes: the node of each worker, numbered from 0; empty: all are on one.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    nodes: tuple[int, ...] = ()

    @property
    def node(self) -> int:
        """This worker's node."""
        return self.nodes[self.rank] if self.nodes else 0

    @property
    def num_nodes(self) -> int:
        return max(self.nodes, default=0) + 1

    def on_node(self, node: str) -> World:
        """This worker's place, given the id of its node in hexadecimals; asks all workers."""
        own = torch.tensor([list(bytes.fromhex(node))], dtype=torch.uint8, device=self.device)
        ids = [bytes(row) for row in self.gather(own, self.size).tolist()]
        distinct = list(dict.fromkeys(ids))
        return replace(self, nodes=tuple(distinct.index(i) for i in ids))

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module under DDP; itself when there is one worker."""
        if self.size == 1:
            return module
        device_ids = [self.device] if self.device.type == "cuda" else None
        # buffers are shared where they are used, before an evaluation: see share_buffers
        return DistributedDataParallel(
            module, device_ids=device_ids, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    def sum(self, local: Tensor) -> Tensor:
        """Sum over all workers, whose gradient is this worker's part.

        Multiply the loss by `size` before backward: DDP averages gradients, so that the parts then add up to the
        gradient of the global loss without a collective in the backward pass.
        """
        if self.size == 1:
            return local
        total = local.detach().clone()
        dist.all_reduce(total)
        return local + (total - local.detach())

    def gather_rows(self, local: Tensor) -> Tensor:
        """Rows (batch, k) of all workers, who have as many, worker after worker: (size * batch, k).

        The gradient is that of this worker's rows: as of `sum`, the workers' gradients add up to the global loss's.
        """
        if self.size == 1:
            return local
        own = local.detach().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own)
        parts[self.rank] = local
        return torch.cat(parts)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Makes gradients of parameters outside of DDP the mean over all workers, as DDP does."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is None:  # another worker may have one
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def wait_for_all(self) -> None:
        """Returns when every worker has come here."""
        if self.size > 1:
            dist.barrier()

    def share_buffers(self, module: nn.Module) -> None:
        """Gives every worker the first one's buffers (batch norm statistics are per worker during training)."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def shard(self, num_rows: int) -> slice:
        """This worker's rows of an evaluation: every size-th."""
        return slice(self.rank, num_rows, self.size)

    def gather(self, local: Tensor, num_rows: int) -> Tensor:
        """All workers' `shard`s (rows, k) put together in order: (num_rows, k), on every worker."""
        if self.size == 1:
            return local
        padded = local.new_zeros((-(-num_rows // self.size), *local.shape[1:]))
        padded[: len(local)] = local
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:num_rows]


def local_device() -> torch.device:
    """This process's GPU, or its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_named(name: str | None) -> torch.device:
    """The device that a user named; None: as of `local_device`.

    Raises:
        ConfigurationError: torch has none of that name here.
    """
    if name is None:
        return local_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except Exception as error:  # of several classes
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r}: expected cpu, cuda or cuda:N of this machine ({reason})") from None
    return device


def autocast_dtype(device: torch.device, config: TrainConfig) -> torch.dtype | None:
    """bfloat16, float16 or None (float32), by the configuration; `auto` asks for matrix units that compute it natively.

    CPUs need AMX: with AVX-512 BF16 alone small convolutions are slower than in float32.
    """
    if config.precision != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.precision)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return torch.bfloat16 if native else None
