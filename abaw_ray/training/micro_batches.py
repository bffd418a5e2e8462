"""A step's batch in parts that fit into memory, with the gradient of the whole batch.

Losses here are no sums over rows: the CCC is of the batch. So a first pass, without a graph, finds what the network
says of all parts; the loss of the whole gives the gradient of these outputs; and a second pass carries it into the
weights, part by part (Gao et al., RepL4NLP 2021, for contrastive losses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from abaw_ray.models.outputs import SetsOutput
from abaw_ray.training.buffers import kept_buffers

Forward = Callable[[Mapping[str, Any]], SetsOutput]
"""A network's pass over the inputs of source sets."""

_Outputs = dict[tuple[str, str, str], Tensor]
"""What is put out, set, task -> (batch, width)."""


class MicroBatches:
    """The inputs of a step in parts. Batch norm is over each part; dropout is the same in both passes.

    Args:
        inputs: source set -> what the network takes; all its tensors have the set's rows first.
        num: of parts, whose sizes differ by at most one row in each set; fewer where a set has fewer rows.
        network: whose buffers the first pass leaves as they are.
        device: of the network.
    """

    def __init__(self, inputs: Mapping[str, Any], num: int, network: nn.Module, device: torch.device) -> None:
        num = min(num, *(_num_rows(of_set) for of_set in inputs.values()))
        self._parts = [{name: _part(of_set, at, num) for name, of_set in inputs.items()} for at in range(num)]
        self._network, self._device = network, device
        self._states: list[list[Tensor]] = []
        self._sizes: list[dict[tuple[str, str, str], int]] = []
        self._leaves: _Outputs = {}

    def __len__(self) -> int:
        return len(self._parts)

    def outputs(self, forward: Forward) -> SetsOutput:
        """The first pass: outputs of all rows, whose gradient the second one carries into the weights."""
        found = []
        with torch.no_grad(), kept_buffers(self._network):
            for part in self._parts:
                self._states.append(_random_state(self._device))
                found.append(_flat(forward(part)))
        self._sizes = [{key: len(values) for key, values in outputs.items()} for outputs in found]
        self._leaves = {key: torch.cat([outputs[key] for outputs in found]).requires_grad_() for key in found[0]}
        return _nested(self._leaves)

    def backward(self, at: int, forward: Forward) -> None:
        """The second pass of a part, once the loss of `outputs` has been taken backwards."""
        _set_random_state(self._states[at], self._device)
        outputs = _flat(forward(self._parts[at]))
        learned = [key for key, leaf in self._leaves.items() if leaf.grad is not None]
        gradients = []
        for key in learned:
            gradient = self._leaves[key].grad
            assert gradient is not None
            gradients.append(gradient.split([sizes[key] for sizes in self._sizes])[at])
        torch.autograd.backward([outputs[key] for key in learned], gradients)


def _num_rows(value: Any) -> int:
    """Rows of the first tensor within a value."""
    if isinstance(value, Tensor):
        return len(value)
    values = value.values() if isinstance(value, Mapping) else value
    return next(_num_rows(part) for part in values if isinstance(part, Tensor) or part)


def _part(value: Any, at: int, num: int) -> Any:
    """Part `at` of `num` of all tensors within mappings and named tuples."""
    if isinstance(value, Tensor):
        return value.tensor_split(num)[at]
    if isinstance(value, Mapping):
        return {name: _part(of_name, at, num) for name, of_name in value.items()}
    return type(value)(*(_part(field, at, num) for field in value))


def _flat(output: SetsOutput) -> _Outputs:
    kinds = {"logits": output.logits, "features": output.features}
    kinds |= {"shared": {name: {"": values} for name, values in output.shared.items()}}
    return {
        (kind, name, task): values
        for kind, outputs in kinds.items()
        for name, heads in outputs.items()
        for task, values in heads.items()
    }


def _nested(flat: _Outputs) -> SetsOutput:
    found: dict[str, dict[str, dict[str, Tensor]]] = {"logits": {}, "features": {}, "shared": {}}
    for (kind, name, task), values in flat.items():
        found[kind].setdefault(name, {})[task] = values
    shared = {name: of_set[""] for name, of_set in found["shared"].items()}
    return SetsOutput(found["logits"], found["features"], shared)


def _random_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_state(state: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
