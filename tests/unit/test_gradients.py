"""What is done with the gradient of a step before the optimiser takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learners import learner_of, training_recipe
from stores import make_store

from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def change_of_a_step(store: Path, *settings: str) -> tuple[torch.Tensor, float]:
    """By how much a step of gradient descent at rate 1 changes every parameter, and the gradient's norm."""
    plain = ["optim.optimizer=momentum", "optim.options={momentum: 0}", "train.learning_rate=1"]
    stage, learner = learner_of(store, training_recipe(*plain, *settings))
    before = torch.cat([p.detach().flatten() for p in learner.network.parameters()])
    _, norm = learner.step(next(iter(stage.batches(0, World()))), True, 1)
    after = torch.cat([p.detach().flatten() for p in learner.network.parameters()])
    assert norm is not None
    return before - after, float(norm)


def test_a_gradient_is_clipped_by_its_norm_or_number_by_number(store):
    gradient, norm = change_of_a_step(store)
    assert float(gradient.norm()) == pytest.approx(norm, rel=1e-3)
    by_norm, reported = change_of_a_step(store, f"train.clip_norm={norm / 4}")
    assert reported == pytest.approx(norm, rel=1e-6), "the norm before"
    torch.testing.assert_close(by_norm, gradient / 4, rtol=1e-2, atol=1e-6)
    limit = float(gradient.abs().max()) / 4
    by_value, reported = change_of_a_step(store, f"train.clip_value={limit}")
    assert reported == pytest.approx(norm, rel=1e-6)
    torch.testing.assert_close(by_value, gradient.clamp(-limit, limit), rtol=1e-2, atol=1e-6)


def test_gradients_are_clipped_one_way():
    with pytest.raises(ConfigurationError, match="expected clip_norm or clip_value, found both"):
        load_recipe(None, ["train.clip_norm=1", "train.clip_value=1"])
