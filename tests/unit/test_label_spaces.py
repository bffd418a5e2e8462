"""Label spaces as values: checked, put in one order, and what a store and a network make of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from paper import SPACES
from pydantic import ValidationError

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.spaces import LabelSpace, all_spaces
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

MOODS = LabelSpace(name="mood", kind="multiclass", names=("calm", "tense", "sad"))
VAD = LabelSpace(name="vad", kind="regression", names=("valence", "arousal", "dominance"), low=1, high=10)
CATEGORIES = LabelSpace(name="figures", kind="multilabel", names=("joy", "fear"))  # also the name of a module of tasks


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"names": ("a", "a")}, "different names"),
        ({"names": ()}, "at least 1"),
        ({"kind": "ranking"}, "multiclass"),
        ({"name": "Two words"}, "pattern"),
        ({"low": 1.0, "high": 1.0}, "expected a range"),
        ({"size": 3}, "not permitted"),
    ],
)
def test_spaces_that_cannot_be_are_refused(values: dict[str, object], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        LabelSpace.model_validate({"name": "mood", "kind": "regression", "names": ("calm",)} | values)


def test_the_order_of_all_spaces_is_of_none_of_the_databases() -> None:
    databases = [(SPACES[1],), (SPACES[2], SPACES[0]), (MOODS, SPACES[1])]
    found = {all_spaces(order) for order in itertools.permutations(databases)}
    assert found == {(SPACES[0], MOODS, SPACES[1], SPACES[2])}
    other = MOODS.model_copy(update={"names": ("calm", "tense")})
    with pytest.raises(ConfigurationError, match="label space mood: found multiclass calm, tense beside"):
        all_spaces([(MOODS,), (other,)])


def tasks() -> dict[str, Task]:
    return build_tasks([MOODS, VAD, CATEGORIES], LossConfig(), ModelConfig())


def test_every_kind_of_space_makes_a_task() -> None:
    made = tasks()
    assert {name: task.num_outputs for name, task in made.items()} == {"mood": 3, "vad": 60, "figures": 2}
    rng = np.random.default_rng(0)
    labels = {
        "mood": np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)],
        "vad": rng.uniform(1, 10, (40, 3)).astype(np.float32),
        "figures": rng.integers(0, 2, (40, 2)).astype(np.float32),
    }
    for name, task in made.items():
        target = torch.from_numpy(labels[name])
        logits = torch.randn(40, task.num_outputs, requires_grad=True)
        loss = task.supervised(task.statistics(logits, target, torch.ones(40, dtype=torch.bool)))
        loss.backward()
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert logits.grad.abs().sum() > 0
        predicted = task.decode(logits.detach()).numpy()
        assert predicted.shape == labels[name].shape
        decision = task.fit_decision(labels[name], predicted)
        scores = task.score(labels[name], predicted, decision)
        assert np.isfinite(task.criterion(scores))
        assert set(task.columns.values()) <= scores.keys()
        assert set(task.columns.values()) <= task.chance(labels[name]).keys()
        assert len(task.balance_weights(labels[name])) == 40
        assert task.describe(labels[name][0], decision)
        task.figures(labels[name], predicted)


def test_a_regression_keeps_its_range() -> None:
    task = tasks()["vad"]
    logits = torch.full((1, 60), -50.0)
    logits[0, [0, 39, 40]] = 50.0
    assert task.decode(logits).tolist() == [[1.0, 10.0, 1.0]]
    right = torch.full((1, 3, 20), -50.0)
    for dimension, value in enumerate((1.2, 5.6, 9.9)):  # bins of 0.45
        right[0, dimension, int((value - 1) / 0.45)] = 50.0
    target = torch.tensor([[1.2, 5.6, 9.9]])
    sums = task.statistics(right.view(1, 60), target, torch.tensor([True])).view(3, 7)
    assert sums[:, 0].abs().max() < 1e-6, "the cross-entropy of the right bins"
