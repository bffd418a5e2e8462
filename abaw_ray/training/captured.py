"""The gradient of a step as one CUDA graph: a GPU is given all its work at once, and not kernel by kernel.

A step of a small batch is thousands of kernels, each of which takes a processor longer to give out than a fast GPU to
do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from abaw_ray.objectives.terms import AnnotatorLabels, SetLabels, StepLoss

logger = logging.getLogger(__name__)

NUM_PLAIN = 3
"""Steps before the capture, in which libraries choose their algorithms and take their memory."""


@dataclass(frozen=True)
class StepInput:
    """What the losses of a step are computed from.

    Args:
        inputs: source set -> what the network takes.
        labels: source set -> labels of its rows.
        stored: source set -> task -> the teacher's logits that came with the batch.
    """

    inputs: Mapping[str, Any]
    labels: Mapping[str, SetLabels]
    stored: Mapping[str, Mapping[str, Tensor]]

    def flat(self) -> tuple[list[Tensor], pytree.TreeSpec]:
        """Every tensor, and what `of` puts them together by."""
        labels = {name: (of_set.labels, of_set.labelled, _plain(of_set)) for name, of_set in self.labels.items()}
        return pytree.tree_flatten((self.inputs, labels, self.stored))

    @staticmethod
    def of(tensors: Sequence[Tensor], form: pytree.TreeSpec) -> StepInput:
        """The inverse of `flat`."""
        inputs, labels, stored = pytree.tree_unflatten(tensors, form)
        of_sets = {
            name: SetLabels(values, labelled, {task: AnnotatorLabels(*parts) for task, parts in annotators.items()})
            for name, (values, labelled, annotators) in labels.items()
        }
        return StepInput(inputs, of_sets, stored)


def _plain(labels: SetLabels) -> dict[str, tuple[Tensor, Tensor]]:
    return {task: (of_task.values, of_task.given) for task, of_task in labels.annotators.items()}


class CapturedGradient:
    """Computes a step's losses and gradient; from the fourth step on, by a graph of them that is replayed.

    Steps of other shapes than the captured one are computed as they come, and all where the capture fails.

    Args:
        compute: gives the losses of a step, and adds its gradient to that of the parameters. It must do the same for
            every step, on the device alone.
        parameters: that have a gradient; before every step there is none.
    """

    def __init__(self, compute: Callable[[StepInput], StepLoss], parameters: Sequence[nn.Parameter]) -> None:
        self._compute, self._parameters = compute, parameters
        self._num_steps = 0
        self._captured: _Captured | None = None

    def __call__(self, step: StepInput) -> StepLoss:
        """The losses of a step, whose gradient the parameters then have."""
        self._num_steps += 1
        if self._num_steps == NUM_PLAIN + 1:
            self._captured = self._capture(step)
        if self._captured is None:
            return self._compute(step)
        tensors, form = step.flat()
        return self._captured.replay(tensors) if self._captured.fits(tensors, form) else self._compute(step)

    def _capture(self, step: StepInput) -> _Captured | None:
        """A graph of the step, which is not computed by that; None: it cannot be captured."""
        tensors, form = step.flat()
        own = [tensor.clone() for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        try:
            # other threads go on to pin memory and to copy
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                loss = self._compute(StepInput.of(own, form))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            logger.warning(
                "optim.cuda_graph: this step cannot be captured, so it is taken kernel by kernel: %s", reason
            )
            for parameter in self._parameters:
                parameter.grad = None
            return None
        gradients = [parameter.grad for parameter in self._parameters]
        return _Captured(graph, own, form, loss, self._parameters, gradients)


@dataclass(frozen=True)
class _Captured:
    """A graph, the tensors that it reads, and those that it writes."""

    graph: torch.cuda.CUDAGraph
    tensors: list[Tensor]
    form: pytree.TreeSpec
    loss: StepLoss
    parameters: Sequence[nn.Parameter]
    gradients: list[Tensor | None]

    def fits(self, tensors: Sequence[Tensor], form: pytree.TreeSpec) -> bool:
        """Whether the graph is one of such steps, given as of `StepInput.flat`."""
        pairs = zip(self.tensors, tensors, strict=False)
        return form == self.form and all((a.shape, a.dtype) == (b.shape, b.dtype) for a, b in pairs)

    def replay(self, tensors: Sequence[Tensor]) -> StepLoss:
        """Computes a step that fits."""
        for own, given in zip(self.tensors, tensors, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        # the next replay writes over what this one gives
        total, *terms = torch.stack([self.loss.total, *self.loss.terms.values()]).unbind()
        return StepLoss(total, dict(zip(self.loss.terms, terms, strict=True)))
