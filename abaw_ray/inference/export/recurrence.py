"""What a temporal network has over its CNN, for windows of any length, in operations that every exporter takes.

Transformers and convolutions are exported as they are. torch unrolls a GRU over as many frames as the example has. Here
it is unrolled over a whole window: a shorter one goes on with repeats of its last frame, which come after all that
counts, also in the backward direction, whose frames are reversed first. All tasks and both directions take a step
together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from abaw_ray.models.sequences.gru import TaskGRU
from abaw_ray.models.temporal import TemporalNetwork


def over_frames(network: TemporalNetwork, window: int) -> nn.Module:
    """Features of the frames of one window, task -> (n, width) -> logits, task -> (n, outputs); 1 <= n <= window."""
    if all(isinstance(head, TaskGRU) for head in network.heads.values()):
        return UnrolledGRUs(network, window)
    return _OneWindow(network)


class _OneWindow(nn.Module):
    """The networks of all tasks over one window."""

    def __init__(self, network: TemporalNetwork) -> None:
        super().__init__()
        self.heads = network.heads

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {task: head(features[task][None])[0] for task, head in self.heads.items()}


class UnrolledGRUs(nn.Module):
    """Features of the frames of one window, task -> (n, width) -> logits, task -> (n, outputs); 1 <= n <= window.

    Args:
        network: whose GRUs and classifiers it has.
        window: most frames.
    """

    steps: Tensor
    in_weights: Tensor
    in_biases: Tensor
    weights: Tensor
    biases: Tensor

    def __init__(self, network: TemporalNetwork, window: int) -> None:
        super().__init__()
        heads: dict[str, Any] = dict(network.heads.items())
        parts = [(head.gru, suffix) for head in heads.values() for suffix in ("", "_reverse")]

        def stacked(name: str) -> Tensor:
            """A parameter of every GRU in each direction: (tasks * 2, ...)."""
            return torch.stack([getattr(gru, f"{name}_l0{suffix}").detach() for gru, suffix in parts])

        self._window = window
        self.classifiers = nn.ModuleDict({task: head.classifier for task, head in heads.items()})
        self.register_buffer("steps", torch.arange(window))
        self.register_buffer("in_weights", stacked("weight_ih").mT.contiguous())
        self.register_buffer("in_biases", stacked("bias_ih")[:, None])
        self.register_buffer("weights", stacked("weight_hh").mT.contiguous())
        self.register_buffer("biases", stacked("bias_hh")[:, None])

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        num_frames = next(iter(features.values())).shape[0]
        forward = self.steps.clamp(max=num_frames - 1)
        backward = (num_frames - 1 - self.steps).clamp(min=0)
        ordered = [features[task][order] for task in self.classifiers for order in (forward, backward)]
        states = self._states(torch.stack(ordered) @ self.in_weights + self.in_biases)
        logits = {}
        for place, (task, classifier) in enumerate(self.classifiers.items()):
            ahead, behind = states[2 * place], states[2 * place + 1]
            both = torch.cat([ahead[forward], behind[backward]], dim=1)
            logits[task] = classifier(both[:num_frames])
        return logits

    def _states(self, inputs: Tensor) -> Tensor:
        """Hidden states (tasks * 2, window, hidden) from what frames add to the gates (tasks * 2, window, 3 * hidden).

        The equations, and the order of the gates (reset, update, new), are those of `torch.nn.GRU`.
        """
        state = torch.zeros_like(inputs[:, :1, : self.weights.shape[1]])
        states = []
        for step in range(self._window):
            reset, update, new = inputs[:, step : step + 1].chunk(3, dim=-1)
            own_reset, own_update, own_new = (state @ self.weights + self.biases).chunk(3, dim=-1)
            kept = (update + own_update).sigmoid()
            candidate = (new + (reset + own_reset).sigmoid() * own_new).tanh()
            state = candidate + kept * (state - candidate)
            states.append(state)
        return torch.cat(states, dim=1)
