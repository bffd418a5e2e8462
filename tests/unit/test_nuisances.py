"""What features should not depend on: predicted, reversed, confused; from people, databases and label spaces."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learners import equal, learner_of, resumes, run, spawned, training_recipe, weights
from stores import make_store
from torch import Tensor

from abaw_ray.blocks.columns import column_labels
from abaw_ray.blocks.reader import Store
from abaw_ray.config import LossConfig, ModelConfig, Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.predictions import prediction_table, score_predictions
from abaw_ray.models import checkpoint
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives.base import Context, StepData
from abaw_ray.objectives.nuisance import Nuisance, divergence_from_uniform, nuisance_options, ramp
from abaw_ray.objectives.terms import SetLabels, combine
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.tasks import build_task, build_tasks
from abaw_ray.training.added import AddedObjectives
from abaw_ray.training.collapse import CollapseWatch, class_entropy
from abaw_ray.training.resume import learned_losses
from abaw_ray.world import World

WHO = LabelSpace(name="who", kind="multiclass", names=("Ann", "Bo", "Cy"))
SET, WIDTH, NUM_UPDATES = "faces", 5, 100
MODES = ("predict", "reverse", "confuse")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store", people=3).path


def nuisance(mode: str, **options: Any) -> Nuisance:
    torch.manual_seed(0)
    context = Context({}, {SET: ()}, {}, shared_width=WIDTH, num_updates=NUM_UPDATES)
    task = build_task(WHO, LossConfig(), ModelConfig())
    return Nuisance(task, nuisance_options({"mode": mode, **options}, "tasks.who.nuisance"), context)


def step_of(features: Tensor, num_updates: int = 0) -> StepData:
    """Three rows of the three people, and one of nobody known."""
    labels = SetLabels({"who": torch.eye(4, 3)}, {"who": torch.tensor([True, True, True, False])})
    return StepData({SET: labels}, SetsOutput({}, {}, {SET: features}), None, num_updates=num_updates)


def gradients(objective: Nuisance, num_updates: int) -> tuple[Tensor, Mapping[str, Tensor | None], float]:
    """Of the features, and of the head's parameters, and the loss."""
    torch.manual_seed(1)
    features = torch.randn(4, WIDTH, requires_grad=True)
    loss = combine(objective.terms(step_of(features, num_updates)), World(), LossConfig(), {})
    loss.total.backward()
    assert features.grad is not None
    return features.grad, {n: p.grad for n, p in objective.named_parameters()}, float(loss.total.detach())


# Losses


def test_the_ramp_is_that_of_the_paper():
    # 2 / (1 + exp(-10 p)) - 1 = tanh(5 p)
    assert [ramp(p) for p in (0.0, 0.1, 0.5, 1.0)] == pytest.approx([0, 0.46211716, 0.98661430, 0.99990920])
    reverse = nuisance("reverse", strength=0.5)
    assert [reverse.factor(n) for n in (0, 10, 50)] == pytest.approx([0, -0.23105858, -0.49330715])
    assert nuisance("confuse", strength=0.5).factor(10) == pytest.approx(0.23105858)
    assert nuisance("confuse", strength=0.5, ramp=False).factor(0) == 0.5
    assert nuisance("predict").factor(0) == 1
    delayed = nuisance("reverse", delay=20, strength=1.0)
    assert delayed.factor(20) == 0
    assert delayed.factor(60) == pytest.approx(-ramp(0.5))


def test_the_divergence_from_uniform_and_its_gradient():
    logits = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 1.0]], requires_grad=True)
    found = divergence_from_uniform(logits.log_softmax(-1)[:, None])
    p = math.exp(2) / (math.exp(2) + 2)
    expected = -math.log(3) - (math.log(p) + 2 * math.log((1 - p) / 2)) / 3
    assert found.tolist() == pytest.approx([expected, 0.0], abs=1e-6)
    found.sum().backward()
    uniform = torch.full((2, 3), 1 / 3)  # the gradient of KL(u || softmax) is softmax - u
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - uniform)


def test_reversal_turns_the_features_gradient_alone():
    predicted, of_predict, loss = gradients(nuisance("predict"), NUM_UPDATES)
    turned, of_reverse, same_loss = gradients(nuisance("reverse", strength=0.3), NUM_UPDATES)
    assert loss == same_loss
    torch.testing.assert_close(turned, -0.3 * ramp(1.0) * predicted)
    assert equal(of_predict, of_reverse)
    assert all(gradient is not None for gradient in of_reverse.values())
    assert not predicted[3].any(), "a row of nobody known teaches nothing"
    at_first, _, _ = gradients(nuisance("reverse"), 0)
    assert not at_first.any()


def test_confusion_draws_the_features_to_where_the_head_tells_nothing():
    objective = nuisance("confuse", ramp=False, strength=1.0)
    for player in objective.players().values():
        player.module.requires_grad_(False)
    gradient, of_head, before = gradients(objective, 0)
    assert all(found is None for found in of_head.values()), "the head is frozen"
    assert not gradient[3].any()
    torch.manual_seed(1)
    features = torch.randn(4, WIDTH)
    for _ in range(50):
        features.requires_grad_(True)
        total = combine(objective.terms(step_of(features)), World(), LossConfig(), {}).total
        (gradient,) = torch.autograd.grad(total, features)
        features = (features - 20 * gradient).detach()
    assert float(total.detach()) < 0.05 * before


def test_the_head_takes_its_steps_for_each_of_the_network_s():
    objective = nuisance("confuse", own_steps=3, learning_rate=0.01)
    training = AddedObjectives({"who": objective}, training_recipe(), World())
    assert list(training.shared_parameters()) == []
    learned, moved = [], []
    for _ in range(6):
        features = torch.randn(4, WIDTH, requires_grad=True)
        weight = training.weights()["who"]
        loss = combine(training.terms(step_of(features)), World(), LossConfig(), training.weights())
        learned.append(loss.total.requires_grad and weight > 0)
        before = objective.head[0].weight.detach().clone()
        found = training.learn(step_of(features), 1)
        assert features.grad is None, "the head learns of features that come without their graph"
        training.update()
        assert list(found) == [(SET, "who/own")]
        moved.append(not torch.equal(before, objective.head[0].weight))
    assert learned == [False, False, True] * 2
    assert moved == [True] * 6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "forget",
            r"tasks\.who\.nuisance cannot be used:\n  mode: .*'predict', 'reverse' or 'confuse', found 'forget'",
        ),
        ({"mode": "predict", "strength": 1}, "strength: of other modes than predict"),
        ({"mode": "reverse", "own_steps": 2}, "own_steps: of other modes than reverse"),
        ({"mode": "reverse", "strength": -1}, "strength"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: Any, message: str):
    with pytest.raises(ConfigurationError, match=message):
        nuisance_options(setting, "tasks.who.nuisance")


def test_a_network_whose_heads_share_nothing_is_refused():
    task = build_task(WHO, LossConfig(), ModelConfig())
    with pytest.raises(ConfigurationError, match=r"tasks\.who\.nuisance: the heads of this network share no features"):
        Nuisance(task, nuisance_options("reverse", "tasks.who.nuisance"), Context({}, {}, {}))


# From a store


def test_people_and_databases_are_labels(store):
    opened = Store(store)
    found = column_labels(opened, "subject", np.array([24, 3, 0, 3]))
    assert found.space.names == ("a/person 0", "b/person 1")
    vectors, splits = found.of(np.array([0, 1, 3, 24]))
    assert vectors.tolist() == [[1, 0], [0, 0], [1, 0], [0, 1]]
    assert splits.tolist() == [Split.TRAIN, Split.NONE, Split.TRAIN, Split.TRAIN]
    everyone = column_labels(opened, "subject", np.arange(25))
    assert everyone.space.size == 6, "people of two databases are different ones"
    assert column_labels(opened, "database", np.arange(25)).space.names == ("a", "b")
    with pytest.raises(StoreError, match=r"found only 'a' as database of 2 rows, expected two or more"):
        column_labels(opened, "database", np.array([0, 1]))


def test_a_store_that_names_nobody_is_refused(tmp_path):
    opened = Store(make_store(tmp_path / "store").path)
    with pytest.raises(StoreError, match="found none as subject of 25 rows"):
        column_labels(opened, "subject", np.arange(25))


def recipe_of(*settings: str) -> Recipe:
    return training_recipe("optim.optimizer=sgd", "train.learning_rate=0.01", *settings)


def test_every_set_teaches_the_nuisance_and_the_network_has_no_head_of_it(store, tmp_path):
    settings = ["tasks.subject.nuisance=predict", "tasks.database.nuisance={mode: reverse, weight: 0.5}"]
    results = run(recipe_of(*settings), store, tmp_path)
    sets = ("expr_va", "mixed_expr", "mixed_va")
    for name in ("subject", "database"):
        assert {f"{name}/{source}" for source in sets} <= results[-1].losses.keys()
    found = checkpoint.load(tmp_path / "1")
    assert found.description.tasks == ("expression", "valence_arousal")
    assert set(found.network(torch.device("cpu")).feature_widths) == {"expression", "valence_arousal"}


def test_a_label_space_as_nuisance_is_no_task_and_its_sets_are_not_drawn_from(store):
    stage, learner = learner_of(store, recipe_of("tasks.expression.nuisance=reverse"))
    assert stage.data.set_tasks == {"expr_va": ("valence_arousal",), "mixed_va": ("valence_arousal",)}
    assert list(stage.data.tasks) == ["valence_arousal"]
    learner.step(stage.data.batch(0, 0, World()), True, 1)
    assert set(learner.added.weights()) == {"expression"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["tasks.camera.nuisance=reverse"],
            r"tasks\.camera\.nuisance: found camera, expected one of .*subject, database",
        ),
        (["tasks.subject={nuisance: reverse, head: paper}"], "head: of tasks of the network, expected none"),
        (["tasks.subject={nuisance: reverse, role: target}"], "role: expected nuisance"),
    ],
)
def test_nuisances_that_cannot_be_are_refused(store, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        learner_of(store, recipe_of(*settings))


@pytest.mark.parametrize("mode", MODES)
def test_a_run_with_a_nuisance_resumes_to_the_bit(store, tmp_path, mode):
    options = ", own_steps: 2" if mode == "confuse" else ""
    assert resumes(recipe_of(f"tasks.subject.nuisance={{mode: {mode}{options}}}"), store, tmp_path)


@pytest.mark.parametrize("mode", MODES)
def test_two_workers_reach_the_weights_of_one(store, tmp_path, mode):
    options = ", own_steps: 2" if mode == "confuse" else ""
    recipe = recipe_of("train.epochs=1", f"tasks.subject.nuisance={{mode: {mode}{options}}}")
    run(recipe, store, tmp_path / "one")
    arguments = (2, str(tmp_path / "rendezvous"), recipe, store, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    one, two = weights(tmp_path / "one" / "0"), weights(tmp_path / "two" / "0")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    heads = [learned_losses(tmp_path / name / "0")["added"]["objectives"] for name in ("one", "two")]
    for name, value in heads[0]["subject"].items():
        torch.testing.assert_close(heads[1]["subject"][name], value, rtol=1e-3, atol=1e-4)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(store):
    found = []
    for parts in (1, 2):
        stage, learner = learner_of(store, recipe_of("tasks.subject.nuisance=predict", f"train.micro_batches={parts}"))
        learner.step(stage.data.batch(0, 0, World()), True, 1)
        found.append(learner.network.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5)


# Collapse


def test_an_emotion_that_was_not_learned_is_told_after_the_last_epoch(store, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "abaw_ray.training.collapse"):
        run(recipe_of("tasks.subject.nuisance=reverse", "train.learning_rate=1e-9"), store, tmp_path)
    told = [record.getMessage() for record in caplog.records]
    assert any("epoch 1: valence_arousal has collapsed to chance" in line for line in told)
    assert all("tasks.subject.nuisance.strength" in line for line in told if "collapsed to chance" in line)


def test_an_emotion_and_a_head_that_are_lost_are_told_once(store, caplog):
    """Of synthetic predictions: right, then always the first class."""
    stage, _ = learner_of(store, recipe_of("tasks.subject.nuisance=reverse"))
    nuisances = stage.data.nuisances
    entropy = class_entropy(nuisances["subject"])
    assert entropy is not None
    assert 1 < entropy <= math.log(6)
    tasks = build_tasks([WHO], LossConfig(), ModelConfig())
    labels = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    watch = CollapseWatch(tasks, nuisances, num_epochs=10)
    first = np.tile(np.eye(3, dtype=np.float32)[0], (30, 1))
    with caplog.at_level(logging.WARNING, "abaw_ray.training.collapse"):
        watch.look(0, evaluation(first, labels), {"subject/a": entropy})
        watch.look(1, evaluation(labels, labels), {"subject/a": 0.5 * entropy})
        assert not caplog.records, "nothing was lost yet"
        for epoch in (2, 3):
            watch.look(epoch, evaluation(first, labels), {"subject/a": entropy})
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in told] == ["epoch 2", "epoch 2"]
    assert "who has collapsed to chance (criterion 0.167, chance 0.3" in told[0]
    assert "the head of subject tells nothing" in told[1]


def evaluation(predicted: np.ndarray, labels: np.ndarray) -> Evaluation:
    tasks, count = build_tasks([WHO], LossConfig(), ModelConfig()), len(labels)
    table = prediction_table(
        spaces=[WHO],
        database=["a"] * count,
        video=["v"] * count,
        frame=np.arange(count),
        seen=np.ones(count, bool),
        labels={"who": labels},
        predictions={"who": predicted},
    )
    return Evaluation(table, np.arange(count), {HEADLINE: score_predictions(table, tasks, {})}, {})


def test_nothing_is_told_of_what_is_predicted(store, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "abaw_ray.training.collapse"):
        run(recipe_of("tasks.subject.nuisance=predict"), store, tmp_path)
    assert not caplog.records
