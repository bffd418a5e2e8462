"""Calibration: parameters that are recovered, numbers of scikit-learn and of closed forms, what cannot be fitted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss

from abaw_ray.evaluation.calibration import (
    calibrated,
    calibrated_deviation,
    calibrated_thresholds,
    check_parameters,
    fit_calibration,
)
from abaw_ray.evaluation.calibration_scores import calibration_scores
from abaw_ray.spaces import LabelSpace

COLOURS = LabelSpace(name="colour", kind="multiclass", names=("red", "green", "blue", "grey"))
SIGNS = LabelSpace(name="signs", kind="multilabel", names=("a", "b", "c"))
SIZES = LabelSpace(name="sizes", kind="regression", names=("width", "height"), low=0, high=10)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def drawn_classes(rng: np.random.Generator, n: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(z), and predictions softmax(z * temperature)."""
    z = rng.normal(0, 1.5, (n, 4))
    labels = np.eye(4)[(softmax(z).cumsum(1) > rng.random((n, 1))).argmax(1)]
    return labels.astype(np.float32), softmax(z * temperature).astype(np.float32)


def drawn_signs(rng: np.random.Generator, n: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    z = rng.normal(-1, 2, (n, 3))
    labels = (rng.random((n, 3)) < sigmoid(z)).astype(np.float32)
    labels[rng.random((n, 3)) < 0.3] = np.nan
    return labels, sigmoid(z * temperature).astype(np.float32)


def drawn_sizes(rng: np.random.Generator, n: int, scales: list[float]) -> tuple[np.ndarray, ...]:
    deviations = rng.uniform(0.3, 1.5, (n, 2))
    predictions = rng.uniform(2, 8, (n, 2))
    labels = predictions + deviations * scales * rng.normal(size=(n, 2))
    return labels.astype(np.float32), predictions.astype(np.float32), deviations.astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.4, 4.0), st.integers(0, 1_000))
def test_a_temperature_is_recovered(temperature: float, seed: int):
    """Labels follow the logits, which the network exaggerates or plays down by a factor."""
    rng = np.random.default_rng(seed)
    for space, drawn in ((COLOURS, drawn_classes), (SIGNS, drawn_signs)):
        labels, predictions = drawn(rng, 20_000, temperature)
        (found,) = fit_calibration(space, labels, predictions)["temperature"]
        assert found == pytest.approx(temperature, rel=0.08)


def test_scales_of_errors_are_recovered_by_dimension():
    labels, predictions, deviations = drawn_sizes(np.random.default_rng(0), 20_000, [0.5, 2.0])
    labels[:5_000, 1] = np.nan
    fitted = fit_calibration(SIZES, labels, predictions, deviations)
    assert fitted["error_scale"] == pytest.approx([0.5, 2.0], rel=0.03)
    np.testing.assert_allclose(
        calibrated_deviation(deviations, fitted), deviations * np.array(fitted["error_scale"]), rtol=1e-6
    )


@pytest.mark.parametrize("space", [COLOURS, SIGNS, SIZES], ids=lambda space: space.kind)
def test_calibration_improves_frames_that_it_was_not_fitted_on(space: LabelSpace):
    """NLL, Brier or CRPS, and the calibration error, which is nearly none after it."""
    rng = np.random.default_rng(1)
    if space is SIZES:
        labels, predictions, deviations = drawn_sizes(rng, 40_000, [2.0, 3.0])
    else:
        (labels, predictions), deviations = (drawn_classes if space is COLOURS else drawn_signs)(rng, 40_000, 3.0), None
    fit, rest = slice(20_000), slice(20_000, None)

    def part(which: slice) -> tuple:
        return labels[which], predictions[which], deviations[which] if deviations is not None else None

    parameters = fit_calibration(space, *part(fit))
    before, after = (calibration_scores(space, *part(rest), of).numbers() for of in ({}, parameters))
    assert list(before) == ["nll", "crps" if space is SIZES else "brier", "ece"]
    assert all(after[key] < before[key] for key in before)
    assert before["ece"] > 0.08
    assert after["ece"] < 0.012


def test_order_of_the_rows_does_not_matter():
    labels, predictions = drawn_classes(np.random.default_rng(2), 500, 2.0)
    order = np.random.default_rng(3).permutation(500)
    one, other = (fit_calibration(COLOURS, labels[o], predictions[o])["temperature"] for o in (np.arange(500), order))
    assert one == pytest.approx(other, rel=1e-6)


def test_temperatures_are_those_of_logits():
    z = np.random.default_rng(4).normal(0, 3, (50, 4))
    found = calibrated(COLOURS, softmax(z).astype(np.float32), {"temperature": [1.7]})
    np.testing.assert_allclose(found, softmax(z / 1.7), rtol=1e-4)
    z = np.random.default_rng(5).normal(0, 3, (50, 3))
    found = calibrated(SIGNS, sigmoid(z).astype(np.float32), {"temperature": [0.6]})
    np.testing.assert_allclose(found, sigmoid(z / 0.6), rtol=1e-4)
    assert found.dtype == np.float32


def test_without_parameters_predictions_stay_as_they_are():
    values = np.random.default_rng(6).random((5, 3)).astype(np.float32)
    for space, decision in ((SIGNS, {"thresholds": [0.1, 0.2, 0.3]}), (COLOURS, {}), (SIZES, {"error_scale": [2, 2]})):
        assert calibrated(space, values, decision) is values
    assert calibrated_thresholds(SIGNS, {"thresholds": [0.25, 0.5, 0.75]}) == [0.25, 0.5, 0.75]


@given(st.floats(0.5, 5), st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), st.integers(0, 99))
def test_calibrated_thresholds_give_the_same_answers(temperature: float, thresholds: list[float], seed: int):
    decision = {"temperature": [temperature], "thresholds": thresholds}
    raw = np.random.default_rng(seed).random((200, 3)).astype(np.float32)
    raw[:1] = thresholds
    answers = calibrated(SIGNS, raw, decision) >= np.asarray(calibrated_thresholds(SIGNS, decision), np.float32)
    clear = np.abs(raw - thresholds) > 1e-4  # nearer ones may round to the threshold
    np.testing.assert_array_equal(answers[clear], (raw >= np.asarray(thresholds, np.float32))[clear])
    assert answers[0].all()


def test_probabilities_at_the_ends_stay_finite():
    """Float32 gives 0 and 1 where a network is very sure."""
    ends = np.array([[0.0, 1.0, 1e-30]], np.float32)
    found = calibrated(SIGNS, ends, {"temperature": [2.0]})
    assert np.isfinite(found).all()
    assert found[0, 0] < 1e-10 < found[0, 1]
    rows = np.array([[0.0, 1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(calibrated(COLOURS, rows, {"temperature": [2.0]}).sum(), 1, rtol=1e-6)
    wrong = np.array([[1.0, 0.0, 0.0]])
    assert np.isfinite(list(calibration_scores(SIGNS, wrong, ends, None, {}).numbers().values())).all()


def test_numbers_of_classes_are_those_of_scikit_learn():
    labels, predictions = drawn_classes(np.random.default_rng(7), 2_000, 1.3)
    numbers = calibration_scores(COLOURS, labels, predictions, None, {}).numbers()
    assert numbers["nll"] == pytest.approx(log_loss(labels.argmax(1), predictions), rel=1e-5)
    assert numbers["brier"] == pytest.approx(
        brier_score_loss(labels.argmax(1), predictions, labels=np.arange(4), scale_by_half=False), rel=1e-5
    )


def test_numbers_of_attributes_are_means_of_those_of_scikit_learn():
    labels, predictions = drawn_signs(np.random.default_rng(8), 2_000, 1.3)
    expected = {"nll": [], "brier": []}
    for true, predicted in zip(labels.T, predictions.T, strict=True):
        known = np.isfinite(true)
        expected["nll"].append(log_loss(true[known], predicted[known].astype(float)))
        expected["brier"].append(brier_score_loss(true[known], predicted[known]))
    numbers = calibration_scores(SIGNS, labels, predictions, None, {}).numbers()
    for key, values in expected.items():
        assert numbers[key] == pytest.approx(np.mean(values), rel=1e-5)


def test_numbers_of_values_are_those_of_the_normal_distribution():
    """The CRPS is the integral of the squared distance of the distribution functions."""
    labels, predictions, deviations = drawn_sizes(np.random.default_rng(9), 20, [1.0, 1.5])
    numbers = calibration_scores(SIZES, labels, predictions, deviations, {}).numbers()
    assert numbers["nll"] == pytest.approx(-norm.logpdf(labels, predictions, deviations).mean(), rel=1e-5)
    crps = []
    for y, mean, deviation in zip(*(v.ravel().astype(float) for v in (labels, predictions, deviations)), strict=True):
        below = quad(lambda x, m=mean, s=deviation: norm.cdf(x, m, s) ** 2, mean - 9 * deviation, y)[0]
        crps.append(below + quad(lambda x, m=mean, s=deviation: norm.sf(x, m, s) ** 2, y, mean + 9 * deviation)[0])
    assert numbers["crps"] == pytest.approx(np.mean(crps), rel=1e-4)


def test_intervals_of_values_hold_what_they_promise():
    """Errors of twice the deviation: the interval of half of the labels holds 26 % of them."""
    labels, predictions, deviations = drawn_sizes(np.random.default_rng(10), 50_000, [2.0, 2.0])
    scores = calibration_scores(SIZES, labels, predictions, deviations, {})
    half = scores.reliability.confidence.tolist().index(0.5)
    assert scores.reliability.accuracy[half] == pytest.approx(2 * norm.cdf(norm.ppf(0.75) / 2) - 1, abs=0.01)
    assert calibration_scores(SIZES, labels, predictions, 2 * deviations, {}).numbers()["ece"] < 0.005


def test_shares_of_votes_count_as_shares():
    labels = np.array([[0.5, 0.5, 0, 0]] * 20)
    numbers = calibration_scores(COLOURS, labels, labels.astype(np.float32), None, {}).numbers()
    assert numbers["nll"] == pytest.approx(np.log(2))
    assert numbers["brier"] == pytest.approx(0)
    assert numbers["ece"] == pytest.approx(0)


def test_classes_that_a_database_does_not_have_get_no_probability():
    """Whatever the network gives them, scores and temperature are those of the others among themselves."""
    labels, predictions = drawn_classes(np.random.default_rng(11), 3_000, 2.0)
    wide_space = LabelSpace(name="colour", kind="multiclass", names=(*COLOURS.names, "gold"))
    share = np.random.default_rng(12).uniform(0, 0.9, (3_000, 1)).astype(np.float32)
    wide = np.concatenate([predictions * (1 - share), share], axis=1)
    wide_labels = np.concatenate([labels, np.full((3_000, 1), np.nan, np.float32)], axis=1)
    fitted = fit_calibration(COLOURS, labels, predictions)
    assert fit_calibration(wide_space, wide_labels, wide)["temperature"] == pytest.approx(
        fitted["temperature"], rel=1e-3
    )
    one = calibration_scores(COLOURS, labels, predictions, None, fitted).numbers()
    other = calibration_scores(wide_space, wide_labels, wide, None, fitted).numbers()
    assert other == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("num_rows", [0, 9])
def test_few_rows_fit_nothing(num_rows: int):
    rng = np.random.default_rng(13)
    assert fit_calibration(COLOURS, *drawn_classes(rng, num_rows, 2.0)) == {}
    assert fit_calibration(SIGNS, *drawn_signs(rng, num_rows, 2.0)) == {}
    assert fit_calibration(SIZES, *drawn_sizes(rng, num_rows, [1, 1])) == {}


def test_what_says_nothing_of_a_parameter_fits_none():
    labels, predictions = drawn_classes(np.random.default_rng(14), 100, 1.0)
    assert fit_calibration(COLOURS, np.eye(4)[np.zeros(100, int)], predictions) == {}
    assert fit_calibration(COLOURS, labels, np.full((100, 4), 0.25, np.float32)) == {}
    signs = np.full((100, 3), 0.3, np.float32)
    assert fit_calibration(SIGNS, np.zeros((100, 3)), np.random.default_rng(0).random((100, 3))) == {}
    assert fit_calibration(SIGNS, np.tile([[0.0], [1.0]], (50, 3)), signs) == {}
    assert fit_calibration(SIGNS, np.full((100, 3), np.nan), signs) == {}


def test_parameters_are_bounded():
    """Of a network that is always right, of one that knows nothing, and of errors of 0."""
    classes = np.arange(200) % 4
    sure = np.where(np.eye(4)[classes] > 0, 0.4, 0.2).astype(np.float32)
    assert fit_calibration(COLOURS, np.eye(4)[classes], sure)["temperature"] == pytest.approx([0.1], rel=1e-3)
    wrong = fit_calibration(COLOURS, np.eye(4)[(classes + 1) % 4], sure)
    assert wrong["temperature"] == pytest.approx([10.0], rel=1e-3)
    values = np.random.default_rng(0).uniform(0, 10, (50, 2)).astype(np.float32)
    assert fit_calibration(SIZES, values, values, np.ones_like(values)) == {"error_scale": [0.01, 0.01]}


def test_calibration_is_applied_without_torch_and_scipy():
    """By whoever has an exported file alone."""
    program = (
        "import sys, abaw_ray.evaluation.calibration as c, abaw_ray.evaluation.reliability;"
        "print(sorted({'torch', 'ray', 'scipy', 'matplotlib'} & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["[]"]


@pytest.mark.parametrize(
    ("space", "decision", "message"),
    [
        (COLOURS, {"temperature": [1.0, 2.0]}, "expected 1 positive"),
        (COLOURS, {"temperature": [0.0]}, "expected 1 positive"),
        (SIGNS, {"error_scale": [1.0]}, "expected temperature"),
        (SIZES, {"error_scale": [1.0]}, "expected 2 positive"),
        (SIZES, {"temperature": [1.0]}, "expected error_scale"),
    ],
)
def test_parameters_of_something_else_are_refused(space: LabelSpace, decision: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check_parameters(space, decision)
