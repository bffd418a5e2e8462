"""Figures of an evaluation."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from abaw_ray.evaluation.calibration_report import Calibration
from abaw_ray.evaluation.predictions import Decisions, pairs
from abaw_ray.evaluation.selective import RiskCoverage
from abaw_ray.palette import COLOURS, LABEL_SIZE
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.figure_style import FAINT, legend, new_figure, style

SAMPLE_COLUMNS = 3
TITLE_WIDTH = 21
"""Characters that have room over a sample."""

HISTOGRAM_BINS = 30

WORDS = {
    "multiclass": ("confidence in the most probable class", "share that is right", "frames"),
    "multilabel": ("probability that an attribute is present", "share that is", "labels"),
    "regression": ("share of labels that an interval is to hold", "share that it holds", "labels"),
}
"""Kind of label space -> what the axes of its reliability say; rows are counted in the last word."""

RISKS = {
    "multiclass": "share of answers that is wrong",
    "multilabel": "share of attributes that is wrong",
    "regression": "mean squared error",
}
"""Kind of label space -> what its risk is."""


def task_figures(table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions) -> dict[str, Figure]:
    """Name -> figure of the predictions in a table, for the tasks that were labelled and predicted."""
    figures: dict[str, Figure] = {}
    for name, task in tasks.items():
        true, predicted = pairs(table, name)
        if len(true):
            figures |= task.figures(true, predicted, decisions.get(name, {}))
    return figures


def reliability_figure(calibration: Calibration) -> Figure:
    """Reliability of one task before and after calibration, and how often the network is how sure, below it."""
    x, y, of_rows = WORDS[calibration.space.kind]
    figure = new_figure(6.0, 7.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle="--")
    curves = [("as it is", calibration.before, COLOURS[1])]
    for parameter, values in calibration.parameters.items():
        label = f"{parameter.replace('_', ' ')} {', '.join(f'{value:.2f}' for value in values)}"
        curves.append((label, calibration.after, COLOURS[0]))
    for label, scores, color in curves:
        found, numbers = scores.reliability, scores.numbers()
        above.plot(found.confidence, found.accuracy, "o-", color=color, label=f"{label}: ECE {numbers['ece']:.3f}")
        below.hist(scores.stated, HISTOGRAM_BINS, range=(0, 1), histtype="step", linewidth=1.8, color=color)
    style(above, f"{calibration.space.name.replace('_', ' ').capitalize()}: reliability", y=y)
    above.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    legend(above)
    style(below, x=x, y=of_rows)
    below.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def risk_coverage_figure(space: LabelSpace, curves: Mapping[str, RiskCoverage]) -> Figure:
    """Risk against coverage of one task's answers, by name of what orders them; `best` is the least possible."""
    figure = new_figure(6.0, 5.0)
    axes = figure.subplots()
    for place, (name, curve) in enumerate(curves.items()):
        is_best = name == "best"
        axes.plot(
            curve.coverage,
            curve.risk,
            color=FAINT if is_best else COLOURS[place],
            linestyle="--" if is_best else "-",
            linewidth=1.0 if is_best else 1.8,
            label=f"{'best possible order' if is_best else name}: area {curve.area:.3f}",
        )
    overall = float(curves["best"].risk[-1])
    axes.axhline(overall, color=FAINT, linewidth=1, linestyle=":", label=f"no order: {overall:.3f}")
    title = f"{space.name.replace('_', ' ').capitalize()}: risk of the most certain answers"
    style(axes, title, x="coverage: share of frames that are answered", y=RISKS[space.kind])
    top = max(float(curve.risk.max()) for curve in curves.values())
    axes.set(xlim=(0, 1), ylim=(0, 1.5 * top or 1))  # with room for the legend
    legend(axes)
    return figure


def samples_figure(images: np.ndarray, titles: list[str], columns: int = SAMPLE_COLUMNS) -> Figure:
    """A grid of faces (k, H, W, 3) uint8 with a title over each, to be read when three columns are 3.4 inches wide."""
    rows = max(math.ceil(len(images) / columns), 1)
    figure = Figure(figsize=(1.75 * columns, 2.2 * rows), layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.04))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, title in zip(grid, images, titles, strict=False):
        axes.imshow(image)
        lines = [textwrap.fill(line, TITLE_WIDTH) for line in title.splitlines()]
        axes.set_title("\n".join(lines), fontsize=LABEL_SIZE)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's ending."""
    figure.savefig(path, dpi=130)
