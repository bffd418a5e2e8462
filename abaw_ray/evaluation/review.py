"""The labels of a store that a run doubts most, for a person to look at: a file to correct, and sheets of faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.blocks.files import write_json
from abaw_ray.blocks.labels import largest_class
from abaw_ray.blocks.pictures import pictures
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.figures import samples_figure, save
from abaw_ray.evaluation.label_doubts import ClassDoubts, attribute_doubts, class_doubts, value_doubts
from abaw_ray.evaluation.review_file import FILE, Doubt, Line, label_text, write_review
from abaw_ray.inference.label import rows_or_clips
from abaw_ray.inference.model_info import DEVIATION
from abaw_ray.inference.predict import Predictions, Progress
from abaw_ray.inference.store_predictions import in_space, predict_stored, predictable_rows, shared_spaces
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.on_worker import on_worker
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath, local_folder

SUMMARY = "review.json"
SHEET_COLUMNS, SHEET_FACES = 8, 48
NOTICES = {
    "yes": "{yes:,} of the {total:,} labels were trained on: the run may have learned their mistakes, and doubts them"
    " less; train on other rows, as one half by a run of the other half, to have them reviewed",
    "unknown": "whether the run was trained on {unknown:,} of the {total:,} labels is not known: it was trained on a"
    " store of another content",
    "no": "{no:,} of the {total:,} labels were not trained on",
}
"""Whether labels were trained on -> what is said of them."""


def review(
    store_path: AnyPath | str,
    run: AnyPath | str,
    out: AnyPath,
    split: Split = Split.VALIDATION,
    most: int = 200,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes the labels that a run doubts most, found by confident learning (see `label_doubts`), into a folder.

    `doubts.csv` (see `review_file`) has a row for each, with an empty column to correct; `label_store`'s neighbour
    `corrections.add_corrections` makes it an annotator. `<task>_doubts.png` shows the first of a task, each with the
    line of the file that it is in; `review.json` holds what is returned.

    Predictions should be of rows that the run was not trained on, as those of the validation split are: a network has
    learned even wrong labels of the rows it was trained on, and doubts them less. Each label says whether it was
    trained on (as far as it is known: the run must have been trained on a store of the same content), and so does the
    result. Validation labels are not trained on, but the run's best checkpoint was chosen by them.

    Args:
        store_path: a store of the images' size the network was trained with.
        run: a finished run, or a checkpoint.
        out: a folder, new or empty.
        split: whose labels.
        most: labels of a task that are listed.
        change: applied to the checkpoint's recipe, whose zoom, batch size and precision count.
        progress: called with rows, or windows, done and in all.

    Returns:
        `checkpoint`, `store`, `split`, `trained_on` (yes, no, unknown -> labels), `notices`, and `tasks`: for each
        `num_labels`, `num_doubted`, `num_listed`, and by attribute (of classes: by an empty name) or dimension what was
        found: `thresholds`, `joint` and `share_wrong` as of `ClassDoubts`, `offset` and `scale` as of `ValueDoubts`.

    Raises:
        ConfigurationError: a folder that is not empty, in which corrections may be; or tasks or images that do not fit.
        MissingInputError, StoreError: no such run or store, no label of the split, or a damaged file.
    """
    folder = OwnedFolder(out, "a review")
    if not folder.is_empty:
        raise ConfigurationError(f"{out} is not empty, corrections may be in it; choose another folder")
    trained, store = checkpoint.load(run), Store(store_path)
    trained.require_samples(store)
    spaces, recipe = shared_spaces(trained, store), change(trained.recipe)
    of_split = np.any([store.labels(task).mask(split) for task in spaces], axis=0)
    rows = np.intersect1d(predictable_rows(trained, store, recipe), np.flatnonzero(of_split))
    if not len(rows):
        raise StoreError(f"{store.path}: no {split.name.lower()} labels of {', '.join(spaces)} to review")
    arguments = trained.path.resolve(), store.path.resolve(), rows, recipe
    predicted: Predictions = on_worker(predict_stored, *arguments, progress=progress)
    lines: list[Line] = []
    tasks, trained_on = {}, Counter[str]()
    for task, own in spaces.items():
        items, found, summary = _of_task(store, task, own, split, rows, predicted)
        known = _trained_on(trained, store, task, items)
        trained_on.update(known.tolist())
        listed = found[:most]
        lines += _lines(store, task, listed, dict(zip(items.tolist(), known.tolist(), strict=True)))
        counts = {"num_labels": len(items), "num_doubted": len(found), "num_listed": len(listed)}
        tasks[task] = {**counts, "found": summary}
    counts = {"yes": 0, "no": 0, "unknown": 0} | trained_on
    total = sum(counts.values())
    result = {
        "checkpoint": str(trained.path),
        "store": str(store.path),
        "split": split.name.lower(),
        "trained_on": counts,
        "notices": [text.format(total=total, **counts) for key, text in NOTICES.items() if counts[key]],
        "tasks": tasks,
    }
    with folder.held(whole=True), local_folder(out) as local:
        write_review(local / FILE, lines)
        _write_sheets(local, store, lines)
        write_json(local / SUMMARY, result)
    return result


def _of_task(
    store: Store, task: str, own: LabelSpace, split: Split, rows: np.ndarray, predicted: Predictions
) -> tuple[np.ndarray, list[Doubt], dict[str, Any]]:
    """Labelled rows or clips (k,), all doubts, most doubted first, and the summary."""
    labels, space = store.labels(task), store.spaces[task]
    chosen = labels.splits_of(rows) == split
    items, values = rows_or_clips(labels.clip, rows[chosen], predicted[task][chosen])
    vectors, _ = labels.of(items) if labels.clip is None else labels.of_clips(items)
    published = np.isfinite(vectors).any(axis=1)
    items, vectors, values = items[published], vectors[published], in_space(values[published], own, space)
    if space.kind == "multiclass":
        return items, *_of_classes(space, items, vectors, values)
    if space.kind == "multilabel":
        return items, *_of_attributes(space, items, vectors, values)
    _, stated = rows_or_clips(labels.clip, rows[chosen], predicted[f"{task}{DEVIATION}"][chosen])
    return items, *_of_values(space, items, vectors, values, in_space(stated[published], own, space))


def _of_classes(
    space: LabelSpace, items: np.ndarray, vectors: np.ndarray, probability: np.ndarray
) -> tuple[list[Doubt], dict[str, Any]]:
    classes = largest_class(vectors).astype(np.int64)
    found = class_doubts(classes, np.where(np.isfinite(vectors), probability, np.nan))
    doubts = [
        Doubt(
            item=int(items[k]),
            name="",
            label=label_text(space, classes[k]),
            answer=label_text(space, found.likely[k]),
            probability=float(probability[k, found.likely[k]]),
            score=float(found.margin[k]),
        )
        for k in found.ranked.tolist()
    ]
    return doubts, {"": _summary(found, space.names)}


def _of_attributes(
    space: LabelSpace, items: np.ndarray, vectors: np.ndarray, probability: np.ndarray
) -> tuple[list[Doubt], dict[str, Any]]:
    doubts, summary = [], {}
    for place, (name, found) in enumerate(zip(space.names, attribute_doubts(vectors, probability), strict=True)):
        summary[name] = _summary(found, ("0", "1"))
        for k in found.ranked.tolist():
            present, likely = float(probability[k, place]), int(found.likely[k])
            stated = present if likely else 1 - present
            label = label_text(space, vectors[k, place])
            doubts.append(Doubt(int(items[k]), name, label, str(likely), stated, float(found.margin[k])))
    return sorted(doubts, key=lambda doubt: doubt.score), summary


def _of_values(
    space: LabelSpace, items: np.ndarray, vectors: np.ndarray, values: np.ndarray, deviations: np.ndarray
) -> tuple[list[Doubt], dict[str, Any]]:
    doubts, summary = [], {}
    for place, name in enumerate(space.names):
        found = value_doubts(vectors[:, place], values[:, place], deviations[:, place])
        summary[name] = {"offset": found.offset, "scale": found.scale}
        for k in found.ranked.tolist():
            label, answer = (label_text(space, numbers[k, place]) for numbers in (vectors, values))
            doubts.append(Doubt(int(items[k]), name, label, answer, None, float(found.deviations[k])))
    return sorted(doubts, key=lambda doubt: -doubt.score), summary


def _summary(found: ClassDoubts, names: Sequence[str]) -> dict[str, Any]:
    thresholds = {name: t for name, t in zip(names, found.thresholds.tolist(), strict=True) if np.isfinite(t)}
    return {"thresholds": thresholds, "joint": found.joint.tolist(), "share_wrong": found.share_wrong}


def _trained_on(trained: Checkpoint, store: Store, task: str, items: np.ndarray) -> np.ndarray:
    """Whether the run learned from labels of rows or clips (k,): yes, no or unknown."""
    labels = store.labels(task)
    if trained.description.store_hash != store.manifest.content_hash:
        return np.full(len(items), "unknown")
    splits = labels.splits_of(items) if labels.clip is None else labels.of_clips(items)[1]
    return np.where(splits == Split.TRAIN, "yes", "no")


def _lines(store: Store, task: str, doubts: Sequence[Doubt], trained_on: Mapping[int, str]) -> list[Line]:
    items = np.array([doubt.item for doubt in doubts], np.int64)
    of_items: list[tuple[str, str, int | None, str | None]]
    if store.labels(task).clip is None:
        of_items = [
            (*frame, who) for frame, who in zip(store.frames_of(items), store.index.subject(items), strict=True)
        ]
    else:
        of_items = [(store.databases[store.videos.database[k]], store.videos.names[k], None, None) for k in items]
    return [
        Line(database, video, frame, person, task, trained_on[doubt.item], doubt)
        for (database, video, frame, person), doubt in zip(of_items, doubts, strict=True)
    ]


def _write_sheets(folder: Path, store: Store, lines: Sequence[Line]) -> None:
    """The faces of the first lines of each task; of a clip the one in its middle."""
    numbered = list(enumerate(lines, 2))
    for task in dict.fromkeys(line.task for line in lines):
        shown = [(number, line) for number, line in numbered if line.task == task][:SHEET_FACES]
        rows = np.array([_row(store, line) for _, line in shown])
        titles = [_title(number, line.doubt) for number, line in shown]
        figure = samples_figure(pictures(store, rows), titles, SHEET_COLUMNS)
        figure.suptitle(f"{task}: line of {FILE} and label, below it what the run takes the face for, and how surely")
        save(figure, folder / f"{task}_doubts.png")


def _row(store: Store, line: Line) -> int:
    clip = store.labels(line.task).clip
    if clip is None:
        return line.doubt.item
    rows = np.flatnonzero(clip == line.doubt.item)
    return int(rows[len(rows) // 2])


def _title(number: int, doubt: Doubt) -> str:
    named = f"{doubt.name} {doubt.label}" if doubt.name else doubt.label
    sure = f"{doubt.score:.1f} dev." if doubt.probability is None else f"{doubt.probability:.2f}"
    return f"{number}: {named}\n{doubt.answer} ({sure})"
