"""Weights of tasks by epochs without improvement, on synthetic labels: values, and how a run goes on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learners import learner_of, resumes, run, training_recipe
from stores import make_store

from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.monitoring.run_log import named_losses, read, read_metrics
from abaw_ray.tasks import targets
from abaw_ray.training.task_weighting import StagnationWeights
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def factors_after(criteria: list[float]) -> list[float]:
    """Of a task beside one that always becomes better, whose factor stays 1."""
    weighting, found = StagnationWeights(["a", "b"]), []
    for epoch, criterion in enumerate(criteria):
        weighting.evaluated({"a": float(epoch), "b": criterion})
        weights = weighting.weights()
        assert sum(weights.values()) == pytest.approx(1)
        found.append(weights["b"] / weights["a"])
    return found


def test_the_factor_is_log2_of_the_epochs_without_improvement():
    assert StagnationWeights(["a", "b"]).weights() == {"a": 0.5, "b": 0.5}
    flat = factors_after([0.5] * 6)
    assert flat == pytest.approx([1, 1, math.log2(2), math.log2(3), 2, math.log2(5)])
    worse = factors_after([0.5, 0.4, 0.45, 0.48, 0.49])
    assert worse == pytest.approx([1, 1, 1, math.log2(3), 2]), "better than the last is not better than the best"


def test_an_improvement_leaves_the_factor_as_it_is_until_two_epochs_bring_none():
    assert factors_after([0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6, 0.6]) == pytest.approx([1, 1, 1, math.log2(3), 2, 2, 2, 1])


def test_a_task_that_is_not_scored_stays_as_it_is():
    weighting = StagnationWeights(["a", "b"])
    for _ in range(6):
        weighting.evaluated({"a": 0.5})
    assert weighting.weights()["a"] / weighting.weights()["b"] == pytest.approx(math.log2(5))


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=12), st.integers(0, 11))
def test_it_goes_on_from_its_state(criteria, cut):
    whole, first = StagnationWeights(["a", "b"]), StagnationWeights(["a", "b"])
    for a, b in criteria:
        whole.evaluated({"a": a, "b": b})
    for a, b in criteria[:cut]:
        first.evaluated({"a": a, "b": b})
    second = StagnationWeights(["a", "b"])
    second.load_state(first.state())
    for a, b in criteria[cut:]:
        second.evaluated({"a": a, "b": b})
    assert second.state() == whole.state()


def test_the_loss_is_the_sum_of_the_tasks_by_their_weights(store):
    recipe = training_recipe("loss.task_weighting=stagnation", "loss.task_weights={expression: 3}")
    stage, learner = learner_of(store, recipe)
    weighting = stage.task_weighting()
    assert weighting is not None
    updates, batch = Updates(learner, recipe, 3, weighting), next(iter(stage.batches(0, World())))
    names, parts = targets(stage.data.tasks), []
    for _ in range(5):
        loss, _ = learner.step(batch, False, 1)
        weights = updates.task_weights
        means = {name: torch.stack([v for (_, head), v in loss.terms.items() if head == name]).mean() for name in names}
        expected = sum(float(means[n]) * weights[n] * (3 if n == "expression" else 1) for n in names)
        assert read(named_losses(loss))["total"] == pytest.approx(expected, rel=1e-5)
        parts.append(weights["expression"])
        updates.evaluated(0.0, {name: 0.0 if name == "expression" else float(len(parts)) for name in names})
    assert parts[0] == pytest.approx(1 / len(names))
    assert parts[4] == pytest.approx(math.log2(3) / (math.log2(3) + len(names) - 1))


def test_a_resumed_run_goes_on_with_the_weights(store, tmp_path, monkeypatch):
    """One task is never better than at first, the others are not scored."""
    monkeypatch.setattr(Evaluation, "criteria", lambda self, tasks: {"expression": 0.0})
    assert resumes(training_recipe("loss.task_weighting=stagnation", "train.epochs=5"), store, tmp_path)
    whole, resumed = (read_metrics(tmp_path / part / "run") for part in ("whole", "resumed"))
    weights = [line["task_weights"] for line in whole]
    assert [line["task_weights"] for line in resumed] == weights[1:]
    others = len(weights[0]) - 1
    ratios = [of["expression"] / ((1 - of["expression"]) / others) for of in weights]
    assert ratios == pytest.approx([1, 1, 1, 1, math.log2(3)])


def test_weights_that_are_fixed_are_not_noted(store, tmp_path):
    run(training_recipe("train.epochs=1"), store, tmp_path)
    assert read_metrics(tmp_path / "run")[0]["task_weights"] == {}
    assert not (tmp_path / "0" / "training.pt").exists()
