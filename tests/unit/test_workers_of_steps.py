"""Options of the optimisation on two workers: the weights of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learners import run, spawned, training_recipe, weights
from stores import make_store

from abaw_ray.models import checkpoint


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


@pytest.mark.parametrize(
    "settings",
    [
        ["train.micro_batches=2", "train.accumulate=2", "train.clip_norm=0.1", "optim.average=0.9"],
        ["optim.sharpness_radius=0.05", "train.clip_value=0.01", "optim.schedule=cosine"],
    ],
    ids=["parts", "sharp"],
)
def test_two_workers_reach_the_weights_of_one(store, tmp_path, settings):
    # momentum, as Adam makes much of the last bits of small gradients
    recipe = training_recipe("train.epochs=1", "optim.optimizer=sgd", "train.learning_rate=0.01", *settings)
    run(recipe, store, tmp_path / "one")
    arguments = (2, str(tmp_path / "rendezvous"), recipe, store, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    one, two = weights(tmp_path / "one" / "0"), weights(tmp_path / "two" / "0")
    described = [checkpoint.load(tmp_path / name / "0").description.weights for name in ("one", "two")]
    assert described[0] == described[1]
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
