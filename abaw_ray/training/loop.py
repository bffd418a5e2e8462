"""The training loop: teacher and student, one worker or many. Nothing here knows of Ray."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from abaw_ray.augmentation import NUM_UNIFORMS
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.predict import predict_rows
from abaw_ray.evaluation.predictions import score_predictions
from abaw_ray.models import checkpoint
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.monitoring.run_log import RunLog
from abaw_ray.tasks import build_tasks
from abaw_ray.training.data import TrainingData
from abaw_ray.training.early_stopping import EarlyStopping
from abaw_ray.training.step import Learner
from abaw_ray.world import World


@dataclass(frozen=True)
class Job:
    """What to train.

    Args:
        recipe: configuration.
        store: folder of the store.
        run: folder of the run: logs go there.
        teacher: a finished run or a checkpoint to distil from; None trains a teacher.
    """

    recipe: Recipe
    store: str
    run: str
    teacher: str | None = None


@dataclass(frozen=True)
class EpochResult:
    """An epoch as it is reported: `improved` if its criterion is the best so far."""

    epoch: int
    improved: bool
    criterion: float
    scores: dict[str, Any]
    losses: dict[str, float]
    num_images: int
    seconds: float


Report = Callable[[EpochResult, Path | None], None]
"""Called by every worker after every epoch; the first worker's has the checkpoint's folder, for this call only."""

Progress = Callable[[int, int, int, float], None]
"""Called by the first worker with epoch, step, steps in an epoch, and the latest logged loss."""


def train(
    job: Job,
    world: World,
    report: Report,
    resume: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Trains until early stopping or the last epoch.

    Args:
        job: what to train.
        world: this worker.
        report: receives every epoch's result and checkpoint.
        resume: a checkpoint of this run to go on from.
        progress: shows how far it is.

    Returns:
        Summary: role, epochs run, best epoch, its criterion, steps.
    """
    recipe = job.recipe
    store = Store(job.store)
    data = TrainingData(store, recipe)
    learner = _learner(job, store, data, world)
    stopping = EarlyStopping(recipe.train.patience)
    epoch = 0
    if resume is not None:
        description = checkpoint.restore(resume, learner.network, learner.optimizer, world.device)
        stopping = EarlyStopping(**description.stopping)
        epoch = description.epoch + 1
    role = "teacher" if job.teacher is None else "student"
    log = RunLog(Path(job.run), enabled=world.rank == 0)
    while epoch < recipe.train.epochs and not stopping.stop:
        started = time.perf_counter()
        losses = _train_epoch(epoch, learner, data, recipe, world, log, progress)
        seconds = time.perf_counter() - started
        table = _predict(learner.network, store, recipe, world)
        scores = score_predictions(table)
        criterion = scores["all"]["criterion"]
        improved = stopping.update(epoch, criterion)
        num_images = data.order.num_steps * recipe.sampling.batch_size * len(data.set_tasks)
        result = EpochResult(epoch, improved, criterion, scores, losses, num_images, seconds)
        log.epoch(asdict(result), table, store)
        described = checkpoint.Description(
            role=role,
            epoch=epoch,
            tasks=data.tasks,
            image_size=store.image_size,
            store_hash=store.manifest.content_hash,
            stopping=asdict(stopping),
            scores=scores,
        )
        with tempfile.TemporaryDirectory() as folder:
            if world.rank == 0:
                checkpoint.save(Path(folder), learner.network, learner.optimizer, recipe, described)
            report(result, Path(folder) if world.rank == 0 else None)
        epoch += 1
    log.close()
    return {
        "role": role,
        "num_epochs": epoch,
        "num_steps": epoch * data.order.num_steps,
        "best_epoch": stopping.best_epoch,
        "best_criterion": stopping.best,
        "stopped_early": stopping.stop,
    }


def check(job: Job, num_workers: int) -> None:
    """Refuses, before any worker starts, a job that cannot run.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such store, teacher, backbone or weights; a store without
            training or validation rows; a teacher that does not fit; a batch that the workers cannot share equally.
    """
    store = Store(job.store)
    data = TrainingData(store, job.recipe)
    data.order.shard(0, 0, 0, num_workers, NUM_UNIFORMS)
    create_backbone(job.recipe.model.backbone, job.recipe.model.weights)
    if job.teacher is not None:
        _load_teacher(job.teacher, store, data)


def _load_teacher(path: str, store: Store, data: TrainingData) -> checkpoint.Checkpoint:
    teacher = checkpoint.load(path)
    tasks, size = teacher.description.tasks, teacher.description.image_size
    if not set(data.tasks) <= set(tasks) or size != store.image_size:
        raise ConfigurationError(
            f"teacher {teacher.path}: tasks {', '.join(tasks)}, images of {size} pixels;"
            f" expected {', '.join(data.tasks)}, {store.image_size} pixels"
        )
    return teacher


def _learner(job: Job, store: Store, data: TrainingData, world: World) -> Learner:
    recipe = job.recipe
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(recipe.seed)
    tasks = build_tasks(data.tasks, recipe.loss, recipe.model)
    network = MultiTaskCNN(recipe.model, {t: task.num_outputs for t, task in tasks.items()})
    teacher = _load_teacher(job.teacher, store, data).network(world.device) if job.teacher is not None else None
    return Learner(network, teacher, tasks, data.set_tasks, recipe, world)


def _train_epoch(
    epoch: int,
    learner: Learner,
    data: TrainingData,
    recipe: Recipe,
    world: World,
    log: RunLog,
    progress: Progress | None,
) -> dict[str, float]:
    """One pass over the epoch's steps; returns the mean of each logged loss."""
    # dropout differs from worker to worker and is the same when the epoch is run again
    torch.manual_seed(int(np.random.SeedSequence([recipe.seed, epoch, world.rank]).generate_state(1)[0]))
    learner.network.train()
    num_steps, accumulate = data.order.num_steps, recipe.train.accumulate
    images_per_step = recipe.sampling.batch_size * len(data.set_tasks)
    clock = log.clock(images_per_step)
    batches = data.epoch(epoch, world)
    for step, batch in enumerate(batches):
        clock.data_ready()
        last = step + 1 == num_steps
        # the steps at the end of an epoch that do not fill an accumulation are averaged among themselves
        num_accumulated = min(accumulate, num_steps - step // accumulate * accumulate)
        update = last or (step + 1) % accumulate == 0
        loss = learner.step({n: b.to(world.device) for n, b in batch.items()}, update, num_accumulated)
        clock.step_done()
        log.add(loss)
        if last or (step + 1) % recipe.train.log_every == 0:
            log.step(epoch * num_steps + step, loss, learner.optimizer.param_groups[0]["lr"], clock)
            if progress is not None:
                progress(epoch, step + 1, num_steps, float(loss.total))
    return log.mean_losses()


def _predict(network: MultiTaskCNN, store: Store, recipe: Recipe, world: World) -> pa.Table:
    """Predictions for all validation rows, the same on every worker."""
    world.share_buffers(network)
    return predict_rows(network, store, store.validation_rows(), recipe, world)
