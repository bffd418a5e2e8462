"""Objectives with parameters in training: which optimiser has them, and when it takes a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from learners import training_recipe
from matching import SET, synthetic_batch
from torch import nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives import build_objectives
from abaw_ray.objectives.base import Context, Objective, ObjectiveOptions, Player, StepData
from abaw_ray.objectives.terms import Term, combine
from abaw_ray.training.added import AddedObjectives
from abaw_ray.world import World

RECIPE = training_recipe()
CONTEXT = Context({}, {}, {})


class Numbers(Objective):
    """Numbers, each of which is to be small; `shared` learns with the network."""

    def __init__(self, options: ObjectiveOptions, context: Context) -> None:
        super().__init__(options, context)
        self.shared, self.slow, self.quick = (_Number() for _ in range(3))

    def terms(self, step: StepData) -> Sequence[Term]:
        return [_squared(self.shared, self.slow, self.quick)]


class SeveralPlayers(Numbers):
    def players(self) -> Mapping[str, Player]:
        return {
            "slow": Player(self.slow, lambda step: [_squared(self.slow, self.quick, self.shared)], period=3),
            "quick": Player(self.quick, lambda step: [_squared(self.quick)]),
        }


class OwnTerms(Numbers):
    def own_terms(self, step: StepData) -> Sequence[Term]:
        return [_squared(self.slow)]


class _Number(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(()))


def _squared(*numbers: _Number) -> Term:
    total = torch.stack([number.value.double() ** 2 for number in numbers]).sum()
    return Term(SET, "numbers", total[None], lambda sums: sums[0])


def step() -> StepData:
    return StepData({SET: synthetic_batch(2, 0)[SET].labels}, SetsOutput({}, {}), None)


def added(kind: type[Numbers], **options: float) -> tuple[Numbers, AddedObjectives]:
    objective = kind(ObjectiveOptions(**options), CONTEXT)
    return objective, AddedObjectives({"numbers": objective}, RECIPE, World())


def test_each_player_has_its_own_rate_of_steps_and_learns_from_its_own_terms():
    objective, training = added(SeveralPlayers, learning_rate=0.1)
    assert list(training.shared_parameters()) == [objective.shared.value]
    values = []
    for number in range(6):
        combine(training.terms(step()), World(), RECIPE.loss, {}).total.backward()
        assert objective.shared.value.grad is not None
        assert objective.slow.value.grad is None
        assert objective.quick.value.grad is None
        objective.shared.value.grad = None
        found = training.learn(step(), 1)
        assert objective.shared.value.grad is None
        assert set(found) == {(SET, "numbers/quick")} | ({(SET, "numbers/slow")} if number % 3 == 2 else set())
        training.update()
        values.append((float(objective.slow.value.detach()), float(objective.quick.value.detach())))
    # steps of Adam at the beginning are of about the learning rate
    assert [slow for slow, _ in values] == pytest.approx([1, 1, 0.9, 0.9, 0.9, 0.8], abs=0.01)
    assert [quick for _, quick in values] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], abs=0.05)
    assert float(objective.shared.value.detach()) == 1


def test_gradients_of_accumulated_steps_are_averaged():
    objective, training = added(SeveralPlayers)
    for _ in range(4):
        training.learn(step(), 4)
    assert objective.quick.value.grad == pytest.approx(2.0)


def test_an_objective_with_own_terms_is_one_player_under_the_name_that_checkpoints_had():
    objective, training = added(OwnTerms)
    assert list(training.shared_parameters()) == []
    assert set(training.learn(step(), 1)) == {(SET, "numbers/own")}
    training.update()
    state = training.state()
    assert set(state) == {"num_updates", "objectives", "optimizers"}
    assert set(state["optimizers"]) == {"numbers"}
    other, resumed = added(OwnTerms)
    resumed.load_state(state)
    for of in (training, resumed):
        of.learn(step(), 1)
        of.update()
    assert torch.equal(objective.slow.value, other.slow.value)
    assert not torch.equal(objective.slow.value, torch.ones(()))


def test_parameters_without_a_player_are_trained_with_the_network_s():
    objective, training = added(Numbers)
    assert list(training.shared_parameters()) == list(objective.parameters())
    assert training.learn(step(), 1) == {}
    assert training.weights() == {"numbers": 1.0}


def test_a_delay_is_of_weights_and_of_steps():
    objective, training = added(SeveralPlayers, delay=2, own_steps=2, weight=0.5, learning_rate=0.1)
    weights, quick, slow = [], [], []
    for _ in range(6):
        weights.append(training.weights()["numbers"])
        training.learn(step(), 1)
        training.update()
        quick.append(round(float(objective.quick.value.detach()), 1))
        slow.append(round(float(objective.slow.value.detach()), 1))
    assert weights == [0, 0, 0, 0.5, 0, 0.5]
    assert quick == [1, 1, 0.9, 0.8, 0.7, 0.6]
    assert slow == [1, 1, 1, 1, 0.9, 0.9]


def test_a_delay_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match=r"objectives\.joint_matching[\s\S]*delay"):
        build_objectives({"joint_matching": {"delay": -1}}, CONTEXT)
