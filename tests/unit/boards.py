"""Runs that are logged without training: their predictions are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper import SPACES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.fitting import fit_decisions
from abaw_ray.evaluation.predictions import prediction_table, score_predictions
from abaw_ray.monitoring.board import GRADIENT_NORM
from abaw_ray.monitoring.description import RunDescription
from abaw_ray.monitoring.run_log import RunLog
from abaw_ray.storage import AnyPath
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

SETS = {"first_set": ("expression",), "second_set": ("valence_arousal", "action_units")}
DATABASES = ("a", "b", "c", "d")
STEPS = 4
"""Of an epoch; every other one is logged."""


def tasks_of(recipe: Recipe) -> dict[str, Task]:
    return build_tasks(SPACES, recipe.loss, recipe.model)


def described(store: Store, recipe: Recipe | None = None, **changes: Any) -> RunDescription:
    recipe = recipe or Recipe()
    values: dict[str, Any] = {
        "role": "teacher",
        "kind": "cnn",
        "recipe": recipe,
        "store": store,
        "inputs": {},
        "tasks": tasks_of(recipe),
        "set_tasks": SETS,
        "num_parameters": 1234,
        "num_workers": 2,
        "device": torch.device("cpu"),
    }
    return RunDescription(**values | changes)


def drawn(seed: int = 0, num_frames: int = 120) -> Evaluation:
    """An evaluation of frames of `DATABASES`; predictions say something of the labels."""
    rng = np.random.default_rng(seed)
    labels, predictions, deviations = {}, {}, {}
    for space in SPACES:
        shape = (num_frames, space.size)
        if space.kind == "regression":
            labels[space.name] = rng.uniform(-1, 1, shape)
            predictions[space.name] = np.clip(0.5 * labels[space.name] + rng.normal(0, 0.3, shape), -1, 1)
            deviations[space.name] = np.full(shape, 0.3)
        elif space.kind == "multilabel":
            labels[space.name] = (rng.uniform(size=shape) < 0.3).astype(float)
            predictions[space.name] = np.clip(0.4 * labels[space.name] + rng.uniform(0, 0.6, shape), 0, 1)
        else:
            labels[space.name] = np.eye(space.size)[rng.integers(0, space.size, num_frames)]
            logits = 2 * labels[space.name] + rng.normal(size=shape)
            predictions[space.name] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    numbers = np.arange(num_frames)
    table = prediction_table(
        spaces=SPACES,
        database=[DATABASES[k % len(DATABASES)] for k in numbers],
        video=[f"video {k // 4}" for k in numbers],
        frame=numbers,
        seen=np.ones(num_frames, bool),
        labels=labels,
        predictions=predictions,
        deviations=deviations,
    )
    tasks = tasks_of(Recipe())
    decisions = fit_decisions(table, tasks)
    scores = score_predictions(table, tasks, decisions)
    return Evaluation(table, np.arange(num_frames) % 10, {"every_frame": scores, "paper": scores}, decisions)


def log_steps(log: RunLog, epoch: int, num_steps: int = STEPS) -> None:
    """Logs steps of an epoch: the loss is the number of the step."""
    clock = log.clock(32)
    for step in range(epoch * STEPS, epoch * STEPS + num_steps):
        clock.data_ready()
        clock.step_done()
        if step % 2:
            losses = {f"{task}/{name}": step for name, tasks in SETS.items() for task in tasks}
            log.step(step, {"total": step, **losses, GRADIENT_NORM: 2 * step}, 1e-3, clock)


def log_epoch(log: RunLog, epoch: int, improved: bool, evaluation: Evaluation | None = None) -> None:
    """Logs a whole epoch, of predictions that are drawn with its number as the seed."""
    log_steps(log, epoch)
    evaluation = evaluation or drawn(epoch)
    log.epoch(result_of(epoch, evaluation, improved), evaluation)


def result_of(epoch: int, evaluation: Evaluation, improved: bool) -> dict[str, Any]:
    criterion, scores = evaluation.criterion, evaluation.scores
    return {"epoch": epoch, "improved": improved, "criterion": criterion, "scores": scores, "losses": {"total": 3.0}}


def log_run(run: AnyPath, run_described: RunDescription | None, epochs: int = 1, first: int = 0, best: int = 0) -> None:
    """Logs epochs from the first on, as a run that is not cut off; only the best one is drawn."""
    with RunLog(run, run_described, first) as log:
        for epoch in range(first, epochs):
            log_epoch(log, epoch, epoch == best)


def events_of(folder: Path) -> EventAccumulator:
    """All that is in a folder's event files."""
    everything = dict.fromkeys(("scalars", "images", "tensors"), 0)
    events = EventAccumulator(str(folder), size_guidance=everything)
    events.Reload()
    return events
