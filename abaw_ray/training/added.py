"""Objectives beside those of the tasks' heads, in a step: their terms, and optimisers of their own parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from abaw_ray.config import Recipe
from abaw_ray.objectives.base import Objective, StepData
from abaw_ray.objectives.terms import AnyTerm, combine
from abaw_ray.world import World


class AddedObjectives:
    """The objectives that a recipe adds, in training.

    Args:
        objectives: by name.
        recipe: of the run.
        world: this worker.
    """

    def __init__(self, objectives: Mapping[str, Objective], recipe: Recipe, world: World) -> None:
        self._objectives = {name: objective.to(world.device) for name, objective in objectives.items()}
        self._recipe, self._world = recipe, world
        self._optimizers = {
            name: torch.optim.Adam(objective.parameters(), objective.options.learning_rate)
            for name, objective in self._objectives.items()
            if _learns_by_itself(objective)
        }
        self._num_updates = 0

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Those that are trained with the network's."""
        for name, objective in self._objectives.items():
            if name not in self._optimizers:
                yield from objective.parameters()

    def terms(self, step: StepData) -> list[AnyTerm]:
        """What the network minimises beside its heads' losses."""
        terms: list[AnyTerm] = []
        for name, objective in self._objectives.items():
            objective.requires_grad_(name not in self._optimizers)
            terms += objective.terms(step)
        return terms

    def weights(self) -> dict[str, float]:
        """Weight of each objective in this step: 0 where it is a step of its own optimiser alone."""
        return {
            name: objective.options.weight if (self._num_updates + 1) % objective.options.own_steps == 0 else 0.0
            for name, objective in self._objectives.items()
        }

    def learn(self, step: StepData, num_accumulated: int) -> None:
        """Adds the gradients of a step to the parameters that have an optimiser of their own."""
        if not self._optimizers:
            return
        detached = StepData(step.labels, step.network.map(Tensor.detach), step.teacher)
        for name in self._optimizers:
            objective = self._objectives[name].requires_grad_(True)
            loss = combine(objective.own_terms(detached), self._world, self._recipe.loss, {})
            (loss.total * (self._world.size / num_accumulated)).backward()

    def update(self) -> None:
        """Takes the steps of these optimisers."""
        self._num_updates += 1
        for name, optimizer in self._optimizers.items():
            self._world.average_gradients(self._objectives[name].parameters())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Everything that changes in training; empty: nothing does."""
        if not self._objectives:
            return {}
        return {
            "num_updates": self._num_updates,
            "objectives": {name: objective.state_dict() for name, objective in self._objectives.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._num_updates = state["num_updates"]
        for name, objective in self._objectives.items():
            objective.load_state_dict(state["objectives"][name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])


def _learns_by_itself(objective: Objective) -> bool:
    return type(objective).own_terms is not Objective.own_terms
