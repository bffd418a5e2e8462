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
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.sets import Network, SetsForward
from abaw_ray.objectives.base import Objective, StepData
from abaw_ray.objectives.distillation import Distillation
from abaw_ray.objectives.supervised import Supervised
from abaw_ray.objectives.terms import StepLoss, combine
from abaw_ray.teachers.base import Teacher
from abaw_ray.training.added import AddedObjectives
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.optimizers import build_optimizer
from abaw_ray.world import World, autocast_dtype


class Learner:
    """The network in training, its teacher if it has one, its losses, and the optimiser.

    Args:
        network: the network to train.
        teacher: whose outputs are distilled; None: the objective is the supervised one.
        objective: of the heads.
        added: losses beside it, by name.
        recipe: losses and optimiser.
        world: this worker.
    """

    def __init__(
        self,
        network: Network,
        teacher: Teacher | None,
        objective: Supervised | Distillation,
        added: Mapping[str, Objective],
        recipe: Recipe,
        world: World,
    ) -> None:
        self.network, self._teacher = on_device(network, world.device), teacher
        self._module = world.wrap(SetsForward(self.network))
        self.objective = objective.to(world.device)
        self.added = AddedObjectives(added, recipe, world)
        self._beside_network = [*self.objective.parameters(), *self.added.shared_parameters()]
        self._parameters = [*(p for p in self.network.parameters() if p.requires_grad), *self._beside_network]
        self.optimizer = build_optimizer(self.network, self._beside_network, recipe)
        self._recipe, self._world = recipe, world
        self._dtype = autocast_dtype(world.device, recipe.train)

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
            data = StepData({name: b.labels for name, b in batch.items()}, outputs, taught)
            loss = self._loss(data)
            # DDP averages over workers what has to be added up: see World.sum
            (loss.total * (self._world.size / num_accumulated)).backward()
        self.added.learn(data, num_accumulated)
        norm = self._update() if update else None
        return loss.detached(), norm

    def losses(self) -> dict[str, Any]:
        """What the losses have learned, for a checkpoint; empty: they have nothing to learn."""
        objective, added = self.objective.state_dict(), self.added.state()
        return {"objective": objective, "added": added} if objective or added else {}

    def load_losses(self, state: Mapping[str, Any]) -> None:
        """The inverse of `losses`."""
        if state:
            self.objective.load_state_dict(state["objective"])
        if state.get("added"):
            self.added.load_state(state["added"])

    def _update(self) -> Tensor:
        """Takes the optimiser step; returns the norm of the gradient."""
        self._world.average_gradients(self._beside_network)
        norm = nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        train = self._recipe.train
        if train.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self._parameters, train.clip_norm, norm)
        if train.clip_value is not None:
            nn.utils.clip_grad_value_(self._parameters, train.clip_value)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.added.update()
        return norm

    def _teach(self, batch: Batch, inputs: Mapping[str, Any]) -> SetsOutput | None:
        if self._teacher is None:
            return None
        return self._teacher.outputs(inputs, {name: b.taught for name, b in batch.items()})

    def _loss(self, data: StepData) -> StepLoss:
        terms = [*self.objective.terms(data), *self.added.terms(data)]
        return combine(terms, self._world, self._recipe.loss, self._recipe.loss.task_weights | self.added.weights())

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        enabled = self._dtype is not None
        return torch.autocast(self._world.device.type, self._dtype or torch.bfloat16, enabled=enabled)

    def _no_sync(self, active: bool) -> contextlib.AbstractContextManager[None]:
        if active and isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return contextlib.nullcontext()
