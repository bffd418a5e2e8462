"""Names of TensorBoard's charts, and their layout.

TensorBoard groups charts by what is before the first slash, and sorts groups by name: `headline` is the first. Of what
follows it shows the beginning of the part after the last slash, which therefore names first the score, then the task.

    group                           step    a chart for each
    headline                        epoch   criterion, main score of a task; train loss, learning rate
    hparams                         epoch   the same of the best epoch so far: HParams shows the last one
    loss                            step    task and training set
    memory, optimiser               step    number
    per_class_<score>               epoch   class, attribute or dimension
    pictures                        epoch   figure, where the criterion is the best so far
    reliability                     epoch   calibration score of a task
    scores-<protocol>-<database>    epoch   column of a task's table
    speed, utilisation              step    number

Texts: `annotators/<task>`, what was learned of each annotator after an epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from abaw_ray.console import markdown_table
from abaw_ray.evaluation.calibration_report import Calibration
from abaw_ray.evaluation.evaluator import HEADLINE as HEADLINE_PROTOCOL
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.objectives.label_sets.learned import called
from abaw_ray.tasks.base import Task

ANNOTATORS = "annotators"
HEADLINE, HPARAMS, LOSS, PICTURES, RELIABILITY = "headline", "hparams", "loss", "pictures", "reliability"
CRITERION = f"{HEADLINE}/criterion"

MAX_DIMENSIONS = 4
"""Of a regression whose scores are each a chart of the headline; with more its criterion is."""

MAX_CLASSES = 40
"""Of a task that has charts for each; what larger ones score is in the run's metrics."""

Layout = dict[str, dict[str, list[Any]]]
"""Category -> chart -> kind of chart and regular expressions of its tags."""


def main_score_names(tasks: Mapping[str, Task]) -> list[str]:
    """`<score>.<task>` of the first column of each task's table; of a regression the first of each dimension."""
    return [f"{key}.{name}" for name, task in tasks.items() for key in _main_keys(task)]


def main_scores(scores: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, float]:
    """Name of `main_score_names` -> number, of the frames of all databases, by the headline's protocol.

    Args:
        scores: as `Evaluation.scores`.
        tasks: that may be scored.
    """
    pooled = scores[HEADLINE_PROTOCOL][POOLED]
    numbers: dict[str, float] = {}
    for name, task in tasks.items():
        if name in pooled:
            found = {"criterion": task.criterion(pooled[name])} | pooled[name]
            numbers |= {f"{key}.{name}": float(found[key]) for key in _main_keys(task) if key in found}
    return numbers


def scores_by_place(scores: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, float]:
    """Tag -> the numbers of the tasks' tables, by protocol and database; a single database is only `all`."""
    points = {}
    for protocol, by_database in scores.items():
        places = by_database if len(by_database) > 2 else {POOLED: by_database.get(POOLED, {})}
        for database, part in places.items():
            group = f"scores-{protocol}-{database}"
            if "criterion" in part:
                points[f"{group}/criterion"] = float(part["criterion"])
            for name, task in tasks.items():
                found = part.get(name, {})
                points |= {f"{group}/{key}.{name}": float(found[key]) for key in task.columns.values() if key in found}
    return points


def per_class(scores: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, float]:
    """Tag -> what tasks score class by class, of the frames of all databases, by the headline's protocol."""
    pooled = scores[HEADLINE_PROTOCOL][POOLED]
    points: dict[str, float] = {}
    for name, task in tasks.items():
        of_classes = {key: v for key, v in pooled.get(name, {}).items() if isinstance(v, Mapping)}
        if task.space.size <= MAX_CLASSES:
            for key, values in of_classes.items():
                points |= {f"per_class_{key}/{name}.{one}": float(value) for one, value in values.items()}
    return points


def reliability(found: Mapping[str, Calibration]) -> dict[str, float]:
    """Tag -> calibration error and likelihood of each task, and the error that is left after calibration."""
    points: dict[str, float] = {}
    for name, of_task in found.items():
        points |= {f"{RELIABILITY}/{key}.{name}": of_task.before.numbers()[key] for key in ("ece", "nll")}
        if of_task.parameters:
            points[f"{RELIABILITY}/ece_calibrated.{name}"] = of_task.after.numbers()["ece"]
    return points


def annotators(tables: Sequence[Mapping[str, Any]]) -> str:
    """What was learned of the annotators of a task, each a `label_sets.learned.LearnedTable` as a mapping: Markdown."""
    parts = []
    for of_one in tables:
        rows = [
            [name, *(f"{value:.3f}" for value in values)]
            for name, values in zip(of_one["rows"], of_one["values"], strict=True)
        ]
        parts += [f"**{called(of_one['annotator'])}**", markdown_table([of_one["heading"], *of_one["columns"]], rows)]
    return "\n\n".join(parts)


def layout(tasks: Mapping[str, Task], has_gpu: bool) -> Layout:
    """Charts of the Custom Scalars tab; each has a line for every run that is chosen, as of a teacher and a student."""

    def chart(*tags: str) -> list[Any]:
        return ["Multiline", [f"^{tag}$" for tag in tags]]

    names = {name: re.escape(name) for name in tasks}
    few = {name: tag for name, tag in names.items() if tasks[name].space.size <= MAX_CLASSES}
    return {
        "headline": {
            "criterion": chart(CRITERION),
            "train loss": chart(f"{HEADLINE}/train_loss"),
            **{name: chart(rf"{HEADLINE}/.+\.{tag}") for name, tag in names.items()},
        },
        "losses": {"total": chart(f"{LOSS}/total"), **{name: chart(f"{LOSS}/{tag}/.+") for name, tag in names.items()}},
        "criterion by database": {
            protocol.replace("_", " "): chart(f"scores-{re.escape(protocol)}-.+/criterion")
            for protocol in (HEADLINE_PROTOCOL, "paper")
        },
        "F1 by class": {
            name: chart(rf"per_class_f1/{tag}\..+")
            for name, tag in few.items()
            if tasks[name].space.kind != "regression"
        },
        "calibration error": {name: chart(rf"{RELIABILITY}/ece.*\.{tag}") for name, tag in names.items()},
        "speed": {
            "images per second": chart("speed/images_per_second"),
            "seconds per step": chart("speed/step_seconds", "speed/data_seconds"),
            "share of time waiting for data": chart("utilisation/waiting_for_data"),
        },
        "machine": {
            "memory (GiB)": chart("memory/.+"),
            "busy CPU cores": chart("utilisation/cpu_cores"),
            **({"GPU in use": chart("utilisation/gpu")} if has_gpu else {}),
        },
    }


def _main_keys(task: Task) -> list[str]:
    keys = list(task.columns.values())
    if task.space.kind != "regression":
        return keys[:1]
    return keys[: task.space.size] if task.space.size <= MAX_DIMENSIONS else ["criterion"]
