"""Steps as one CUDA graph against the same steps kernel by kernel."""

from __future__ import annotations

import logging

import pytest
import torch
from steps import batches, changed, job_of, learner_on, losses_of
from torch import Tensor

from abaw_ray.training.captured import NUM_PLAIN

NUM_STEPS = NUM_PLAIN + 4


@pytest.mark.parametrize("kind", ["teacher", "student", "student of an ensemble", "windows"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_captured_steps_are_the_plain_ones(device, store, recipe, cnn, other_cnn, kind, precision):
    """The rate changes between them, the gradient is clipped, and units are dropped."""
    recipe = changed(recipe, train={"precision": precision, "clip_norm": 1.0})
    if kind != "windows":
        recipe = changed(recipe, model={"backbone": "test_resnet", "head": "reference", "head_dropout": 0.5})
    found, weights = [], []
    for cuda_graph in (False, True):
        stage, learner = learner_on(
            device, job_of(kind, changed(recipe, optim={"cuda_graph": cuda_graph}), store, cnn, other_cnn)
        )
        steps = batches(stage, recipe, NUM_STEPS)
        torch.manual_seed(0)
        losses = []
        for number, step in enumerate(steps):
            learner.optimizer.param_groups[0]["lr"] = 1e-3 / (number + 1)
            losses += losses_of(learner, [step], device)
        found.append(losses)
        weights.append({name: value.float().cpu() for name, value in learner.network.state_dict().items()})
    for plain, captured in zip(*found, strict=True):
        assert captured == pytest.approx(plain, rel=1e-2 if precision != "float32" else 1e-3)
    assert found[0][0] != found[0][-1]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-2, atol=2e-3)


def test_a_batch_of_another_size_is_computed_as_it_comes(device, store, recipe, cnn, other_cnn):
    found = []
    for cuda_graph in (False, True):
        stage, learner = learner_on(
            device, job_of("teacher", changed(recipe, optim={"cuda_graph": cuda_graph}), store, cnn, other_cnn)
        )
        steps = batches(stage, recipe, NUM_PLAIN + 3)
        steps[-2] = {name: part.map(lambda t: t[:4]) for name, part in steps[-2].items()}
        found.append(losses_of(learner, steps, device))
    for plain, captured in zip(*found, strict=True):
        assert captured == pytest.approx(plain, rel=1e-3)


def test_a_network_that_waits_for_the_device_is_trained_all_the_same(device, store, recipe, cnn, other_cnn, caplog):
    if device.type != "cuda":
        pytest.skip("a CPU captures nothing")
    stage, learner = learner_on(
        device, job_of("teacher", changed(recipe, optim={"cuda_graph": True}), store, cnn, other_cnn)
    )

    def waiting(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert float(inputs[0].float().sum()) == float(inputs[0].float().sum())

    learner.network.backbone.register_forward_pre_hook(waiting)
    with caplog.at_level(logging.WARNING):
        losses = losses_of(learner, batches(stage, recipe, NUM_STEPS), device)
    assert "cannot be captured" in caplog.text
    assert losses[-1]["total"] < losses[0]["total"]
