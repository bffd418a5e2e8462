"""Smoothing over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.smoothing import CANDIDATES, parse_smoothing

SMOOTHINGS = st.sampled_from(CANDIDATES)


def test_median_by_hand():
    values = np.array([[1.0], [5.0], [2.0], [8.0], [3.0]])
    smooth = parse_smoothing("median:3").apply(values, np.array([0]))
    # at the ends: the median of two
    np.testing.assert_allclose(smooth[:, 0], [3.0, 2.0, 5.0, 3.0, 5.5])


def test_gaussian_by_hand():
    values = np.zeros((21, 1))
    values[10] = 1.0
    weights = np.exp(-0.5 * (np.arange(-10, 11) / 2.0) ** 2) * (np.abs(np.arange(-10, 11)) <= 8)
    smooth = parse_smoothing("gaussian:2").apply(values, np.array([0]))[:, 0]
    # in the middle, where the whole filter fits, it is the normalised weights
    np.testing.assert_allclose(smooth[8:13], (weights / weights.sum())[8:13], rtol=1e-6)
    edge = np.zeros((21, 1))
    edge[0] = 1.0
    assert parse_smoothing("gaussian:2").apply(edge, np.array([0]))[0, 0] == pytest.approx(1 / weights[10:].sum())


@given(SMOOTHINGS, npst.arrays(np.float32, (30, 2), elements=st.floats(-1, 1, width=32)), st.integers(1, 29))
def test_videos_do_not_mix(smoothing, values, cut):
    together = smoothing.apply(values, np.array([0, cut]))
    alone = [smoothing.apply(part, np.array([0])) for part in (values[:cut], values[cut:])]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert together.dtype == values.dtype


@given(SMOOTHINGS, st.integers(1, 60), st.floats(-1, 1, width=32))
def test_what_is_constant_stays_so(smoothing, length, value):
    values = np.full((length, 3), value, np.float32)
    np.testing.assert_allclose(smoothing.apply(values, np.array([0])), values, atol=1e-6)


@given(SMOOTHINGS, npst.arrays(np.float32, (40, 1), elements=st.floats(-1, 1, width=32)))
def test_nothing_leaves_its_range(smoothing, values):
    smooth = smoothing.apply(values, np.array([0]))
    assert values.min() - 1e-6 <= smooth.min()
    assert smooth.max() <= values.max() + 1e-6


@pytest.mark.parametrize(
    "text", [*map(str, CANDIDATES), "gaussian:0.5", "gaussian:1.2345678", "gaussian:1234567", "median:1000001"]
)
def test_names_are_read_back(text):
    assert str(parse_smoothing(text)) == text


def test_a_gaussian_ends_at_four_deviations():
    values = np.zeros((9, 1))
    values[4] = 1.0
    smooth = parse_smoothing("gaussian:0.3").apply(values, np.array([0]))[:, 0]  # 1.2 frames
    assert np.flatnonzero(smooth).tolist() == [3, 4, 5]


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("text", ["median:3", "gaussian:1"])
def test_what_is_no_number_is_not_smoothed_over(text, number):
    with pytest.raises(AssertionError):
        parse_smoothing(text).apply(np.array([[0.0], [number], [0.0]]), np.array([0]))


@pytest.mark.parametrize(
    "text", ["median:4", "median:1", "median:3.5", "gaussian:0", "gaussian:-1", "gaussian:nan", "mean:3", "", "median"]
)
def test_others_are_refused(text):
    with pytest.raises(ConfigurationError, match="expected median:N"):
        parse_smoothing(text)
