"""Figures of one task's predictions, made without pyplot, whose global state threads and workers would share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.metrics import ccc, confusion_matrix, matrix_scores

MAX_POINTS = 5_000


def confusion_figure(target: np.ndarray, prediction: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Confusion matrix of class ids, each (n,): counts and share of the true class, which is the colour."""
    matrix = confusion_matrix(target, prediction, len(names))
    num_true = matrix.sum(axis=1)
    share = matrix / np.maximum(num_true, 1)[:, None]
    side = 0.6 * max(len(names), 7)
    figure = Figure(figsize=(side + 3.4, side + 2.4), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        text = f"{count:,}\n{share[i, j]:.0%}" if count else "0"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.55 else "black")
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scores = matrix_scores(matrix, names)
    axes.set_title(
        f"{title.capitalize()}: macro F1 {scores['macro_f1']:.3f}, accuracy {scores['accuracy']:.3f}"
        f" ({scores['num_frames']:,} frames)",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def scatter_figure(target: np.ndarray, prediction: np.ndarray, space: LabelSpace) -> Figure:
    """Predicted against true values, each (n, dimensions), with the CCC over all n.

    At most 5,000 points are drawn, always the same ones.
    """
    chosen = np.arange(len(target))
    if len(target) > MAX_POINTS:
        chosen = np.random.default_rng(0).choice(len(target), MAX_POINTS, replace=False)
    figure = Figure(figsize=(4.8 * space.size, 5.0), layout="constrained")
    low, high = space.low, space.high
    margin, ticks = (high - low) / 40, np.linspace(low, high, 5).tolist()
    all_axes = figure.subplots(1, space.size, squeeze=False)[0]
    for d, (axes, dimension) in enumerate(zip(all_axes, space.names, strict=True)):
        axes.plot([low, high], [low, high], color="0.6", linewidth=1, linestyle="--", zorder=1)
        axes.scatter(target[chosen, d], prediction[chosen, d], s=8, alpha=0.3, linewidths=0, color="C0", zorder=2)
        limits = (low - margin, high + margin)
        axes.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect="equal")
        axes.set_xlabel(f"true {dimension}")
        axes.set_ylabel(f"predicted {dimension}")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.set_title(f"{dimension.capitalize()}: CCC {ccc(target[:, d], prediction[:, d]):.3f}", fontsize=11)
    drawn = f"{len(chosen):,} of {len(target):,}" if len(chosen) < len(target) else f"{len(target):,}"
    figure.suptitle(f"{drawn} frames", fontsize=10, color="0.35")
    return figure
