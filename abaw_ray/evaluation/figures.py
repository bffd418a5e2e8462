"""Figures of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from abaw_ray.evaluation.predictions import pairs
from abaw_ray.tasks.base import Task

SAMPLE_COLUMNS = 3


def task_figures(table: pa.Table, tasks: Mapping[str, Task]) -> dict[str, Figure]:
    """Name -> figure of the predictions in a table, for the tasks that were labelled and predicted."""
    figures: dict[str, Figure] = {}
    for name, task in tasks.items():
        true, predicted = pairs(table, name)
        if len(true):
            figures |= task.figures(true, predicted)
    return figures


def samples_figure(images: np.ndarray, titles: list[str]) -> Figure:
    """A grid of faces (k, H, W, 3) uint8 with a title over each, of the width of a card of TensorBoard."""
    rows = max(math.ceil(len(images) / SAMPLE_COLUMNS), 1)
    figure = Figure(figsize=(1.6 * SAMPLE_COLUMNS, 2.1 * rows), layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.04))
    grid = figure.subplots(rows, SAMPLE_COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, title in zip(grid, images, titles, strict=False):
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's ending."""
    figure.savefig(path, dpi=130)
