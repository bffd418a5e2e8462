"""Losses of attributes against their papers' numbers, and scores of attributes against scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paper import spaces_of
from sklearn.metrics import average_precision_score, jaccard_score

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import warn_of_absent
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.attribute_losses import count_weights
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.metrics import average_precision, balanced_threshold, jaccard, weighted_average_precisions

LOSSES = ("bce", "weighted_squared", "asymmetric")


def attributes(size: int = 4, labels: np.ndarray | None = None, **options: Any) -> Task:
    space = LabelSpace(name="seen", kind="multilabel", names=tuple(f"c{k}" for k in range(size)))
    given_labels = None if labels is None else lambda _: labels
    return build_tasks([space], LossConfig(), ModelConfig(), given_labels, {"seen": options})["seen"]


def loss_of(task: Task, logits: torch.Tensor, target: torch.Tensor) -> float:
    return float(task.supervised(task.statistics(logits, target, torch.ones(len(target), dtype=torch.bool))))


# Losses


def test_the_weighted_squared_error_is_emotic_s() -> None:
    target = torch.zeros(2, 26)
    target[0, :13] = 1
    target[1, 13:] = 2
    target[:, 13] = 0
    sure = torch.full((2, 26), 50.0)  # whose probability is 1
    total = 2 * loss_of(attributes(26, loss="weighted_squared"), sure, target)
    assert total == pytest.approx(37.1217, abs=5e-5), "EMOTIC adds up what we take the mean of"


def test_weights_fall_with_the_count() -> None:
    weights = count_weights(torch.tensor([0.0, 1.0, 10.0, 100.0], dtype=torch.float64))
    np.testing.assert_allclose(weights, [1e-4, 1.2683, 0.4139, 0.2166], atol=5e-5)


def test_static_weights_are_of_the_training_labels() -> None:
    labels = np.zeros((120, 4), np.float32)
    labels[:100, 0], labels[:10, 1], labels[5, 2], labels[7:, 3] = 1, 1, 1, np.nan
    task = attributes(labels=labels, loss="weighted_squared", weights="static")
    logits = torch.zeros(1, 4)
    losses = [
        loss_of(task, logits, torch.tensor([[0.0 if k == of else torch.nan for k in range(4)]])) for of in range(4)
    ]
    np.testing.assert_allclose(losses, 0.25 * np.array([0.2166, 0.4139, 1.2683, 1e-4]), atol=2e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_those_of_the_batch_of_all_workers(loss: str) -> None:
    """Dynamic weights, too, although each worker sees other counts."""
    rng = np.random.default_rng(0)
    logits, target = torch.from_numpy(rng.normal(size=(30, 4))), torch.from_numpy((rng.random((30, 4)) < 0.2) * 1.0)
    labelled, task = torch.from_numpy(rng.random(30) < 0.8), attributes(loss=loss)
    parts = [slice(0, 7), slice(7, 8), slice(8, 30)]
    sums = sum(task.statistics(logits[part], target[part], labelled[part]) for part in parts)
    assert isinstance(sums, torch.Tensor)
    assert float(task.supervised(sums)) == pytest.approx(loss_of(task, logits[labelled], target[labelled]), rel=1e-6)


def test_the_weighted_squared_error_of_a_batch_by_hand() -> None:
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(30, 4)), (rng.random((30, 4)) < 0.3).astype(np.float64)
    target[:, 3] = 0
    counts = target.sum(0)
    weights = [1 / math.log(1.2 + count) if count else 1e-4 for count in counts]
    expected = (weights * (1 / (1 + np.exp(-logits)) - target) ** 2).sum(1).mean()
    found = loss_of(attributes(loss="weighted_squared"), torch.from_numpy(logits), torch.from_numpy(target))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gammas", [(0.0, 4.0, 0.05), (1.0, 2.0, 0.2), (0.5, 0.5, 0.0), (0.0, 0.0, 0.0)])
def test_the_asymmetric_loss_by_hand(gammas: tuple[float, float, float]) -> None:
    of_presence, of_absence, shift = gammas
    rng = np.random.default_rng(2)
    logits, target = 2 * rng.normal(size=(20, 4)), (rng.random((20, 4)) < 0.4).astype(np.float64)
    p = 1 / (1 + np.exp(-logits))
    q = np.maximum(p - shift, 0)
    presence, absence = (1 - p) ** of_presence * np.log(p), q**of_absence * np.log(1 - q)
    expected = -(target * presence + (1 - target) * absence).sum(1).mean()
    task = attributes(loss="asymmetric", gamma_present=of_presence, gamma_absent=of_absence, shift=shift)
    assert loss_of(task, torch.from_numpy(logits), torch.from_numpy(target)) == pytest.approx(expected, rel=1e-5)


def test_without_its_powers_and_shift_the_asymmetric_loss_is_the_cross_entropy() -> None:
    rng = np.random.default_rng(3)
    logits, target = torch.from_numpy(rng.normal(size=(9, 4))), torch.from_numpy((rng.random((9, 4)) < 0.4) * 1.0)
    task = attributes(loss="asymmetric", gamma_absent=0, shift=0)
    assert loss_of(task, logits, target) == pytest.approx(loss_of(attributes(), logits, target), rel=1e-6)


@pytest.mark.parametrize("options", [{"loss": loss} for loss in LOSSES] + [{"loss": "asymmetric", "gamma_absent": 0.5}])
def test_what_is_not_known_teaches_nothing_and_extremes_are_numbers(options: dict[str, Any]) -> None:
    logits = torch.tensor(
        [[0.0, -200.0, 200.0, 3.0], [0.3, 200.0, -200.0, 1.0], [5.0, 5.0, 5.0, 5.0]], requires_grad=True
    )
    target = torch.tensor([[1.0, 1.0, 0.0, torch.nan], [torch.nan, 0.0, 1.0, 0.0], [torch.nan] * 4])
    labelled = torch.tensor([True, True, False])
    task = attributes(**options)
    loss = task.supervised(task.statistics(logits, target, labelled))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[2].any()
    assert logits.grad[0, 3] == logits.grad[1, 0] == 0
    nothing = task.statistics(logits, target, torch.zeros(3, dtype=torch.bool))
    assert task.supervised(nothing).item() == 0
    assert nothing.requires_grad


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_least_at_the_labels(loss: str) -> None:
    target = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    task, logits = attributes(loss=loss), torch.zeros(2, 4, requires_grad=True)
    losses = []
    for _ in range(100):
        value = task.supervised(task.statistics(logits, target, torch.tensor([True, True])))
        (gradient,) = torch.autograd.grad(value, logits)
        logits = (logits - 0.1 * gradient.sign()).detach().requires_grad_()
        losses.append(value.item())
    assert losses[-1] < 0.1 * losses[0]
    assert torch.equal(logits > 0, target > 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "loss: Input should be 'bce', 'weighted_squared' or 'asymmetric', found 'mse'"),
        ({"weights": "static"}, "weights: of the loss weighted_squared, found the loss bce"),
        ({"loss": "weighted_squared", "shift": 0.1}, "shift: of the loss asymmetric, found the loss weighted_squared"),
        ({"loss": "asymmetric", "shift": 1.0}, "shift: Input should be less than 1"),
        ({"thresholds": "half"}, "thresholds: Input should be 'f1' or 'precision_recall'"),
        ({"criterion": "abaw2"}, "criterion: Input should be 'macro_f1' or 'mean_average_precision'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        attributes(**options)


def test_action_units_have_the_losses_and_keep_their_criterion() -> None:
    options = {"action_units": {"loss": "asymmetric", "thresholds": "precision_recall", "criterion": "abaw3"}}
    task = build_tasks(spaces_of(["action_units"]), LossConfig(), ModelConfig(), options=options)["action_units"]
    logits = torch.full((1, 12), -2.0)
    assert loss_of(task, logits, torch.zeros(1, 12)) < 0.01, "absences that are as good as known cost little"


# Scores


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.71, 1.0])), min_size=1, max_size=60))
def test_average_precision_is_scikit_learn_s(pairs: list[tuple[bool, float]]) -> None:
    target, probability = np.array([t for t, _ in pairs]), np.array([p for _, p in pairs])
    found = average_precision(target, probability)
    if target.any():
        assert found == pytest.approx(average_precision_score(target, probability), abs=1e-12)
    else:
        assert found is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1_000))
def test_rows_that_count_several_times_are_so_many_rows(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, probability, weights = rng.random(n) < 0.4, rng.integers(0, 5, n) / 4, rng.integers(0, 3, (n, 2))
    found = weighted_average_precisions(target, probability, weights.astype(np.float64))
    for value, counts in zip(found, weights.T, strict=True):
        expected = average_precision(np.repeat(target, counts), np.repeat(probability, counts))
        assert value == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1_000))
def test_the_jaccard_index_is_scikit_learn_s(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, answered = rng.random((n, 3)) < 0.4, rng.random((n, 3)) < 0.4
    expected = jaccard_score(target, answered, average="samples", zero_division=1.0)
    assert jaccard(target, answered).mean() == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1_000))
def test_at_its_threshold_precision_is_recall(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, probability = rng.random(n) < 0.3, rng.permutation(n) / n
    threshold = balanced_threshold(target, probability)
    if not target.any():
        assert threshold == 0.5
        return
    answered = probability >= threshold
    assert answered.sum() == target.sum(), "then precision and recall have one denominator"


def test_a_balanced_threshold_cannot_part_equals() -> None:
    target, probability = np.array([1, 1, 0, 0, 0], bool), np.array([0.9, 0.4, 0.4, 0.4, 0.1])
    assert balanced_threshold(target, probability) == 0.9, "1 answered for 2 is nearer than 4"


def test_scores_of_attributes() -> None:
    rng = np.random.default_rng(4)
    target = (rng.random((50, 4)) < 0.4).astype(np.float32)
    target[:, 2] = 0
    target[:10, 1] = np.nan
    predicted = np.clip(0.5 * np.nan_to_num(target) + 0.6 * rng.random((50, 4)), 0, 1).astype(np.float32)
    task = attributes(thresholds="precision_recall", criterion="mean_average_precision")
    decision = task.fit_decision(target, predicted)
    scores = task.score(target, predicted, decision)
    known = np.isfinite(target)
    expected = {f"c{k}": average_precision_score(target[known[:, k], k], predicted[known[:, k], k]) for k in (0, 1, 3)}
    assert scores["average_precision"] == pytest.approx(expected)
    assert scores["mean_average_precision"] == pytest.approx(np.mean(list(expected.values())))
    assert task.criterion(scores) == scores["mean_average_precision"]
    assert scores["num_never_present"] == 1
    answered = task.answers(predicted, decision) > 0.5
    for k in (0, 1, 3):
        assert (answered & known)[:, k].sum() == np.nansum(target[:, k])
    assert all(math.isfinite(v) for v in scores.values() if isinstance(v, float))
    assert set(task.columns.values()) <= task.chance(target).keys()
    constant = task.score(target, np.full_like(predicted, 0.5), {})
    chance = task.chance(target)
    assert constant["mean_average_precision"] == pytest.approx(chance["mean_average_precision"])
    assert constant["jaccard"] <= chance["jaccard"] + 1e-12


def test_scores_where_nothing_is_present_are_numbers_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    target, predicted = np.zeros((5, 4), np.float32), np.full((5, 4), 0.1, np.float32)
    task = attributes(criterion="mean_average_precision")
    scores = task.score(target, predicted, {})
    assert scores["num_never_present"] == 4
    assert "mean_average_precision" not in scores
    assert task.criterion(scores) == 0.0
    assert scores["jaccard"] == 1.0
    assert scores["average_precision"] == {}
    warn_of_absent({"criterion": 0.0, "seen": scores})
    assert caplog.messages == ["seen: 4 of its attributes are never present, and no part of the mAP"]
