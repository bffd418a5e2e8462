"""Sharpness-aware minimisation (Foret et al., ICLR 2021): the gradient where the loss is highest around the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from abaw_ray.training.buffers import kept_buffers


@contextmanager
def ascended(network: nn.Module, parameters: Sequence[nn.Parameter], radius: float) -> Iterator[None]:
    """Moves parameters by `radius` along their gradient, which is then none, and back in the end, to the bit.

    Args:
        network: whose buffers are as before in the end, as a second pass over the same samples adds nothing to them.
        parameters: with gradients, the same on every worker.
        radius: the paper's rho: L2 norm of the move (equation 2).
    """
    moved = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in moved if p.grad is not None]
    weights = [p.detach().clone() for p in moved]
    scale = radius / (nn.utils.get_total_norm(gradients) + 1e-12)
    with torch.no_grad():
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.add_(gradient * scale)
            parameter.grad = None
    with kept_buffers(network):
        yield
    with torch.no_grad():
        for parameter, before in zip(moved, weights, strict=True):
            parameter.copy_(before)
