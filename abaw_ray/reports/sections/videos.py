"""Which videos a run does worst and best on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from abaw_ray.reports.markup import Cell, Markup, beside, count, number, paragraph, table
from abaw_ray.reports.run_data import RunData

NUM_SHOWN = 8


def videos(run: RunData, task: str) -> Iterator[Markup]:
    """The worst and the best videos of one task."""
    scores = run.evaluation.videos
    headings = run.columns(task)
    if scores is None or not set(headings) & set(scores.column_names):
        return
    headings = {title: key for title, key in headings.items() if title in scores.column_names}
    by, goodness = _goodness(scores, headings)
    known = np.flatnonzero(np.isfinite(goodness))
    order = known[np.argsort(goodness[known], kind="stable")]
    if len(order) <= 2 * NUM_SHOWN:
        yield _table(scores, order, headings, f"Videos by {task}, from the worst to the best")
    else:
        ends = {"worst": order[:NUM_SHOWN], "best": order[::-1][:NUM_SHOWN]}
        tables = [_table(scores, e, headings, f"The {NUM_SHOWN} {which} videos by {task}") for which, e in ends.items()]
        yield beside(tables, "tables")
    yield paragraph(f"By {by}, of {len(order):,} videos with labels.", kind="note")


def _goodness(scores: pa.Table, headings: dict[str, str]) -> tuple[str, np.ndarray]:
    """What videos are ordered by, and its value for each, the higher the better; NaN where a video has no label.

    Errors and accuracies: of a video with one class or a constant value, F1 and CCC say little.
    """
    errors = [title for title, key in headings.items() if key.startswith("rmse_")]
    if errors:
        values = [_column(scores, title) for title in errors]
        known = np.isfinite(values)
        squares = np.where(known, np.square(values), 0).sum(0)
        return f"{' and '.join(errors)} together", np.where(known.any(0), -np.sqrt(squares), np.nan)
    chosen = next((title for title, key in headings.items() if key == "accuracy"), next(iter(headings)))
    return chosen, _column(scores, chosen)


def _column(scores: pa.Table, title: str) -> np.ndarray:
    return scores[title].cast(pa.float64()).to_numpy()


def _table(scores: pa.Table, places: np.ndarray, headings: dict[str, str], caption: str) -> Markup:
    shown = scores.take(pa.array(places)).to_pylist()
    rows = [
        [
            row["video"],
            row["database"],
            count(row["num_frames"]),
            *(Cell(number(row[title]), row[title]) for title in headings),
        ]
        for row in shown
    ]
    return table(["video", "database", "frames", *headings], rows, caption, sortable=True)
