"""Figures at the size of TensorBoard's cards, which are some 340 pixels wide."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from abaw_ray.blocks.pictures import pictures
from abaw_ray.blocks.reader import Store
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.figures import samples_figure
from abaw_ray.evaluation.predictions import PREDICTED, Decisions
from abaw_ray.tasks.base import Task

NUM_SAMPLES = 9
MAX_TASKS, MAX_CHARACTERS = 2, 21
"""Of a sample's title: lines, and the length of each."""

SHARE = 0.8
"""Of the size of a figure that is made for a page of 6 inches; its texts keep theirs."""

LETTERS = 1.25
"""As many as a title's height fit into a width, beside the room of the axes' labels."""


def fitted(figure: Figure) -> Figure:
    """A figure for a page, with texts that are still read on a card."""
    width, height = (SHARE * side for side in figure.get_size_inches())
    figure.set_size_inches(width, height)
    for axes in figure.axes:
        place, size = axes.get_subplotspec(), float(axes.title.get_fontsize())
        if axes.get_title() and place is not None:
            num_letters = int(LETTERS * 72 * width / place.get_gridspec().ncols / size)
            axes.set_title(textwrap.fill(axes.get_title(), num_letters), fontsize=size)
    return figure


def sample_figure(store: Store, tasks: Mapping[str, Task], evaluation: Evaluation) -> Figure:
    """Some frames of an evaluation that have a picture, always the same, with predicted (true) labels over each."""
    chosen = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(evaluation.rows >= 0))[:NUM_SAMPLES])
    frames = evaluation.table.take(pa.array(chosen)).to_pylist()
    titles = [_title(frame, tasks, evaluation.decisions) for frame in frames]
    return samples_figure(pictures(store, evaluation.rows[chosen]), titles)


def _title(row: Mapping[str, Any], tasks: Mapping[str, Task], decisions: Decisions) -> str:
    """Predicted (true) labels of one frame, of the first tasks that it has a label of."""
    lines = []
    for name, task in tasks.items():
        true, predicted = (np.array(row[f"{prefix}{name}"]) for prefix in ("", PREDICTED))
        if np.isfinite(true).any():
            texts = [task.describe(np.nan_to_num(v), decisions.get(name, {})) for v in (predicted, true)]
            lines += [_short(texts[0]), _short(f"({texts[1]})")]
    return "\n".join(lines[: 2 * MAX_TASKS])


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
