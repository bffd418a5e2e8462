"""Whether a run does as well for all people: scores by person, and by every class that is known and not predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.reader import Store
from abaw_ray.evaluation.groups import names_in_space, names_of_streams
from abaw_ray.evaluation.predictions import score
from abaw_ray.models.kinds import streams_of
from abaw_ray.reports.markup import Cell, Markup, count, number, paragraph, table
from abaw_ray.reports.run_data import RunData
from abaw_ray.reports.sections.scores import Column, columns

NUM_SHOWN = 6
MIN_FRAMES = 20
"""Of a group, for its scores to say anything."""


@dataclass(frozen=True)
class _Grouping:
    """What frames are divided by: a group (frames,) for each, None where it is not known."""

    title: str
    groups: list[str | None]


def groups(run: RunData) -> Iterator[Markup]:
    """A table for each way to divide the frames; what is not known is said."""
    if run.store is None:
        yield paragraph(f"Groups are not known, because the store is gone: {run.no_store}", kind="note")
        return
    found = [grouping for grouping in _groupings(run, run.store) if len(set(grouping.groups) - {None}) > 1]
    if not found:
        yield paragraph(
            "The store does not say who is on the pictures, and knows no group of people but what is predicted: whether"
            " the run does as well for everybody cannot be told.",
            kind="note",
        )
    for grouping in found:
        yield _table(run, grouping)


def _groupings(run: RunData, store: Store) -> Iterator[_Grouping]:
    rows = run.rows
    names = np.full(len(rows), None, object)
    pictured = rows >= 0
    names[pictured] = np.array(store.index.subject(rows[pictured]), object)
    yield _Grouping("person", names.tolist())
    targets = {name for name, task in run.tasks.items() if task.role == "target"}
    for name, space in store.spaces.items():
        if space.kind == "multiclass" and name not in targets:
            yield _Grouping(name, names_in_space(store, name, rows))
    streams = streams_of(run.trained.recipe.model)
    if len(streams) > 1:
        yield _Grouping("streams", names_of_streams(store, streams, rows))


def _table(run: RunData, grouping: _Grouping) -> Markup:
    shown = columns([run], main=True)
    groups = np.array([group if group is not None else "" for group in grouping.groups], object)
    unknown = np.array([group is None for group in grouping.groups])
    names, num_frames = np.unique(groups[~unknown].astype(str), return_counts=True)
    large = [name for name, number in zip(names, num_frames, strict=True) if number >= MIN_FRAMES]
    scores = {name: _scores(run, np.flatnonzero(~unknown & (groups == name)), shown) for name in large}
    order = sorted(large, key=lambda name: scores[name][0] or 0.0)
    if len(order) > 2 * NUM_SHOWN:
        order = order[:NUM_SHOWN] + order[-NUM_SHOWN:]
    sizes = dict(zip(names.tolist(), num_frames.tolist(), strict=True))
    rows = [[name, count(sizes[name]), *(Cell(number(v), v) for v in scores[name])] for name in order]
    caption = f"Scores by {grouping.title}: {len(order):,} of {len(names):,}, from the lowest criterion to the highest"
    head = [grouping.title, "frames", *(column.heading for column in shown)]
    left_out = len(names) - len(large)
    note = (
        f"{int(unknown.sum()):,} frames are of nobody known. {left_out:,} groups have fewer than {MIN_FRAMES} frames."
    )
    return table(head, rows, caption, sortable=True) + paragraph(note, kind="note")


def _scores(run: RunData, places: np.ndarray, shown: Sequence[Column]) -> list[float | None]:
    """The scores of some frames, column by column."""
    values = score(run.evaluation.table.take(pa.array(places)), run.tasks, run.evaluation.decisions)
    return [(values.get(c.task, {}) if c.task is not None else values).get(c.key) for c in shown]
