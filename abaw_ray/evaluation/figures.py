"""Plots of predictions, drawn without any global state of matplotlib's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from abaw_ray.evaluation.scores import ccc
from abaw_ray.labels import DIMENSIONS, EXPRESSIONS

MAX_POINTS = 5_000


def confusion_figure(matrix: np.ndarray) -> Figure:
    """Counts of a (7, 7) confusion matrix, coloured by share of the true class (row)."""
    figure = _figure(6.5, 5.8)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=40, ha="right")
    axes.set_yticks(range(len(EXPRESSIONS)), EXPRESSIONS)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    return figure


def scatter_figure(target: np.ndarray, prediction: np.ndarray) -> Figure:
    """Predicted against true valence and arousal, (frames, 2) each, with the CCC over all frames."""
    figure = _figure(9, 4.6)
    shown = np.random.default_rng(0).permutation(len(target))[:MAX_POINTS]
    for d, name in enumerate(DIMENSIONS):
        axes = figure.add_subplot(1, 2, d + 1)
        axes.plot([-1, 1], [-1, 1], color="0.6", linewidth=1)
        axes.scatter(target[shown, d], prediction[shown, d], s=5, alpha=0.35, linewidths=0)
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel=f"true {name}", ylabel=f"predicted {name}")
        axes.set_aspect("equal")
        axes.set_title(f"{name}: CCC {ccc(target[:, d], prediction[:, d]):.3f}")
    return figure


def samples_figure(images: np.ndarray, titles: Sequence[str], num_columns: int = 6) -> Figure:
    """A grid of faces (k, H, W, 3) uint8, each with its title."""
    num_rows = -(-len(images) // num_columns)
    figure = _figure(1.9 * num_columns, 2.3 * num_rows)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(num_rows, num_columns, i + 1)
        axes.imshow(image)
        axes.set_title(title, fontsize=7)
        axes.set_axis_off()
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG."""
    figure.savefig(path, dpi=120)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
