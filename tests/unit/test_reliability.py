"""Reliability in bins of equal mass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.evaluation.reliability import reliability


def test_bins_hold_equally_many_rows():
    """Unlike bins of equal width, of which most are nearly empty."""
    confidence = np.random.default_rng(0).beta(8, 1, 3_000)
    found = reliability(confidence, np.ones(3_000))
    assert found.count.tolist() == [200] * 15
    assert np.all(np.diff(found.confidence) > 0)


def test_known_error():
    """Two bins: sure 0.6 and right 0.5, sure 0.9 and right 0.6."""
    confidence = np.repeat([0.6, 0.9], 10)
    correct = np.concatenate([np.arange(10) < 5, np.arange(10) < 6])
    found = reliability(confidence, correct)
    np.testing.assert_allclose(found.confidence, [0.6, 0.9])
    np.testing.assert_allclose(found.accuracy, [0.5, 0.6])
    assert found.ece == pytest.approx((0.1 + 0.3) / 2)


def test_calibrated_answers_have_a_small_error_and_overconfident_ones_theirs():
    """Of 200,000 rows drawn with the confidence as their chance, and of some that are right in 0.2 fewer cases."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 200_000)
    drawn = rng.uniform(size=200_000)
    assert reliability(confidence, drawn < confidence).ece < 0.006
    assert reliability(confidence, drawn < confidence - 0.2).ece == pytest.approx(0.2, abs=0.006)


def test_shares_count_as_they_are():
    """Of labels that are distributions."""
    assert reliability(np.full(40, 0.7), np.full(40, 0.7)).ece == pytest.approx(0)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=400), st.randoms(use_true_random=False))
def test_equal_confidences_share_a_bin_whatever_the_order(rows: list[tuple[int, bool]], random):
    """So bins are the same for any order of the rows, and lose none."""
    confidence = np.array([c / 8 for c, _ in rows])
    correct = np.array([r for _, r in rows], bool)
    found = reliability(confidence, correct)
    assert found.count.sum() == len(rows)
    assert len(found.count) <= max(len(set(confidence)), 0)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = reliability(confidence[order], correct[order])
    np.testing.assert_array_equal(again.count, found.count)
    np.testing.assert_allclose(again.accuracy, found.accuracy, rtol=1e-12)


def test_few_rows_get_few_bins():
    """An accuracy of one row is 0 or 1; of no rows there is no error."""
    assert len(reliability(np.linspace(0, 1, 45), np.ones(45)).count) == 4
    assert len(reliability(np.linspace(0, 1, 3), np.ones(3)).count) == 1
    none = reliability(np.empty(0), np.empty(0))
    assert np.isnan(none.ece)
    assert none.to_dict() == {"confidence": [], "accuracy": [], "count": []}
