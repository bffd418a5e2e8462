"""Half precision with a scaled loss: steps as of single precision, and steps that overflow."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from learners import equal, learner_of, resumes, training_recipe
from stores import make_store

from abaw_ray.monitoring.run_log import named_losses, read
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


@pytest.mark.parametrize("parts", [1, 2])
def test_losses_and_norms_are_those_of_single_precision(store, parts):
    found = []
    for precision in ("float32", "float16"):
        recipe = training_recipe(f"train.precision={precision}", f"train.micro_batches={parts}")
        stage, learner = learner_of(store, recipe)
        loss, norm = learner.step(next(iter(stage.batches(0, World()))), True, 1)
        assert norm is not None
        found.append(read(named_losses(loss) | {"norm": norm}))
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_a_step_that_overflows_is_left_out_and_counted(store, caplog):
    recipe = training_recipe("train.precision=float16")
    stage, learner = learner_of(store, recipe)
    updates = Updates(learner, recipe, 3)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    learner.scaler.load_state_dict(learner.scaler.state_dict() | {"scale": 2.0**40})
    batches = iter(stage.batches(0, World()))
    _, norm = learner.step(next(batches), True, 1)
    assert float(norm) == 0
    assert equal(before, learner.network.state_dict())
    assert learner.scaler.state_dict()["scale"] == 2.0**39
    learner.scaler.load_state_dict(learner.scaler.state_dict() | {"scale": 2.0**10})
    _, norm = learner.step(next(batches), True, 1)
    assert float(norm) > 0
    with caplog.at_level(logging.WARNING):
        updates.evaluated(0.0)
        updates.evaluated(0.0)
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 3 steps of the optimiser were left out: their gradient overflowed float16"
    ]


def test_a_resumed_run_goes_on_with_the_scale(store, tmp_path):
    assert resumes(training_recipe("train.precision=float16"), store, tmp_path)
    assert torch.load(tmp_path / "whole" / "1" / "training.pt", weights_only=True)["scaler"]["scale"] > 1
