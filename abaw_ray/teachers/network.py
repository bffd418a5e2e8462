"""A teacher that is a network, asked in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from abaw_ray.models.outputs import Outputs, SetsOutput
from abaw_ray.models.sets import Network


class NetworkTeacher:
    """A frozen network. It stays in evaluation mode, takes no gradient and is not wrapped in DDP.

    Args:
        network: on its device.
    """

    def __init__(self, network: Network) -> None:
        self._network = network.eval().requires_grad_(False)
        self.feature_widths = network.feature_widths

    def outputs(self, inputs: Mapping[str, Any], stored: Outputs) -> SetsOutput:
        with torch.inference_mode():
            found = self._network.forward_sets(inputs)
        return found.map(Tensor.clone)  # inference tensors cannot be saved for a backward pass; copies can
