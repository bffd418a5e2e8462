"""Figures show what they are given, and are files of the size that people can read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from paper import EXPRESSIONS, VALENCE_AROUSAL

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.evaluation.calibration import fit_calibration
from abaw_ray.evaluation.calibration_report import Calibration
from abaw_ray.evaluation.calibration_scores import calibration_scores
from abaw_ray.evaluation.figures import reliability_figure, samples_figure, save
from abaw_ray.palette import LABEL_SIZE, TITLE_SIZE
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.figures import MAX_POINTS, attributes_figure, confusion_figure, values_figure
from abaw_ray.tasks.metrics import ccc


def matrix() -> np.ndarray:
    counts = np.random.default_rng(0).integers(0, 2_000, (7, 7))
    counts[3] = 0  # a class without frames
    return counts


def shown(counts: np.ndarray) -> Figure:
    """The figure of classes that make up a confusion matrix."""
    target, prediction = (np.repeat(ids.ravel(), counts.ravel()) for ids in np.indices(counts.shape))
    return confusion_figure(target, prediction, EXPRESSIONS, "expression")


def valued(target: np.ndarray, prediction: np.ndarray) -> Figure:
    return values_figure(target, prediction, VALENCE_AROUSAL)


def test_confusion_matrix_shows_counts_shares_and_names():
    counts = matrix()
    axes = shown(counts).axes[0]
    texts = [t.get_text() for t in axes.texts]
    assert len(texts) == 49
    assert [int(t.split("\n")[-1].replace(",", "")) for t in texts] == counts.ravel().tolist()
    assert [t.get_position() for t in axes.texts] == [(j, i) for i in range(7) for j in range(7)]
    assert [t.get_text() for t in axes.get_xticklabels()] == list(EXPRESSIONS)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(EXPRESSIONS)
    shares = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shares.sum(1), counts.sum(1) > 0)
    assert f"{counts.sum():,}" in axes.get_xlabel()


def test_titles_of_values_have_the_ccc_of_all_frames():
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (1_200, 2))
    prediction = 0.5 * target + rng.normal(0, 0.3, target.shape)
    target[:100, 1] = np.nan
    for d, axes in enumerate(valued(target, prediction).axes):
        known = np.isfinite(target[:, d])
        assert f"{ccc(target[known, d], prediction[known, d]):.3f}" in axes.get_title()
        assert len(axes.collections[0].get_offsets()) == known.sum()


def test_of_many_frames_the_density_is_shown():
    """Each of them counts."""
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (MAX_POINTS + 1, 2))
    mesh = valued(target, 0.5 * target).axes[0].collections[0]
    assert np.nansum(np.ma.filled(mesh.get_array(), 0)) == MAX_POINTS + 1


def test_true_values_are_on_the_horizontal_axis():
    target, prediction = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[-0.1, -0.2], [-0.3, -0.4]])
    offsets = [np.asarray(a.collections[0].get_offsets()) for a in valued(target, prediction).axes]
    np.testing.assert_array_equal(offsets[0], [[0.1, -0.1], [0.3, -0.3]])
    np.testing.assert_array_equal(offsets[1], [[0.2, -0.2], [0.4, -0.4]])


SIGNS = LabelSpace(name="signs", kind="multilabel", names=("a", "b", "c"))


def attributes() -> Figure:
    target = np.array([[1, 0, np.nan], [1, 1, np.nan], [0, 0, np.nan], [0, 0, np.nan]])
    answered = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1]], bool)
    return attributes_figure(target, answered, [2 / 3, 2 / 3], SIGNS)


def test_attributes_have_their_f1_and_how_often_they_are_present():
    """One that is known nowhere is left out."""
    (axes,) = attributes().axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [bar.get_width() for bar in axes.patches] == [2 / 3, 2 / 3]
    present, predicted = axes.lines
    assert present.get_xdata().tolist() == [0.5, 0.25]
    assert predicted.get_xdata().tolist() == [1, 0.5]


def test_a_confusion_matrix_that_nobody_can_read_is_not_made():
    many = LabelSpace(name="person", kind="multiclass", names=tuple(f"p{i}" for i in range(30)))
    task = build_tasks([many], LossConfig(), ModelConfig())["person"]
    labels = np.eye(30)
    assert task.figures(labels, labels, {}) == {}
    labels[:, 9:] = np.nan
    assert list(task.figures(labels[:9], labels[:9], {})) == ["person_confusion"]


def reliable(fitted: bool = True) -> Figure:
    """Of attributes that a network is too sure of."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2_000, 3))
    labels = (rng.random((2_000, 3)) < 1 / (1 + np.exp(-logits))).astype(float)
    predictions = (1 / (1 + np.exp(-3 * logits))).astype(np.float32)
    parameters = fit_calibration(SIGNS, labels, predictions) if fitted else {}
    both = (calibration_scores(SIGNS, labels, predictions, None, of) for of in ({}, parameters))
    return reliability_figure(Calibration(SIGNS, parameters, 0, 0, *both, np.arange(2_000)))


def test_reliability_shows_both_curves_and_how_many_labels_there_are():
    above, below = reliable().axes
    _, before, after = above.lines
    assert np.abs(before.get_xdata() - before.get_ydata()).max() > 0.15
    assert np.abs(after.get_xdata() - after.get_ydata()).max() < 0.1
    assert "temperature 3." in after.get_label()
    assert all("ECE 0." in line.get_label() for line in (before, after))
    assert len(below.patches) == 2
    assert len(reliable(fitted=False).axes[0].lines) == 2


@pytest.mark.parametrize("num_images", [0, 1, 5, 12])
def test_samples_have_their_own_titles(num_images: int):
    images = np.random.default_rng(0).integers(0, 256, (num_images, 16, 16, 3), dtype=np.uint8)
    titles = [f"title {i}" for i in range(num_images)]
    with_images = [a for a in samples_figure(images, titles).axes if a.images]
    assert [a.get_title() for a in with_images] == titles
    for axes, image in zip(with_images, images, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)


def test_saved_figures_can_be_read(tmp_path: Path):
    values = np.zeros((3, 2))
    images = np.zeros((3, 16, 16, 3), np.uint8)
    figures = [
        shown(matrix()),
        valued(values, values),
        samples_figure(images, ["a", "b", "c"]),
        attributes(),
        reliable(),
    ]
    for i, figure in enumerate(figures):
        save(figure, tmp_path / f"{i}.png")
        height, width, _ = cv2.imread(str(tmp_path / f"{i}.png")).shape
        assert 200 < height < 2_000
        assert 500 < width < 2_000


def test_texts_can_be_read():
    """At 6 inches; a figure that is wider is shown smaller."""
    values = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    for figure in (shown(matrix()), valued(values, values), attributes(), reliable()):
        for axes in figure.axes:
            assert axes.title.get_fontsize() >= TITLE_SIZE
            texts = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
            assert min(text.get_fontsize() for text in texts) >= LABEL_SIZE


def test_figures_do_not_load_pyplot():
    program = (
        "import sys, numpy as np; from abaw_ray.tasks.figures import confusion_figure;"
        "confusion_figure(np.arange(2), np.arange(2), 'ab', 'x'); print('matplotlib.pyplot' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False"]
