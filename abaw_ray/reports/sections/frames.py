"""The frames that a run is most wrong, most right and least sure about, with their pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from abaw_ray.errors import StoreError
from abaw_ray.evaluation.calibration import calibrated, calibrated_deviation
from abaw_ray.evaluation.fitting import statements
from abaw_ray.evaluation.predictions import PREDICTED, labelled, pairs
from abaw_ray.reports.markup import Markup, heading, joined, paragraph
from abaw_ray.reports.pictures import Album
from abaw_ray.reports.run_data import RunData
from abaw_ray.tasks.base import Task

NUM_SHOWN = 6


@dataclass(frozen=True)
class _Choice:
    """Frames that belong together: places (n,) in the table, from the first to be shown, and a number for each."""

    title: str
    places: np.ndarray
    said: list[str]


def frames(run: RunData, name: str, album: Album) -> Iterator[Markup]:
    """Frames of one task, at most one of a video in each row."""
    if run.store is None:
        yield paragraph(f"Frames are not shown, because their pictures are gone: {run.no_store}", kind="note")
        return
    for choice in _choices(run, name):
        yield heading(choice.title, 5)
        yield _row(run, name, choice, album)


def _choices(run: RunData, name: str) -> Iterator[_Choice]:
    """What is shown of a task: by confidence where answers are one class, else by the error."""
    table, task, decision = run.evaluation.table, run.tasks[name], run.evaluation.decisions.get(name, {})
    places = np.flatnonzero(labelled(table, name))
    true, predicted = pairs(table, name)
    shown = run.rows[places] >= 0
    places, true, predicted = places[shown], true[shown], predicted[shown]
    every = np.ones(len(places), bool)
    if task.space.kind == "multiclass":
        has = np.isfinite(true)
        truth, answers = (np.where(has, v, -1.0) for v in (true, calibrated(task.space, predicted, decision)))
        confidence, right = answers.max(axis=1, initial=0), truth.argmax(1) == answers.argmax(1)
        orders = {
            "Surest and wrong": (-confidence, ~right),
            "Surest and right": (-confidence, right),
            "Least sure": (confidence, every),
        }
        said = [f"{value:.0%} sure" for value in confidence]
    else:
        error = np.nanmean(np.abs(true - predicted), axis=1) if len(true) else np.empty(0)
        orders = {"Largest errors": (-error, every), "Smallest errors": (error, every)}
        said = [f"error {value:.2f}" for value in error]
        expected = _expected(run, task)[places]
        if np.isfinite(expected).any():
            orders["Least sure"] = (-expected, np.isfinite(expected))
            said = [f"{line}, expected ± {value:.2f}" for line, value in zip(said, expected, strict=True)]
    for title, (value, wanted) in orders.items():
        order = np.flatnonzero(wanted)
        order = order[np.argsort(value[order], kind="stable")]
        order = order[_one_a_video(table, places[order])]
        yield _Choice(title, places[order], [said[place] for place in order])


def _expected(run: RunData, task: Task) -> np.ndarray:
    """The deviation (frames,) that a regression expects, the mean of its dimensions; NaN where it is not known."""
    expected = np.full(len(run.evaluation.table), np.nan)
    if task.space.kind == "regression":
        found = statements(run.evaluation.table, task.space)
        assert found.deviations is not None, "a regression has deviations"
        decision = run.evaluation.decisions.get(task.space.name, {})
        expected[found.place] = calibrated_deviation(found.deviations, decision).mean(axis=1)
    return expected


def _one_a_video(table: pa.Table, places: np.ndarray) -> np.ndarray:
    """Which of `places` are shown: the first ones of different videos, because neighbours look the same."""
    seen: set[tuple[str, str]] = set()
    chosen = []
    for i, place in enumerate(places.tolist()):
        video = table["database"][place].as_py(), table["video"][place].as_py()
        if video not in seen:
            seen.add(video)
            chosen.append(i)
            if len(chosen) == NUM_SHOWN:
                break
    return np.array(chosen, np.int64)


def _row(run: RunData, name: str, choice: _Choice, album: Album) -> Markup:
    if not len(choice.places):
        return paragraph("There are none.", kind="note")
    assert run.store is not None, "frames without a store have no pictures"
    try:
        uris = album.uris(run.store, run.rows[choice.places])
    except StoreError as error:
        return paragraph(f"Their pictures cannot be read: {error}", kind="note")
    rows = run.evaluation.table.take(pa.array(choice.places)).to_pylist()
    task, decision = run.tasks[name], run.evaluation.decisions.get(name, {})
    cards = []
    for row, uri, said in zip(rows, uris, choice.said, strict=True):
        answer = task.describe(np.array(row[f"{PREDICTED}{name}"]), decision) or "none"
        truth = _label(task, np.array(row[name]))
        sequential = run.store.sequential[run.store.databases.index(row["database"])]
        where = f"{row['database']}, {row['video']}, {'frame' if sequential else 'face'} {row['frame']}"
        image = Markup('<img src="{}" alt="{}" width="112" height="112" loading="lazy">').format(
            uri, f"Face of {where}: answered {answer}, true {truth}"
        )
        cards.append(
            Markup(
                '<li>{}<div class="answer"><b>{}</b><br>true: {}<br>{}</div><div class="where">{}</div></li>'
            ).format(image if uri else Markup('<div class="no-picture">no room</div>'), answer, truth, said, where)
        )
    return Markup('<ul class="frames">{}</ul>').format(joined(cards))


def _label(task: Task, label: np.ndarray) -> str:
    """A label as answers are described; a number that is not known is a question mark."""
    if task.space.kind == "multiclass":
        return task.describe(np.nan_to_num(label), {})
    if task.space.kind == "multilabel":
        # labels are 0 or 1, whatever the thresholds of answers are
        return task.describe(np.nan_to_num(label), {}) or "none"
    return task.describe(label, {}).replace("+nan", "?")
