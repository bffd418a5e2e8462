"""Figures at the size of TensorBoard's cards, which are some 340 pixels wide."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.text import Text

from abaw_ray.blocks.reader import Store
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.figures import samples_figure
from abaw_ray.evaluation.predictions import PREDICTED, Decisions
from abaw_ray.tasks.base import Task

NUM_SAMPLES = 9
MAX_TASKS, MAX_CHARACTERS = 2, 20
"""Of a sample's title: lines, and the length of each."""

CARD_INCHES = 4.8
TITLE_POINTS = 13


def fitted(figure: Figure) -> Figure:
    """The figure, made as small as a card with titles that stay readable on it."""
    width, height = figure.get_size_inches()
    share = CARD_INCHES / max(width, height)
    if share >= 1:
        return figure
    figure.set_size_inches(width * share, height * share)
    titles = [axes.title for axes in figure.axes]
    characters = int(CARD_INCHES * 8 / max(sum(bool(title.get_text()) for title in titles), 1))
    for title in titles:
        _enlarge(title, TITLE_POINTS, characters)
    return figure


def sample_figure(store: Store, tasks: Mapping[str, Task], evaluation: Evaluation) -> Figure:
    """Some frames of an evaluation that have a picture, always the same, with predicted (true) labels over each."""
    chosen = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(evaluation.rows >= 0))[:NUM_SAMPLES])
    frames = evaluation.table.take(pa.array(chosen)).to_pylist()
    titles = [_title(frame, tasks, evaluation.decisions) for frame in frames]
    return samples_figure(store.images(evaluation.rows[chosen]), titles)


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


def _enlarge(title: Text, points: float, characters: int) -> None:
    title.set_fontsize(points)
    title.set_text(textwrap.fill(title.get_text(), characters))
