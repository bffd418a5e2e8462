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

from abaw_ray.evaluation.figures import samples_figure, save
from abaw_ray.tasks.figures import confusion_figure, scatter_figure
from abaw_ray.tasks.metrics import ccc


def matrix() -> np.ndarray:
    counts = np.random.default_rng(0).integers(0, 2_000, (7, 7))
    counts[3] = 0  # a class without frames
    return counts


def shown(counts: np.ndarray) -> Figure:
    """The figure of classes that make up a confusion matrix."""
    target, prediction = (np.repeat(ids.ravel(), counts.ravel()) for ids in np.indices(counts.shape))
    return confusion_figure(target, prediction, EXPRESSIONS, "expression")


def scattered(target: np.ndarray, prediction: np.ndarray) -> Figure:
    return scatter_figure(target, prediction, VALENCE_AROUSAL)


def test_confusion_matrix_shows_counts_shares_and_names():
    counts = matrix()
    axes = shown(counts).axes[0]
    texts = [t.get_text() for t in axes.texts]
    assert len(texts) == 49
    assert [int(t.split("\n")[0].replace(",", "")) for t in texts] == counts.ravel().tolist()
    assert [t.get_position() for t in axes.texts] == [(j, i) for i in range(7) for j in range(7)]
    assert [t.get_text() for t in axes.get_xticklabels()] == list(EXPRESSIONS)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(EXPRESSIONS)
    shares = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shares.sum(1), counts.sum(1) > 0)
    assert f"{counts.sum():,}" in axes.get_title()


def test_scatter_titles_have_the_ccc_of_all_frames():
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (12_000, 2))
    prediction = 0.5 * target + rng.normal(0, 0.3, target.shape)
    figure = scattered(target, prediction)
    for d, axes in enumerate(figure.axes):
        assert f"{ccc(target[:, d], prediction[:, d]):.3f}" in axes.get_title()
        assert len(axes.collections[0].get_offsets()) == 5_000
        again = scattered(target, prediction).axes[d].collections[0].get_offsets()
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), again)
    drawn = np.asarray(figure.axes[1].collections[0].get_offsets())
    assert set(map(tuple, drawn)) <= set(zip(target[:, 1], prediction[:, 1], strict=True))


def test_scatter_has_true_values_on_the_horizontal_axis():
    target, prediction = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[-0.1, -0.2], [-0.3, -0.4]])
    offsets = [np.asarray(a.collections[0].get_offsets()) for a in scattered(target, prediction).axes]
    np.testing.assert_array_equal(offsets[0], [[0.1, -0.1], [0.3, -0.3]])
    np.testing.assert_array_equal(offsets[1], [[0.2, -0.2], [0.4, -0.4]])


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
    figures = [shown(matrix()), scattered(values, values), samples_figure(images, ["a", "b", "c"])]
    for i, figure in enumerate(figures):
        save(figure, tmp_path / f"{i}.png")
        height, width, _ = cv2.imread(str(tmp_path / f"{i}.png")).shape
        assert 300 < height < 2_000
        assert 500 < width < 2_000


def test_figures_do_not_load_pyplot():
    program = (
        "import sys, numpy as np; from abaw_ray.tasks.figures import confusion_figure;"
        "confusion_figure(np.arange(2), np.arange(2), 'ab', 'x'); print('matplotlib.pyplot' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False"]
