"""Work that a GPU does beside other work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


class SideStream:
    """A stream beside the current one of a GPU; on a CPU work is done as it comes.

    Args:
        device: of the work.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def do(self, work: Callable[[], T]) -> T:
        """Queues work after what the current stream has queued; its result is there after `join`."""
        if self._stream is None:
            return work()
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            return work()

    def join(self) -> None:
        """What the current stream is given from now on comes after the work."""
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
