"""Objectives beside those of the tasks' heads, in a step: their terms, and optimisers of their own parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from abaw_ray.config import Recipe
from abaw_ray.objectives.base import OWN, Objective, Player, StepData
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
        self._players = {
            (name, of_part): player
            for name, objective in self._objectives.items()
            for of_part, player in objective.players().items()
        }
        self._optimizers = {
            key: torch.optim.Adam(player.module.parameters(), self._objectives[key[0]].options.learning_rate)
            for key, player in self._players.items()
        }
        self._num_updates = 0

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Those that are trained with the network's."""
        own = {id(parameter) for player in self._players.values() for parameter in player.module.parameters()}
        for objective in self._objectives.values():
            yield from (parameter for parameter in objective.parameters() if id(parameter) not in own)

    def terms(self, step: StepData) -> list[AnyTerm]:
        """What the network minimises beside its heads' losses."""
        step = replace(step, num_updates=self._num_updates)
        terms: list[AnyTerm] = []
        for name, objective in self._objectives.items():
            objective.requires_grad_(True)
            for (of_objective, _), player in self._players.items():
                if of_objective == name:
                    player.module.requires_grad_(False)
            # of a step in which the network does not learn from it only the value is wanted
            with torch.set_grad_enabled(self._is_due(name, objective.options.own_steps)):
                terms += objective.terms(step)
        return terms

    def weights(self) -> dict[str, float]:
        """Weight of each objective in this step: 0 where it is a step of its own optimisers alone."""
        return {
            name: objective.options.weight if self._is_due(name, objective.options.own_steps) else 0.0
            for name, objective in self._objectives.items()
        }

    def learn(self, step: StepData, num_accumulated: int) -> dict[tuple[str, str], Tensor]:
        """Adds the gradients of a step to the parameters that have an optimiser of their own.

        Returns:
            (source set, `<objective>/<player>`) -> what those minimise that take a step next, without the weights.
        """
        values: dict[tuple[str, str], Tensor] = {}
        step = replace(step, num_updates=self._num_updates)
        detached = replace(step, network=step.network.map(Tensor.detach)) if self._players else step
        for (name, of_part), player in self._due():
            self._objectives[name].requires_grad_(False)
            player.module.requires_grad_(True)
            loss = combine(player.terms(detached), self._world, self._recipe.loss, {})
            (loss.total * (self._world.size / num_accumulated)).backward()
            values |= {(source, f"{name}/{of_part}"): value for (source, _), value in loss.terms.items()}
        return values

    def update(self) -> None:
        """Takes the steps of these optimisers."""
        for key, player in self._due():
            self._world.average_gradients(player.module.parameters())
            self._optimizers[key].step()
            self._optimizers[key].zero_grad(set_to_none=True)
        self._num_updates += 1

    def state(self) -> dict[str, Any]:
        """Everything that changes in training; empty: nothing does."""
        if not self._objectives:
            return {}
        return {
            "num_updates": self._num_updates,
            "objectives": {name: objective.state_dict() for name, objective in self._objectives.items()},
            "optimizers": {_key(*key): optimizer.state_dict() for key, optimizer in self._optimizers.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._num_updates = state["num_updates"]
        for name, objective in self._objectives.items():
            objective.load_state_dict(state["objectives"][name])
        for key, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][_key(*key)])

    def _due(self) -> list[tuple[tuple[str, str], Player]]:
        """The players that take a step with the network's next one."""
        return [(key, player) for key, player in self._players.items() if self._is_due(key[0], player.period)]

    def _is_due(self, name: str, period: int) -> bool:
        """Whether the network's next step is one of an objective's with this period."""
        number = self._num_updates + 1 - self._objectives[name].options.delay
        return number > 0 and number % period == 0


def _key(name: str, of_part: str) -> str:
    """Of an optimiser in a checkpoint."""
    return name if of_part == OWN else f"{name}/{of_part}"
