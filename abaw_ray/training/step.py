"""One optimisation step: inputs, forward, loss of the global batch, backward."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from abaw_ray.config import Recipe
from abaw_ray.models.cnn import on_device
from abaw_ray.models.sets import Network, SetsForward
from abaw_ray.objectives.distillation import distillation_terms
from abaw_ray.objectives.supervised import supervised_terms
from abaw_ray.objectives.terms import Outputs, StepLoss, combine
from abaw_ray.tasks.base import Task
from abaw_ray.training.stage import Batch
from abaw_ray.world import World, autocast_dtype


class Learner:
    """The network in training, its frozen teacher if it has one, and the optimiser.

    Args:
        network: the network to train.
        teacher: a network whose outputs are distilled. It stays in evaluation mode, takes no gradient and is not
            wrapped in DDP. None: batches bring their teacher's outputs, or the objective is the supervised one.
        tasks: the network's tasks.
        set_tasks: source set -> the tasks it is made for.
        recipe: losses and optimiser.
        world: this worker.
    """

    def __init__(
        self,
        network: Network,
        teacher: Network | None,
        tasks: Mapping[str, Task],
        set_tasks: Mapping[str, tuple[str, ...]],
        recipe: Recipe,
        world: World,
    ) -> None:
        self.network = on_device(network, world.device)
        self.teacher = teacher.eval().requires_grad_(False) if teacher is not None else None
        self._module = world.wrap(SetsForward(self.network))
        train = recipe.train
        self.optimizer = torch.optim.Adam(
            [p for p in self.network.parameters() if p.requires_grad],
            train.learning_rate,
            train.betas,
            weight_decay=train.weight_decay,
        )
        self._tasks, self._set_tasks = tasks, set_tasks
        self._recipe, self._world = recipe, world
        self._dtype = autocast_dtype(world.device, train)

    def step(self, batch: Batch, update: bool, num_accumulated: int) -> tuple[StepLoss, Tensor | None]:
        """Adds a step's gradient, and with `update` takes the optimiser step.

        Args:
            batch: this worker's part of the step, on its device.
            update: whether this is the last of the accumulated steps.
            num_accumulated: number of steps whose gradients the optimiser step averages.

        Returns:
            The losses, and with `update` the norm of the gradient, before it is clipped; the same on every worker.
        """
        inputs = {name: b.inputs(self._recipe.augment) for name, b in batch.items()}
        with self._no_sync(not update):
            with self._autocast():
                outputs, taught = self._module(inputs), self._teach(batch, inputs)
            loss = self._loss(batch, outputs, taught)
            # DDP averages over workers what has to be added up: see World.sum
            (loss.total * (self._world.size / num_accumulated)).backward()
        norm = self._update() if update else None
        return StepLoss(loss.total.detach(), loss.terms), norm

    def _update(self) -> Tensor:
        """Takes the optimiser step; returns the norm of the gradient."""
        norm = nn.utils.get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None])
        if self._recipe.train.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.network.parameters(), self._recipe.train.clip_norm, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _teach(self, batch: Batch, inputs: Mapping[str, Any]) -> Outputs | None:
        if self.teacher is None:
            known = {name: b.taught for name, b in batch.items()}
            return known if all(known.values()) else None
        with torch.inference_mode():
            outputs = self.teacher.forward_sets(inputs)
        # inference tensors cannot be saved for a backward pass; their copies can
        return {name: {t: o.clone() for t, o in heads.items()} for name, heads in outputs.items()}

    def _loss(self, batch: Batch, outputs: Outputs, taught: Outputs | None) -> StepLoss:
        labels = {name: b.labels for name, b in batch.items()}
        config = self._recipe.loss
        if taught is None:
            terms = supervised_terms(self._tasks, self._set_tasks, labels, outputs)
        else:
            terms = distillation_terms(self._tasks, self._set_tasks, labels, outputs, taught, config)
        return combine(terms, self._world.sum, config)

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        enabled = self._dtype is not None
        return torch.autocast(self._world.device.type, self._dtype or torch.bfloat16, enabled=enabled)

    def _no_sync(self, active: bool) -> contextlib.AbstractContextManager[None]:
        if active and isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return contextlib.nullcontext()
