"""A network's forward pass under `torch.compile`, or as it is where that fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.sets import Network, SetsForward
from abaw_ray.training.buffers import kept_buffers

logger = logging.getLogger(__name__)


class CompiledForward(SetsForward):
    """`SetsForward`, compiled. The first inputs are tried forwards and backwards; what fails is said, and not compiled.

    Args:
        network: whose parameters and names stay as they are.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._of_sets = torch.compile(network.forward_sets)
        self._tried = False

    def forward(self, inputs: Mapping[str, Any]) -> SetsOutput:
        if not self._tried:
            self._try(inputs)
        return self._of_sets(inputs)

    def _try(self, inputs: Mapping[str, Any]) -> None:
        """Leaves random numbers, buffers and gradients as they were."""
        self._tried = True
        try:
            with kept_buffers(self.network), torch.random.fork_rng(), torch.enable_grad():
                logits = self._of_sets(inputs).logits
                total = torch.stack([_sum(heads) for heads in logits.values()]).sum()
                learned = [p for p in self.network.parameters() if p.requires_grad]
                torch.autograd.grad(total, learned, allow_unused=True)
        except Exception as error:  # of the compilers, which have many; one of the network comes again
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            logger.warning("optim.compile: torch cannot compile this network here, so it is not compiled: %s", reason)
            self._of_sets = self.network.forward_sets


def _sum(heads: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([logits.float().sum() for logits in heads.values()]).sum()
