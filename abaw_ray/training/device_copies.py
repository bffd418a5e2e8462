"""Batches that come to a GPU while it computes with those before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from abaw_ray.training.kinds.base import Batch


@dataclass(frozen=True)
class Copying:
    """A batch on its way: all of it is there when `event` has come."""

    batch: Batch
    event: torch.cuda.Event


class DeviceCopies:
    """Copies batches from pinned memory beside what the device computes, on a stream of their own.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def start(self, batch: Batch) -> Copying:
        """Begins to copy a batch; may be called on any thread."""
        with torch.cuda.stream(self._stream):
            return Copying({name: part.to(self._device) for name, part in batch.items()}, self._stream.record_event())

    def arrived(self, copying: Iterable[Copying]) -> Iterator[Batch]:
        """The batches in turn: what is computed with one from now on waits for it, the caller does not."""
        for found in copying:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(found.event)

            def in_use(tensor: Tensor, computing: torch.cuda.Stream = computing) -> Tensor:
                tensor.record_stream(computing)  # else its memory could be another batch's before it is computed with
                return tensor

            yield {name: part.map(in_use) for name, part in found.batch.items()}
