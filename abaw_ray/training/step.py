"""One optimisation step: inputs, forward, loss of the global batch, backward."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.cnn import on_device
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.sets import Network, SetsForward
from abaw_ray.objectives.base import Objective, StepData
from abaw_ray.objectives.distillation import Distillation
from abaw_ray.objectives.supervised import Supervised
from abaw_ray.objectives.terms import SetLabels, StepLoss, combine
from abaw_ray.tasks import nuisance_settings
from abaw_ray.teachers.base import Teacher
from abaw_ray.training.added import AddedObjectives
from abaw_ray.training.captured import CapturedGradient, StepInput
from abaw_ray.training.compiled import CompiledForward
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.micro_batches import MicroBatches
from abaw_ray.training.optimizers import build_optimizer
from abaw_ray.training.sharpness import ascended
from abaw_ray.training.side_stream import SideStream
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
        self.network, self._teacher = _normalised(on_device(network, world.device), recipe, world), teacher
        self._module = world.wrap((CompiledForward if recipe.optim.compile else SetsForward)(self.network))
        self.objective = objective.to(world.device)
        self.added = AddedObjectives(added, recipe, world)
        self._beside_network = [*self.objective.parameters(), *self.added.shared_parameters()]
        self._parameters = [*(p for p in self.network.parameters() if p.requires_grad), *self._beside_network]
        self.optimizer = build_optimizer(self.network, self._beside_network, recipe)
        self._recipe, self._world = recipe, world
        self._dtype = autocast_dtype(world.device, recipe.train)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self._dtype is torch.float16)
        self._beside = SideStream(world.device)
        is_captured = _is_captured(recipe, world)
        self._captured = CapturedGradient(self._gradient, self._parameters) if is_captured else None
        self.num_overflown = torch.zeros((), dtype=torch.long, device=world.device)
        self._task_weights: dict[str, float | Tensor] = dict(recipe.loss.task_weights)

    def step(self, batch: Batch, update: bool, num_accumulated: int) -> tuple[StepLoss, Tensor | None]:
        """Adds a step's gradient, and with `update` takes the optimiser step.

        Args:
            batch: this worker's part of the step, on its device.
            update: whether this is the last of the accumulated steps.
            num_accumulated: number of steps whose gradients the optimiser step averages.

        Returns:
            The losses, and with `update` the norm of the gradient, before it is clipped, or 0 where it overflowed
            float16 and no step was taken; the same on every worker.
        """
        step = StepInput(
            {name: b.inputs(self._recipe.augment) for name, b in batch.items()},
            {name: b.labels for name, b in batch.items()},
            {name: b.taught for name, b in batch.items()},
        )
        loss = self._captured(step) if self._captured is not None else self._gradient(step, update, num_accumulated)
        return loss, self._update() if update else None

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Multiplies the recipe's weights of some tasks, always the same ones, by these from the next step on."""
        for name, weight in weights.items():
            value = self._recipe.loss.task_weights.get(name, 1.0) * weight
            known = self._task_weights.get(name)
            if isinstance(known, Tensor):
                known.fill_(value)  # a captured step reads it from where it is
            else:
                self._task_weights[name] = torch.tensor(value, device=self._world.device)

    def take_overflown(self) -> int:
        """Optimiser steps that were left out since the last call, as their gradient overflowed float16."""
        num = int(self.num_overflown)
        self.num_overflown.zero_()
        return num

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

    def _gradient(self, step: StepInput, update: bool = True, num_accumulated: int = 1) -> StepLoss:
        """Adds the gradient of a step; returns its losses."""
        taught = self._beside.do(lambda: self._teach(step))
        data, loss = self._add_gradient(step.inputs, step.labels, taught, update, num_accumulated)
        radius = self._recipe.optim.sharpness_radius
        if radius is not None:
            self._world.average_gradients(self._beside_network)
            with ascended(self.network, self._parameters, radius):
                self._add_gradient(step.inputs, step.labels, taught, update, num_accumulated)
        own = self.added.learn(data, num_accumulated)
        return StepLoss(loss.detached().total, loss.terms | own)

    def _add_gradient(
        self,
        inputs: Mapping[str, Any],
        labels: Mapping[str, SetLabels],
        taught: SetsOutput | None,
        update: bool,
        num_accumulated: int,
    ) -> tuple[StepData, StepLoss]:
        """Adds the gradient of a step's losses; `update`: the workers' gradients are averaged."""
        # DDP averages over workers what has to be added up: see World.sum
        factor = self._world.size / num_accumulated
        if self._recipe.train.micro_batches == 1:
            with self._no_sync(not update):
                data = StepData(labels, self._forward(inputs), taught, inputs)
                self._beside.join()
                loss = self._loss(data)
                self.scaler.scale(loss.total * factor).backward()
            return data, loss
        parts = MicroBatches(inputs, self._recipe.train.micro_batches, self.network, self._world.device)
        data = StepData(labels, parts.outputs(self._forward), taught, inputs)
        self._beside.join()
        loss = self._loss(data)
        self.scaler.scale(loss.total * factor).backward()
        for at in range(len(parts)):
            with self._no_sync(not update or at + 1 < len(parts)):
                parts.backward(at, self._forward)
        return data, loss

    def _update(self) -> Tensor:
        """Takes the optimiser step; returns the norm of the gradient."""
        self._world.average_gradients(self._beside_network)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        train = self._recipe.train
        if train.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self._parameters, train.clip_norm, norm)
        if train.clip_value is not None:
            nn.utils.clip_grad_value_(self._parameters, train.clip_value)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.added.update()
        if self.scaler.is_enabled():
            overflown = ~norm.isfinite()
            self.num_overflown += overflown
            norm = norm.masked_fill(overflown, 0.0)
        return norm

    def _teach(self, step: StepInput) -> SetsOutput | None:
        if self._teacher is None:
            return None
        with self._autocast():
            return self._teacher.outputs(step.inputs, step.stored)

    def _forward(self, inputs: Mapping[str, Any]) -> SetsOutput:
        with self._autocast():
            output: SetsOutput = self._module(inputs)
            return output

    def _loss(self, data: StepData) -> StepLoss:
        terms = [*self.objective.terms(data), *self.added.terms(data)]
        return combine(terms, self._world, self._recipe.loss, self._task_weights | self.added.weights())

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        enabled = self._dtype is not None
        return torch.autocast(self._world.device.type, self._dtype or torch.bfloat16, enabled=enabled)

    def _no_sync(self, active: bool) -> contextlib.AbstractContextManager[None]:
        if active and isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return contextlib.nullcontext()


def _is_captured(recipe: Recipe, world: World) -> bool:
    """Whether steps are to be one CUDA graph.

    Raises:
        ConfigurationError: not every step does the same on one GPU alone.
    """
    if not recipe.optim.cuda_graph or world.device.type != "cuda":
        return False
    others = {
        "plugins": bool(recipe.plugins),  # nobody knows what they do beside the device
        "objectives": bool(recipe.objectives),
        "nuisances": bool(nuisance_settings(recipe.tasks)),
        "several workers": world.size > 1,
        "train.accumulate": recipe.train.accumulate > 1,
        "train.micro_batches": recipe.train.micro_batches > 1,
        "optim.sharpness_radius": recipe.optim.sharpness_radius is not None,
    }
    if found := [name for name, there in others.items() if there]:
        raise ConfigurationError(f"optim.cuda_graph: found {', '.join(found)}, expected none of {', '.join(others)}")
    return True


def _normalised(network: Network, recipe: Recipe, world: World) -> Network:
    """The network, with its batch norm over all workers if the recipe says so."""
    if not recipe.optim.sync_batch_norm or world.size == 1:
        return network
    if world.device.type != "cuda":
        raise ConfigurationError(
            f"optim.sync_batch_norm: found {world.size} workers on {world.device.type}, expected GPUs, or one worker"
        )
    from timm.layers import convert_sync_batchnorm

    converted: Network = convert_sync_batchnorm(network)
    return converted
