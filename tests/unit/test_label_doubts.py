"""Confident learning on synthetic probabilities, whose wrong labels are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.evaluation.label_doubts import attribute_doubts, calibrated_joint, class_doubts, value_doubts


def planted(seed: int, num_rows: int = 2000, num_classes: int = 5, share: float = 0.05) -> tuple[np.ndarray, ...]:
    """Probabilities of a model that is right and of varying sureness, labels, and which of them are wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, num_classes, num_rows)
    logits = rng.normal(0, 1, (num_rows, num_classes))
    logits[np.arange(num_rows), true] += 5
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = np.zeros(num_rows, bool)
    wrong[rng.choice(num_rows, int(share * num_rows), replace=False)] = True
    labels = np.where(wrong, (true + rng.integers(1, num_classes, num_rows)) % num_classes, true)
    return probability, labels, wrong, true


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_are_ranked_first(seed: int) -> None:
    probability, labels, wrong, true = planted(seed)
    found = class_doubts(labels, probability)
    first = found.ranked[: wrong.sum()]
    assert wrong[first].mean() > 0.9
    assert (found.likely[first] == true[first]).mean() > 0.9
    assert found.share_wrong == pytest.approx(0.05, abs=0.015)
    assert found.doubted.sum() < 2 * wrong.sum()


def test_the_joint_of_a_worked_example() -> None:
    probability = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6], [0.8, 0.2]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = class_doubts(labels, probability)
    np.testing.assert_allclose(found.thresholds, [0.6, 1.7 / 3])
    np.testing.assert_array_equal(found.joint, [[2, 1], [1, 2]])
    np.testing.assert_array_equal(found.ranked, [2, 5])  # both of a margin of -.6
    np.testing.assert_allclose(found.margin, [0.8, 0.4, -0.6, 0.8, 0.2, -0.6])
    assert found.share_wrong == pytest.approx(1 / 3)


def test_a_class_that_the_model_is_never_sure_of_is_not_doubted_as_a_whole() -> None:
    """Its rows' own threshold is low, and that of the class said in its place is high."""
    probability = np.array([[0.95, 0.05]] * 50 + [[0.6, 0.4]] * 20)
    labels = np.array([0] * 50 + [1] * 20)
    assert (probability[labels == 1].argmax(1) == 0).all()
    assert not class_doubts(labels, probability).doubted.any()


def test_classes_that_are_not_there_are_left_out_of_a_row() -> None:
    probability, labels, _, _ = planted(0, num_classes=4)
    without = probability.copy()
    without[:, 3] = np.nan
    found, rest = class_doubts(labels, without), labels != 3
    assert np.isnan(found.margin[~rest]).all()
    assert not found.doubted[~rest].any()
    scaled = probability[rest][:, :3] / probability[rest][:, :3].sum(1, keepdims=True)
    np.testing.assert_allclose(found.margin[rest], class_doubts(labels[rest], scaled).margin)
    assert not found.joint[3].any()
    assert not found.joint[:, 3].any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(2, 5))
def test_the_calibrated_joint_has_the_shares_of_the_labels(seed: int, num_rows: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, num_classes, num_rows)
    probability = rng.dirichlet(np.ones(num_classes), num_rows).reshape(num_rows, num_classes)
    found = class_doubts(labels, probability)
    calibrated = calibrated_joint(found.joint, found.num_labels)
    shares = found.num_labels / max(found.num_labels.sum(), 1)
    np.testing.assert_allclose(calibrated.sum(1), shares, atol=1e-12)
    assert 0 <= found.share_wrong <= 1
    assert (labels[found.ranked] >= 0).all()
    assert (np.diff(found.margin[found.ranked]) >= 0).all()


def test_attributes_are_judged_one_by_one_where_they_are_known() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, (1000, 3)).astype(float)
    probability = np.clip(np.where(true == 1, 0.85, 0.15) + rng.normal(0, 0.05, true.shape), 0, 1)
    labels, wrong = true.copy(), rng.random(true.shape) < 0.05
    labels[wrong] = 1 - labels[wrong]
    labels[:100, 0] = np.nan
    found = attribute_doubts(labels, probability)
    for k, of_attribute in enumerate(found):
        expected = wrong[:, k] & np.isfinite(labels[:, k])
        assert expected[of_attribute.ranked[: expected.sum()]].mean() == 1
    assert found[0].num_labels.sum() == 900


def test_values_are_doubted_against_the_spread_that_the_model_states() -> None:
    rng = np.random.default_rng(0)
    deviations = rng.uniform(0.02, 0.2, 2000)
    labels = rng.uniform(-1, 1, 2000)
    predictions = labels + 0.3 + 2 * deviations * rng.normal(0, 1, 2000)  # off by a constant, and twice too sure
    wrong = rng.choice(2000, 100, replace=False)
    labels[wrong] += 2 * rng.choice([-1, 1], 100)
    labels[:5] = np.nan
    wrong = wrong[wrong >= 5]
    found = value_doubts(labels, predictions, deviations)
    assert found.offset == pytest.approx(-0.3, abs=0.02)
    assert found.scale == pytest.approx(2, rel=0.15)
    assert np.isin(found.ranked[: len(wrong)], wrong).mean() > 0.9
    assert not found.doubted[:5].any()
    assert found.doubted.sum() < 1.3 * len(wrong)


def test_nothing_to_judge_is_nothing_doubted() -> None:
    assert not class_doubts(np.full(3, -1), np.full((3, 2), 0.5)).doubted.any()
    assert not len(class_doubts(np.zeros(0, int), np.zeros((0, 2))).ranked)
    assert not value_doubts(np.full(2, np.nan), np.zeros(2)).doubted.any()
    assert not value_doubts(np.zeros(4), np.zeros(4), np.ones(4)).doubted.any()
