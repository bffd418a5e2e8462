"""What a run answered: confusion of classes, density of regressions, attributes at their thresholds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from abaw_ray.evaluation.predictions import pairs
from abaw_ray.reports.charts import density
from abaw_ray.reports.markup import Cell, Markup, beside, count, figure, number, paragraph, table
from abaw_ray.reports.run_data import RunData
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.metrics import ccc, confusion_matrix
from abaw_ray.tasks.multiclass import scored_classes

MAX_CLASSES = 30
"""Side of a matrix that can be read; of larger ones the pairs that are confused most are listed."""

MAX_PAIRS = 30


def predictions(run: RunData, name: str) -> Iterator[Markup]:
    """Tables and figures of one task."""
    task = run.tasks[name]
    true, predicted = pairs(run.evaluation.table, name)
    if not len(true):
        yield paragraph("No frame has a label of it.")
    elif task.space.kind == "multiclass":
        yield from _classes(run, name, task, true, predicted)
    elif task.space.kind == "regression":
        yield beside(_densities(run, task, true, predicted), "squares")
        yield paragraph(f"{len(true):,} frames; the darker, the more.", kind="note")
    else:
        yield _attributes(run, name, task, true, predicted)


def _classes(run: RunData, name: str, task: Task, true: np.ndarray, predicted: np.ndarray) -> Iterator[Markup]:
    truth, answers, names = scored_classes(task.space, true, predicted)
    matrix = confusion_matrix(truth, answers, len(names))
    f1 = run.evaluation.scores().get(name, {}).get("f1", {})
    if len(names) > MAX_CLASSES:
        yield _confused_most(matrix, names)
        return
    share = matrix / np.maximum(matrix.sum(1), 1)[:, None]
    rows = [
        [
            title,
            *(
                Cell(_counted(int(matrix[i, j]), share[i, j]), int(matrix[i, j]), share[i, j])
                for j in range(len(names))
            ),
            count(int(matrix[i].sum())),
            Cell(number(f1.get(title)), f1.get(title)),
        ]
        for i, title in enumerate(names)
    ]
    caption = f"Confusion of {name}: a row a true class, a column an answer; frames, and their share of the row"
    yield table(["true", *names, "frames", "F1"], rows, caption, kind="confusion")


def _counted(frames: int, share: float) -> Markup:
    if not frames:
        return Markup('<span class="none">0</span>')
    return Markup("{}<br><small>{}</small>").format(f"{frames:,}", f"{share:.0%}")


def _confused_most(matrix: np.ndarray, names: list[str]) -> Markup:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    rows = [
        [names[i], names[j], count(int(wrong[i, j])), count(int(matrix[i].sum()))] for i, j in places if wrong[i, j]
    ]
    caption = f"The pairs of {len(names):,} classes that are confused most"
    return table(["true", "answer", "frames", "frames of the true class"], rows, caption, sortable=True)


def _densities(run: RunData, task: Task, true: np.ndarray, predicted: np.ndarray) -> Iterator[Markup]:
    limits = (task.space.low, task.space.high)
    for d, name in enumerate(task.space.names):
        known = np.isfinite(true[:, d])
        if known.any():
            x, y = true[known, d], predicted[known, d]
            title = f"{name}: CCC {ccc(x, y):.3f}"
            label = f"{run.name}, {title}, {len(x):,} frames"
            drawn = density(x, y, limits, (f"true {name}", f"predicted {name}"), label)
            yield figure(drawn, title)
    if task.space.size == 2:
        known = np.isfinite(true).all(axis=1)
        for title, values in (("labels", true), ("predictions", predicted)):
            label = f"{run.name}, {' and '.join(task.space.names)}: where the {title} lie"
            one, other = task.space.names
            yield figure(density(values[known, 0], values[known, 1], limits, (one, other), label), f"Where {title} lie")


def _attributes(run: RunData, name: str, task: Task, true: np.ndarray, predicted: np.ndarray) -> Markup:
    scores, decision = run.evaluation.scores().get(name, {}), run.evaluation.decisions.get(name, {})
    answers = task.answers(predicted, decision) > 0.5
    rows = []
    for place, attribute in enumerate(task.space.names):
        known = np.isfinite(true[:, place])
        if not known.any():
            rows.append([attribute, Cell(""), Cell(""), Cell(""), Cell(""), count(0)])
            continue
        present, answered = float((true[known, place] > 0.5).mean()), float(answers[known, place].mean())
        threshold, f1 = scores.get("thresholds", {}).get(attribute), scores.get("f1", {}).get(attribute)
        rows.append(
            [
                attribute,
                Cell(number(f1), f1, share=f1),
                Cell(number(threshold), threshold),
                Cell(f"{present:.1%}", present, share=present),
                Cell(f"{answered:.1%}", answered, share=answered),
                count(int(known.sum())),
            ]
        )
    head = ["attribute", "F1", "threshold", "present", "answered present", "frames"]
    return table(head, rows, f"{name}, attribute by attribute", sortable=True, kind="counts")
