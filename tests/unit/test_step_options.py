"""Options of a training step: sharpness-aware gradients, compiled networks, batch norm over workers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from learners import equal, learner_of, resumes, training_recipe
from stores import make_store
from torch import nn

from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.training import compiled
from abaw_ray.training.sharpness import ascended
from abaw_ray.training.step import Learner
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def test_the_sharp_gradient_is_that_of_the_highest_point_around_the_weights():
    curvature, weights = torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0])
    parameter = nn.Parameter(weights.clone())
    module = nn.Module()
    module.weight = parameter

    def descend() -> None:
        (0.5 * curvature * parameter**2).sum().backward()

    descend()
    with ascended(module, [parameter], 0.5):
        # the gradient is (3, 4), of length 5
        torch.testing.assert_close(parameter.detach(), weights + 0.5 * torch.tensor([0.6, 0.8]))
        descend()
    assert torch.equal(parameter.detach(), weights)
    assert parameter.grad is not None
    torch.testing.assert_close(parameter.grad, torch.tensor([3.3, 5.6]))


def test_a_sharp_step_leaves_statistics_as_one_pass_does_and_is_another_than_the_plain_one(store):
    after = []
    for settings in ([], ["optim.sharpness_radius=0.5"]):
        stage, learner = learner_of(store, training_recipe("model.backbone=test_efficientnet", *settings))
        learner.step(next(iter(stage.batches(0, World()))), True, 1)
        after.append((dict(learner.network.named_buffers()), [p.detach() for p in learner.network.parameters()]))
    (buffers, weights), (same_buffers, others) = after
    assert equal(buffers, same_buffers)
    assert not equal(weights, others)


def test_a_resumed_sharp_run_ends_where_an_uninterrupted_one_does(store, tmp_path):
    assert resumes(training_recipe("optim.sharpness_radius=0.05", "model.head_dropout=0.5"), store, tmp_path)


@pytest.mark.parametrize("setting", ["train.accumulate=2", "train.precision=float16"])
def test_what_a_sharp_step_cannot_be_combined_with_is_refused(setting):
    with pytest.raises(ConfigurationError, match=r"sharpness_radius: expected train\.accumulate 1"):
        load_recipe(None, ["optim.sharpness_radius=0.05", setting])


def _fails_forwards(function):
    def broken(inputs):
        raise RuntimeError("no compiler\non this machine")

    return broken


def _fails_backwards(function):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            raise RuntimeError("no compiler\non this machine")

    return lambda inputs: function(inputs).map(Broken.apply)


def step_of(store: Path, *settings: str) -> dict[str, torch.Tensor]:
    recipe = training_recipe("model.backbone=test_efficientnet", "model.head_dropout=0.5", *settings)
    stage, learner = learner_of(store, recipe)
    torch.manual_seed(1)
    learner.step(next(iter(stage.batches(0, World()))), True, 1)
    return learner.network.state_dict()


@pytest.mark.parametrize("compiler", [_fails_forwards, _fails_backwards])
def test_what_cannot_be_compiled_is_said_and_trained_as_it_is(store, monkeypatch, caplog, compiler):
    plain = step_of(store)
    monkeypatch.setattr(compiled.torch, "compile", compiler)
    with caplog.at_level(logging.WARNING):
        assert equal(step_of(store, "optim.compile=true"), plain)
    (record,) = caplog.records
    assert record.getMessage().endswith("so it is not compiled: no compiler")


def test_a_traced_network_trains_as_the_plain_one(store, monkeypatch):
    plain, compile_by = step_of(store), torch.compile
    monkeypatch.setattr(compiled.torch, "compile", lambda function: compile_by(function, backend="eager"))
    traced = step_of(store, "optim.compile=true")
    assert traced.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(traced[name], value, rtol=1e-3, atol=2e-3)


def test_batch_norm_over_workers_without_gpus_is_refused_and_of_one_worker_is_its_own(store):
    assert equal(step_of(store, "optim.sync_batch_norm=true"), step_of(store))
    recipe = training_recipe("optim.sync_batch_norm=true")
    _, learner = learner_of(store, recipe)
    with pytest.raises(ConfigurationError, match="found 2 workers on cpu, expected GPUs, or one worker"):
        Learner(learner.network, None, learner.objective, {}, recipe, World(0, 2))
