"""Ways of balancing: known shares of the draws, the same rows on any workers, and losses that weigh instead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.config import LossConfig, ModelConfig, SamplingConfig, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.sampling.weights import database_weights
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.balance import attribute_repeat_factors, balance_groups, balance_weights
from abaw_ray.training.balance import require_balance

SPACES = (
    LabelSpace(name="mood", kind="multiclass", names=("a", "b", "c")),
    LabelSpace(name="signs", kind="multilabel", names=("x", "y")),
    LabelSpace(name="levels", kind="regression", names=("p", "q")),
)
CLASSES = np.repeat([0, 1, 2], [64, 16, 4])
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]


def tasks_of(options: dict | None = None, labels: np.ndarray | None = None) -> dict:
    train_labels = None if labels is None else lambda name: labels
    return build_tasks(SPACES[:1] if options else SPACES, LossConfig(), ModelConfig(), train_labels, options)


@pytest.mark.parametrize(
    ("balance", "threshold", "shares"),
    [
        ("class", None, [1 / 3, 1 / 3, 1 / 3]),
        ("sqrt", None, [8 / 14, 4 / 14, 2 / 14]),  # the roots of 64, 16, 4
        ("none", None, [64 / 84, 16 / 84, 4 / 84]),
        ("repeat", None, [64, 16 * (84 / 48) ** 0.5, 4 * (84 / 12) ** 0.5]),  # a third of the rows is an equal share
        ("repeat", 16 / 84, [64, 16, 8]),  # a quarter of the threshold: twice as often
    ],
)
def test_classes_are_drawn_as_often_as_documented(balance, threshold, shares):
    weights = balance_weights(tasks_of()["mood"], ONE_HOT, balance, threshold)
    found = np.bincount(CLASSES, weights) / weights.sum()
    np.testing.assert_allclose(found, np.array(shares) / np.sum(shares))


def test_class_is_the_tasks_own_balance_to_the_bit():
    rng = np.random.default_rng(0)
    labels = {"mood": ONE_HOT, "signs": ONE_HOT[:, :2], "levels": rng.uniform(-1, 1, (84, 2)).astype(np.float32)}
    for name, task in tasks_of().items():
        np.testing.assert_array_equal(balance_weights(task, labels[name], "class"), task.balance_weights(labels[name]))


def test_a_row_is_repeated_for_its_rarest_attribute():
    # x in 8 of 10 rows, y in 1 of the 5 that know it
    labels = np.array([[1, 0]] * 4 + [[1, np.nan]] * 4 + [[0, np.nan], [0, 1]], np.float32)
    factors = attribute_repeat_factors(labels, threshold=0.8)
    np.testing.assert_allclose(factors, [1] * 9 + [2])


@given(st.integers(0, 2**32 - 1), st.sampled_from(["class", "sqrt", "repeat", "none"]))
def test_rows_of_one_group_weigh_the_same(seed, balance):
    rng = np.random.default_rng(seed)
    labels = {
        "mood": np.eye(3, dtype=np.float32)[rng.choice(3, 50, p=[0.7, 0.2, 0.1])],
        "signs": rng.choice(np.array([0, 1, np.nan], np.float32), (50, 2)),
        "levels": rng.normal(0, 0.3, (50, 2)).clip(-1, 1).astype(np.float32),
    }
    for name, task in tasks_of().items():
        weights = balance_weights(task, labels[name], balance)
        groups = balance_groups(task, labels[name], balance)
        assert (weights > 0).all()
        for group in np.unique(groups):
            assert len(np.unique(weights[groups == group])) == 1


def test_databases_share_the_draws_by_their_temperature():
    databases = np.repeat([0, 3, 5], [400, 100, 25])
    given_weights = np.random.default_rng(0).uniform(1, 2, 525)
    for temperature, shares in ((1, [16, 4, 1]), (2, [4, 2, 1]), (1e9, [1, 1, 1])):
        weights = database_weights(given_weights, databases, temperature)
        found = [weights[databases == code].sum() for code in (0, 3, 5)]
        np.testing.assert_allclose(found, np.array(shares) / np.sum(shares), rtol=1e-6)
        ratio = (weights / given_weights)[databases == 0]
        np.testing.assert_allclose(ratio, ratio[0])


# Weights in the loss


def test_class_weights_in_the_loss_give_what_drawing_classes_equally_often_gives():
    task = tasks_of({"mood": {"class_weights": "class"}}, ONE_HOT)["mood"]
    plain = tasks_of()["mood"]
    torch.manual_seed(0)
    logits, target = torch.randn(84, 3), torch.from_numpy(ONE_HOT)
    every = torch.ones(84, dtype=torch.bool)
    by_class = [plain.supervised(plain.statistics(logits, target, torch.from_numpy(c == CLASSES))) for c in range(3)]
    torch.testing.assert_close(task.supervised(task.statistics(logits, target, every)), torch.stack(by_class).mean())
    halves = [task.statistics(logits[part], target[part], every[part]) for part in (slice(0, 50), slice(50, 84))]
    torch.testing.assert_close(
        task.supervised(halves[0] + halves[1]), task.supervised(task.statistics(logits, target, every))
    )


def test_square_roots_weigh_by_roots_and_soft_labels_by_their_parts():
    task = tasks_of({"mood": {"class_weights": "sqrt"}}, ONE_HOT)["mood"]
    logits, row = torch.zeros(1, 3), torch.ones(1, dtype=torch.bool)
    losses = [float(task.statistics(logits, torch.eye(3)[[c]], row)[0]) for c in range(3)]
    np.testing.assert_allclose(np.array(losses) / losses[0], [1, 2, 4])
    mixed = float(task.statistics(logits, torch.tensor([[0.5, 0.0, 0.5]]), row)[0])
    assert mixed == pytest.approx((losses[0] + losses[2]) / 2)
    assert np.dot(losses, [64, 16, 4]) / 84 == pytest.approx(np.log(3)), "1 in the mean"


def test_rare_classes_do_not_count_twice():
    tasks = tasks_of({"mood": {"class_weights": "sqrt"}}, ONE_HOT)
    with pytest.raises(ConfigurationError, match=r"tasks.mood.class_weights=sqrt .*found sampling.balance class"):
        require_balance(tasks, SamplingConfig())
    require_balance(tasks, SamplingConfig(balance="none"))
    require_balance(tasks, SamplingConfig(balance={"mood": "none"}))


def test_a_balance_of_no_task_is_refused():
    with pytest.raises(ConfigurationError, match=r"sampling.balance: moods not among the tasks: mood, signs, levels"):
        require_balance(tasks_of(), SamplingConfig(balance={"moods": "sqrt"}))
    with pytest.raises(ConfigurationError, match=r"sampling.balance"):
        load_recipe(None, ["sampling.balance=cubic"])
