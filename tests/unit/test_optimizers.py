"""timm's optimisers by name: what they train, what they decay, and what is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from learners import learner_of, resumes, training_recipe
from stores import make_store
from torch import nn

from abaw_ray.cli.unused import unused_in
from abaw_ray.config import ModelConfig, Recipe, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.training.job import Job
from abaw_ray.training.optimizers import build_optimizer
from abaw_ray.training.schedules import Schedule
from abaw_ray.training.stage import Stage


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def network() -> nn.Module:
    return nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "head": nn.Linear(4, 2)})


def test_the_default_is_adam_over_all_parameters_in_their_order():
    made, recipe = network(), Recipe()
    optimizer = build_optimizer(made, [], recipe)
    plain = torch.optim.Adam(made.parameters(), recipe.train.learning_rate, recipe.train.betas)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.state_dict() == plain.state_dict()


def test_biases_norms_and_what_the_backbone_names_can_be_left_out_of_the_decay():
    made, beside = network(), [nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))]
    made["conv"].no_weight_decay = lambda: {"weight"}
    recipe = load_recipe(None, ["optim.optimizer=adamw", "optim.decay=weights", "train.weight_decay=0.05"])
    optimizer = build_optimizer(made, beside, recipe)
    decayed = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {name: 0.05 if name == "head.weight" else 0.0 for name, _ in made.named_parameters()}
    assert {name: decayed[id(p)] for name, p in made.named_parameters()} == expected
    assert [decayed[id(p)] for p in beside] == [0.05, 0.0]
    assert len(optimizer.param_groups) == 2


@pytest.mark.parametrize(("optimizer", "schedule"), [("adamw", "constant"), ("lion", "cosine")])
def test_layers_of_the_backbone_step_at_falling_rates_and_heads_at_the_whole(optimizer, schedule):
    made, beside = MultiTaskCNN(ModelConfig(backbone="test_vit"), {"a": 2}, 160), [nn.Parameter(torch.ones(3))]
    settings = [f"optim.optimizer={optimizer}", "train.layer_decay=0.5", "train.learning_rate=0.1", "train.epochs=4"]
    recipe = load_recipe(None, [*settings, f"optim.schedule={schedule}", "optim.warmup_epochs=1"])
    built = build_optimizer(made, beside, recipe)
    schedule_of = Schedule(built, recipe, updates_per_epoch=10)
    for updates, highest in (
        (0, 0.001),
        (10, 0.1 if schedule == "constant" else 0.1 * (1 + math.cos(math.pi / 4)) / 2),
    ):
        schedule_of.updated(updates)
        rates = {id(p): group["lr"] for group in built.param_groups for p in group["params"]}
        assert rates[id(beside[0])] == rates[id(made.heads["a"].classifier[-1].weight)] == pytest.approx(highest)
        blocks = [rates[id(block.mlp.fc1.weight)] for block in made.backbone.blocks]
        assert blocks == pytest.approx([highest * 0.5 ** (len(blocks) - k) for k in range(len(blocks))])
        assert rates[id(made.backbone.norm.weight)] == pytest.approx(highest / 2)


def test_decay_makes_weights_smaller_and_leaves_the_others_where_there_is_no_gradient():
    made = network()
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    settings = ["optim.optimizer=sgd", "optim.decay=weights", "train.weight_decay=0.5", "train.learning_rate=0.1"]
    optimizer = build_optimizer(made, [], load_recipe(None, settings))
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {name for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert shrunk == {"conv.weight", "head.weight"}


def test_frozen_parameters_are_not_trained():
    made = network()
    made["conv"].requires_grad_(False)
    optimizer = build_optimizer(made, [], Recipe())
    assert len(optimizer.param_groups[0]["params"]) == 4


@pytest.mark.parametrize("name", ["sgd", "lion", "adan"])
def test_steps_of_other_optimisers_differ_from_adams(store, name):
    after = []
    for optimizer in ("adam", name):
        recipe = training_recipe(f"optim.optimizer={optimizer}", "train.weight_decay=0.01")
        stage, learner = learner_of(store, recipe)
        for batch in stage.batches(0, learner._world):
            learner.step(batch, True, 1)
        after.append(torch.cat([p.detach().flatten() for p in learner.network.parameters()]))
    assert bool(after[1].isfinite().all())
    assert not torch.equal(after[0], after[1])


def test_a_resumed_run_of_another_optimiser_ends_where_an_uninterrupted_one_does(store, tmp_path):
    settings = ["optim.optimizer=adamw", "optim.decay=weights", "train.weight_decay=0.05"]
    assert resumes(training_recipe(*settings), store, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.optimizer=adamv"], r"found 'adamv', expected one of timm's, nearest adam.*: .*\bsgd\b"),
        (["optim.optimizer=adahessian"], "second derivatives"),
        (["optim.optimizer=adamw", "optim.options={momentun: 0.8}"], "optim.optimizer adamw .*momentun"),
    ],
)
def test_optimisers_that_cannot_be_are_refused_before_training(store, tmp_path, settings, message):
    job = Job(training_recipe(*settings), str(store), str(tmp_path / "run"))
    with pytest.raises(ConfigurationError, match=message):
        Stage(job, torch.device("cpu")).check(1)


def test_settings_that_the_optimiser_does_not_use_are_warned_of():
    keys = ["train.betas", "optim.decay", "optim.optimizer"]

    def unused(*settings: str) -> list[str]:
        return unused_in(Job(load_recipe(None, list(settings)), "store", "run"), keys)

    assert unused() == ["optim.decay"]
    assert unused("optim.optimizer=sgd", "train.weight_decay=0.1") == ["train.betas"]
    assert unused("optim.optimizer=adamw", "train.weight_decay=0.1") == []


def test_training_is_imported_without_timm():
    """It takes two seconds, which processes that build no network can do without."""
    code = "import sys, abaw_ray.training.loop; print({'timm'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert found.stdout.strip() == "set()"
