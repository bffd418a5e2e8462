"""Passes of a network that leave its buffers, as the statistics of batch norm, as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Puts back in the end what the buffers of a network hold in the beginning."""
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
