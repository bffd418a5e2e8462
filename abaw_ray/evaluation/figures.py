"""Figures of an evaluation. They are made without pyplot, whose global state threads and workers would share."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from abaw_ray.evaluation.predictions import pairs
from abaw_ray.labels import DIMENSIONS, EXPRESSIONS
from abaw_ray.tasks.metrics import ccc, confusion_matrix, matrix_scores

MAX_POINTS = 5_000
SAMPLE_COLUMNS = 4
TICKS = (-1, -0.5, 0, 0.5, 1)


def task_figures(table: pa.Table) -> dict[str, Figure]:
    """Name -> figure of the predictions in a table, for the tasks that have one and were labelled and predicted."""
    figures = {}
    if "expression" in table.column_names:
        true, predicted = pairs(table, "expression")
        if len(true):
            figures["confusion"] = confusion_figure(confusion_matrix(true.argmax(1), predicted.argmax(1)))
    if "valence_arousal" in table.column_names:
        true, predicted = pairs(table, "valence_arousal")
        if len(true):
            figures["valence_arousal"] = scatter_figure(true, predicted)
    return figures


def confusion_figure(matrix: np.ndarray) -> Figure:
    """Confusion matrix (7, 7), rows the true classes: counts and share of the true class, which is the colour."""
    num_true = matrix.sum(axis=1)
    share = matrix / np.maximum(num_true, 1)[:, None]
    figure = Figure(figsize=(7.6, 6.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        text = f"{count:,}\n{share[i, j]:.0%}" if count else "0"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.55 else "black")
    axes.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(EXPRESSIONS)), EXPRESSIONS)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scores = matrix_scores(matrix)
    axes.set_title(
        f"Expression: macro F1 {scores['macro_f1']:.3f}, accuracy {scores['accuracy']:.3f}"
        f" ({scores['num_frames']:,} frames)",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def scatter_figure(target: np.ndarray, prediction: np.ndarray) -> Figure:
    """Predicted against true valence and arousal, each (n, 2), with the CCC over all n.

    At most 5,000 points are drawn, always the same ones.
    """
    chosen = np.arange(len(target))
    if len(target) > MAX_POINTS:
        chosen = np.random.default_rng(0).choice(len(target), MAX_POINTS, replace=False)
    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    for d, (axes, dimension) in enumerate(zip(figure.subplots(1, 2), DIMENSIONS, strict=True)):
        axes.plot([-1, 1], [-1, 1], color="0.6", linewidth=1, linestyle="--", zorder=1)
        axes.scatter(target[chosen, d], prediction[chosen, d], s=8, alpha=0.3, linewidths=0, color="C0", zorder=2)
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=TICKS, yticks=TICKS, aspect="equal")
        axes.set_xlabel(f"true {dimension}")
        axes.set_ylabel(f"predicted {dimension}")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.set_title(f"{dimension.capitalize()}: CCC {ccc(target[:, d], prediction[:, d]):.3f}", fontsize=11)
    drawn = f"{len(chosen):,} of {len(target):,}" if len(chosen) < len(target) else f"{len(target):,}"
    figure.suptitle(f"{drawn} frames", fontsize=10, color="0.35")
    return figure


def samples_figure(images: np.ndarray, titles: list[str]) -> Figure:
    """A grid of faces (k, H, W, 3) uint8 with a title over each."""
    rows = max(math.ceil(len(images) / SAMPLE_COLUMNS), 1)
    figure = Figure(figsize=(2.3 * SAMPLE_COLUMNS, 2.7 * rows), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    grid = figure.subplots(rows, SAMPLE_COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, title in zip(grid, images, titles, strict=False):
        axes.imshow(image)
        axes.set_title(title, fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's ending."""
    figure.savefig(path, dpi=130)
