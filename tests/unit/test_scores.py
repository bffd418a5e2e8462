"""Scores against scikit-learn, known values and direct computation; prediction tables and their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from paper import EXPRESSIONS, SPACES
from sklearn import metrics

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.metrics import (
    best_threshold,
    binary_f1,
    ccc,
    confusion_matrix,
    rmse,
)

EXPRESSION_TASK, VA_TASK, _ = build_tasks(SPACES, LossConfig(), ModelConfig()).values()
CLASS_PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=200)
VALUE_PAIRS = npst.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 80)), elements=st.floats(-1, 1, width=32))


def expression_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    return EXPRESSION_TASK.score(np.eye(7)[target], np.eye(7)[prediction], {})


def expression_chance(target: np.ndarray) -> dict[str, float]:
    return EXPRESSION_TASK.chance(np.eye(7)[target])


def valence_arousal_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    return VA_TASK.score(target, prediction, {})


def random_va(num_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.uniform(-1, 1, (num_rows, 2))
    return target, 0.5 * target + rng.normal(0.1, 0.3, (num_rows, 2))


# Expression


@given(CLASS_PAIRS)
def test_expression_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]):
    target, prediction = np.array(pairs).T
    scores = expression_scores(target, prediction)
    labels = list(range(7))
    matrix = confusion_matrix(target, prediction, 7)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(target, prediction, labels=labels))
    f1 = metrics.f1_score(target, prediction, labels=labels, average=None, zero_division=0)
    np.testing.assert_allclose([scores["f1"][name] for name in EXPRESSIONS], f1)
    assert scores["macro_f1"] == pytest.approx(f1.mean())
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(target, prediction))
    assert scores["num_frames"] == len(pairs)


def test_rows_of_the_confusion_matrix_are_the_true_classes():
    matrix = confusion_matrix(np.array([4, 4, 0], np.int8), np.array([6, 6, 0], np.int8), 7)
    assert (matrix[4, 6], matrix[6, 4], matrix[0, 0], matrix.sum()) == (2, 0, 1, 3)


def test_absent_classes_count_zero_in_macro_f1():
    target = np.array([0, 0, 4])
    scores = expression_scores(target, target)
    assert scores["accuracy"] == 1
    assert scores["macro_f1"] == pytest.approx(2 / 7)  # the mean over the classes that occur would be 1
    assert (scores["f1"]["Neutral"], scores["f1"]["Fear"]) == (1, 0)
    assert scores["criterion"] == pytest.approx(0.67 * 2 / 7 + 0.33)


def test_expression_criterion_of_the_papers_test_result():
    # F1 0.351 and accuracy 0.668 are printed with the criterion 0.456
    target = np.repeat(np.arange(7), 10)
    prediction = np.where(np.arange(70) % 10 < 6, target, (target + 1) % 7)
    scores = expression_scores(target, prediction)
    assert (scores["macro_f1"], scores["accuracy"]) == (pytest.approx(0.6), pytest.approx(0.6))
    assert scores["criterion"] == pytest.approx(0.6)


@pytest.mark.parametrize("wrong", [-1, 7])
def test_class_ids_out_of_range_are_refused(wrong: int):
    with pytest.raises(ValueError, match=str(wrong)):
        confusion_matrix(np.array([0, wrong]), np.array([0, 0]), 7)
    with pytest.raises(ValueError, match=str(wrong)):
        confusion_matrix(np.array([0, 0]), np.array([0, wrong]), 7)


def test_no_frames_have_no_scores():
    with pytest.raises(ValueError, match="no frames"):
        expression_scores(np.array([], int), np.array([], int))
    with pytest.raises(ValueError, match="no frames"):
        valence_arousal_scores(np.zeros((0, 2)), np.zeros((0, 2)))


# Valence and arousal


def test_ccc_is_the_population_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 64), rng.normal(0.3, 1.2, 64)
    y = 0.7 * x + 0.5 * y
    rho, sx, sy = np.corrcoef(x, y)[0, 1], x.std(), y.std()
    assert ccc(x, y) == pytest.approx(2 * rho * sx * sy / (sx**2 + sy**2 + (x.mean() - y.mean()) ** 2), abs=1e-12)
    unbiased = 2 * rho * sx * sy * 64 / 63 / ((sx**2 + sy**2) * 64 / 63 + (x.mean() - y.mean()) ** 2)
    assert 1e-5 < abs(ccc(x, y) - unbiased) < 1 / 64


def test_ccc_by_hand():
    # variances 1 and 1/4, covariance 1/2, means 0 and 1/2
    assert ccc(np.array([-1.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(2 * 0.5 / (1 + 0.25 + 0.25))


@given(VALUE_PAIRS)
def test_ccc_is_symmetric_and_bounded(pairs: np.ndarray):
    x, y = pairs
    value = ccc(x, y)
    assert -1 <= value <= 1
    assert value == pytest.approx(ccc(y, x), abs=1e-9)


@given(VALUE_PAIRS)
def test_ccc_is_one_only_for_agreement(pairs: np.ndarray):
    x, y = pairs
    assume(np.ptp(x) > 1e-3)
    assert ccc(x, x) == pytest.approx(1, abs=1e-12)
    assert ccc(x, -x) >= -1
    if np.abs(x - y).max() > 1e-2:
        assert ccc(x, y) < 1 - 1e-9


@given(VALUE_PAIRS, st.floats(0.1, 10), st.floats(-2, 2), st.randoms(use_true_random=False))
def test_ccc_does_not_change_with_common_scale_shift_and_order(pairs: np.ndarray, scale: float, shift: float, random):
    x, y = pairs.astype(np.float64)
    assume(np.ptp(x) > 1e-3)
    assume(np.ptp(y) > 1e-3)
    value = ccc(x, y)
    assert ccc(scale * x + shift, scale * y + shift) == pytest.approx(value, abs=1e-7)
    assert ccc(-x, -y) == pytest.approx(value, abs=1e-9)
    order = random.sample(range(len(x)), len(x))
    assert ccc(x[order], y[order]) == pytest.approx(value, abs=1e-9)


@given(VALUE_PAIRS)
def test_ccc_is_at_most_the_correlation(pairs: np.ndarray):
    x, y = pairs.astype(np.float64)
    assume(x.std() > 1e-3)
    assume(y.std() > 1e-3)
    assert abs(ccc(x, y)) <= abs(np.corrcoef(x, y)[0, 1]) + 1e-9


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3])
def test_ccc_of_constants_is_zero_and_never_nan(value: float):
    constant, varied = np.full(1000, value), np.linspace(-1, 1, 1000)
    assert ccc(constant, constant) == ccc(constant, varied) == ccc(varied, constant) == 0.0
    assert ccc(np.array([value]), np.array([value])) == 0.0
    assert ccc(np.array([0.0, 1e-200]), np.array([0.0, 1e-200])) == 0.0


def test_float32_labels_of_many_frames_are_summed_in_float64():
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(0, 0.01, 200_000)).astype(np.float32)
    y = (x + rng.normal(0, 0.01, 200_000)).astype(np.float32)
    assert ccc(x, y) == pytest.approx(ccc(x.astype(np.float64) - 1000, y.astype(np.float64) - 1000), abs=1e-9)


def test_valence_arousal_scores():
    target, prediction = random_va(500)
    scores = valence_arousal_scores(target, prediction)
    assert scores["ccc_valence"] == ccc(target[:, 0], prediction[:, 0])
    assert scores["ccc_arousal"] == ccc(target[:, 1], prediction[:, 1])
    assert scores["ccc_mean"] == pytest.approx((scores["ccc_valence"] + scores["ccc_arousal"]) / 2)
    expected = metrics.root_mean_squared_error(target, prediction, multioutput="raw_values")
    assert [scores["rmse_valence"], scores["rmse_arousal"]] == pytest.approx(list(expected))
    assert scores["num_frames"] == 500
    assert rmse(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))


# Chance


def test_chance_of_a_majority():
    target = np.repeat([0, 4], [90, 10])
    level = expression_chance(target)
    constant = expression_scores(target, np.zeros(100, int))
    assert level["accuracy"] == pytest.approx(0.9)
    assert level["criterion"] == pytest.approx(constant["criterion"])


def test_chance_is_the_mean_over_random_predictions():
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(7), [9, 8, 8, 8, 8, 8, 1])
    trials = [expression_scores(target, rng.integers(0, 7, 50)) for _ in range(4_000)]
    macro_f1 = np.array([t["macro_f1"] for t in trials])
    level = expression_chance(target)
    assert level["macro_f1"] == pytest.approx(macro_f1.mean(), abs=4 * macro_f1.std() / np.sqrt(4_000))
    assert level["accuracy"] == pytest.approx(9 / 50)
    constant = expression_scores(target, np.zeros(50, int))["criterion"]
    assert level["criterion"] == pytest.approx(max(constant, 0.67 * level["macro_f1"] + 0.33 / 7))


def test_chance_of_two_frames_by_enumeration():
    target = np.array([0, 1])
    everything = [expression_scores(target, np.array([a, b]))["macro_f1"] for a in range(7) for b in range(7)]
    constant = expression_scores(target, np.array([0, 0]))["macro_f1"]
    assert expression_chance(target)["macro_f1"] == pytest.approx(max(np.mean(everything), constant))
    assert expression_chance(np.array([6]))["accuracy"] == 1


def test_chance_of_many_frames():
    target = np.random.default_rng(0).integers(0, 7, 1_000_000)
    level = expression_chance(target)
    # each F1 tends to 2 (p / 7) / (p + 1 / 7), with p = 1 / 7 here
    assert level["macro_f1"] == pytest.approx(1 / 7, abs=1e-4)


# Action units


@given(npst.arrays(bool, (30, 3)), npst.arrays(bool, (30, 3)))
def test_f1_by_unit_is_that_of_scikit_learn(target, prediction):
    expected = [metrics.f1_score(t, p, zero_division=0) for t, p in zip(target.T, prediction.T, strict=True)]
    np.testing.assert_allclose(binary_f1(target, prediction), expected)


@given(
    npst.arrays(bool, 12),
    npst.arrays(np.float32, 12, elements=st.sampled_from([np.float32(k / 7) for k in range(8)])),
)
def test_no_threshold_has_a_greater_f1(target, probability):
    def f1(threshold: float) -> float:
        return float(binary_f1(target[:, None], (probability >= threshold)[:, None])[0])

    best = best_threshold(target, probability)
    assert f1(best) == max(f1(t) for t in [*probability.tolist(), best])


def test_threshold_of_a_unit_that_is_never_there():
    assert best_threshold(np.zeros(5, bool), np.linspace(0, 1, 5)) == 0.5
