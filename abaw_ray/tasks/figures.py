"""Figures of one task's predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from abaw_ray.palette import COLOURS, LABEL_SIZE
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.figure_style import INK, SHADES, label_size, new_figure, style
from abaw_ray.tasks.metrics import ccc, confusion_matrix, matrix_scores

MAX_POINTS = 2_000
"""More would cover each other: their density is shown."""

MAX_CLASSES = 20
"""A confusion matrix of more cannot be read."""

DENSITY_BINS = 40


def confusion_figure(target: np.ndarray, prediction: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Confusion matrix of class ids, each (n,): counts and share of the true class, which is the colour."""
    matrix = confusion_matrix(target, prediction, len(names))
    num_true = matrix.sum(axis=1)
    share = matrix / np.maximum(num_true, 1)[:, None]
    side = 0.72 * max(len(names), 5)
    figure = new_figure(side + 2.0, side + 2.0)
    axes = figure.add_subplot()
    axes.imshow(share, cmap=SHADES, vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        text = f"{share[i, j]:.0%}\n{count:,}" if count else "0"
        color = "white" if share[i, j] > 0.4 else INK
        axes.text(j, i, text, ha="center", va="center", fontsize=LABEL_SIZE, color=color)
    scores = matrix_scores(matrix, names)
    numbers = f"macro F1 {scores['macro_f1']:.3f}, accuracy {scores['accuracy']:.3f}"
    style(axes, f"{_words(title)}: {numbers}", f"predicted, of {len(target):,} frames", "true")
    axes.grid(False)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    return figure


def attributes_figure(target: np.ndarray, answered: np.ndarray, f1: Sequence[float], space: LabelSpace) -> Figure:
    """F1 of each attribute beside how often it is present.

    Args:
        target: (n, attributes) labels, NaN where not known.
        answered: (n, attributes) bool.
        f1: of the attributes that are known anywhere, in their order.
        space: of the labels.
    """
    known, present = np.isfinite(target), target > 0.5
    shown = np.flatnonzero(known.any(0))
    place = np.arange(len(shown))
    shares = [values.sum(0)[shown] / known.sum(0)[shown] for values in (present, known & answered)]
    figure = new_figure(6.4, 1.7 + 0.42 * len(shown))
    axes = figure.add_subplot()
    axes.barh(place, f1, height=0.62, color=COLOURS[0], label="F1")
    marks = ((COLOURS[1], 18, "share present"), (INK, 9, "share predicted"))
    for share, (color, length, label) in zip(shares, marks, strict=True):
        axes.plot(share, place, "|", color=color, markersize=length, markeredgewidth=3, label=label)
    for y, value in enumerate(f1):
        axes.text(value + 0.015, y, f"{value:.2f}", va="center", fontsize=label_size(figure), color=INK)
    title = f"{_words(space.name)}: macro F1 {np.mean(f1):.3f}"
    style(axes, title, f"F1, and shares of {len(target):,} frames")
    axes.set_yticks(place, [space.names[k] for k in shown])
    axes.set(xlim=(0, 1.08), xticks=np.linspace(0, 1, 6), ylim=(len(shown) - 0.5, -0.5))
    axes.grid(False, axis="y")
    figure.legend(loc="outside lower center", ncols=3, fontsize=label_size(figure), frameon=False)
    return figure


def values_figure(target: np.ndarray, prediction: np.ndarray, space: LabelSpace) -> Figure:
    """Predicted against true values, each (n, dimensions), NaN where not known, with the CCC over all of a dimension.

    Up to 2,000 frames are points; of more the density is shown.
    """
    figure = new_figure(4.4 * space.size + 0.6, 4.8)
    all_axes = figure.subplots(1, space.size, squeeze=False)[0]
    margin, ticks = (space.high - space.low) / 40, np.linspace(space.low, space.high, 5).tolist()
    limits = (space.low - margin, space.high + margin)
    for d, (axes, dimension) in enumerate(zip(all_axes, space.names, strict=True)):
        known = np.isfinite(target[:, d])
        x, y = target[known, d], prediction[known, d]
        if len(x) > MAX_POINTS:
            _density(axes, x, y, limits)
        else:
            axes.scatter(x, y, s=14, alpha=0.45, linewidths=0, color=COLOURS[0], zorder=2)
        axes.plot(limits, limits, color=COLOURS[1], linewidth=1.5, linestyle="--", zorder=3)
        score = f": CCC {ccc(x, y):.3f}" if len(x) else ""
        style(axes, f"{_words(dimension)}{score}", f"true, of {len(x):,} frames", "predicted" if d == 0 else "")
        axes.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect="equal")
    return figure


def _density(axes: Axes, x: np.ndarray, y: np.ndarray, limits: tuple[float, float]) -> None:
    """How many of the points (n,) are in each cell, in shades of its logarithm."""
    counts, *edges = np.histogram2d(x, y, DENSITY_BINS, (limits, limits))
    axes.pcolormesh(*edges, np.where(counts, counts, np.nan).T, cmap=SHADES, norm=LogNorm(0.5, counts.max()))


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
