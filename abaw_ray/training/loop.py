"""The training loop: teacher and student, one worker or many. Nothing here knows of Ray."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.evaluation.evaluator import Evaluation, Evaluator
from abaw_ray.machine import describe_machine
from abaw_ray.models import checkpoint
from abaw_ray.models.sets import Network
from abaw_ray.models.weight_sources import settled
from abaw_ray.monitoring.board import GRADIENT_NORM
from abaw_ray.monitoring.description import RunDescription
from abaw_ray.monitoring.run_log import RunLog, named_losses, read
from abaw_ray.storage import as_path
from abaw_ray.streams.base import FACE
from abaw_ray.training.collapse import CollapseWatch
from abaw_ray.training.divergence import Watch
from abaw_ray.training.early_stopping import EarlyStopping
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.training.step import Learner
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


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
    criteria: dict[str, float] = field(default_factory=dict)
    """Kind of weights -> criterion, where the average of the weights is evaluated beside them; the better is kept."""


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
    is_trial: bool = False,
) -> dict[str, Any]:
    """Trains until early stopping or the last epoch.

    Args:
        job: what to train.
        world: this worker.
        report: receives every epoch's result and checkpoint.
        resume: a checkpoint of this run to go on from.
        progress: shows how far it is.
        is_trial: of a sweep.

    Returns:
        Summary: role, epochs run, best epoch, its criterion, steps, workers and what they ran on.
    """
    model = settled(job.recipe.model) if resume is None else checkpoint.load(resume).recipe.model
    recipe = job.recipe.model_copy(update={"model": model})
    job = replace(job, recipe=recipe)
    stage = Stage(job if resume is None else job.going_on(), world.device)
    learner = _learner(stage, recipe, world)
    updates = Updates(learner, recipe, stage.data.order.num_steps)
    evaluator = stage.evaluator()
    stopping = EarlyStopping(recipe.train.patience)
    epoch = 0
    if resume is not None:
        description = checkpoint.restore(resume, learner.network, learner.optimizer)
        learner.load_losses(checkpoint.learned_losses(resume))
        stopping = EarlyStopping(**description.stopping)
        epoch = description.epoch + 1
        updates.resume(epoch, description.weights, checkpoint.training_state(resume))
    watch = Watch(job, stage, world)
    collapse = CollapseWatch(stage.data.tasks, stage.data.nuisances, recipe.train.epochs)
    described = _described(job, stage, learner.network, world, is_trial) if world.rank == 0 else None
    with RunLog(as_path(job.run), described, first_epoch=epoch) as log:
        while epoch < recipe.train.epochs and not stopping.stop:
            started = time.perf_counter()
            losses = _train_epoch(epoch, learner, updates, stage, recipe, world, watch, log, progress)
            seconds = time.perf_counter() - started
            evaluations = {name: _evaluate(n, evaluator, world) for name, n in updates.networks.items()}
            kept = max(evaluations, key=lambda name: evaluations[name].criterion)
            evaluation = evaluations[kept]
            criteria = {str(name): of_weights.criterion for name, of_weights in evaluations.items()}
            updates.evaluated(evaluation.criterion)
            if world.rank == 0:
                collapse.look(epoch, evaluation, losses)
            improved = stopping.update(epoch, evaluation.criterion)
            num_images = stage.data.order.num_steps * stage.data.images_per_step
            result = EpochResult(
                epoch,
                improved,
                evaluation.criterion,
                evaluation.scores,
                losses,
                num_images,
                seconds,
                criteria if len(criteria) > 1 else {},
            )
            log.epoch(asdict(result), evaluation)
            description = checkpoint.Description(
                role=job.role,
                epoch=epoch,
                spaces=tuple(task.space for task in stage.data.tasks.values()),
                image_size=stage.store.image_size,
                streams={name: tuple(shape) for name, shape in stage.shapes.items() if name != FACE},
                store_hash=stage.store.manifest.content_hash,
                stopping=asdict(stopping),
                scores=evaluation.scores,
                decisions=dict(evaluation.decisions),
                databases=_databases(stage.store),
                kind=stage.kind,
                cnn_sha256=stage.cnn_sha256,
                weights=kept,
            )
            with tempfile.TemporaryDirectory() as folder:
                if world.rank == 0:
                    checkpoint.save(
                        Path(folder),
                        updates.networks[kept],
                        learner.optimizer,
                        recipe,
                        description,
                        learner.losses(),
                        updates.state(kept),
                    )
                report(result, Path(folder) if world.rank == 0 else None)
            epoch += 1
    return {
        "kind": stage.kind,
        "role": job.role,
        "num_epochs": epoch,
        "num_steps": epoch * stage.data.order.num_steps,
        "num_workers": world.size,
        "machine": describe_machine(world.device),
        "best_epoch": stopping.best_epoch,
        "best_criterion": stopping.best,
        "stopped_early": stopping.stop,
    }


def _described(job: Job, stage: Stage, network: Network, world: World, is_trial: bool) -> RunDescription:
    """What TensorBoard says of the run."""
    given = {"teacher's outputs": job.teacher_outputs, "CNN": job.cnn}
    inputs = {"teachers": job.teachers} | {what: (place,) for what, place in given.items() if place is not None}
    inputs |= {"features": job.features} if job.features else {}
    return RunDescription(
        role=job.role,
        kind=stage.kind,
        recipe=job.recipe,
        store=stage.store,
        inputs=inputs,
        tasks=stage.data.tasks,
        set_tasks=stage.data.set_tasks,
        num_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        num_workers=world.size,
        device=world.device,
        is_trial=is_trial,
    )


def _databases(store: Store) -> dict[str, checkpoint.DatabaseUse]:
    """What the store holds of each database."""
    return {
        entry.name: checkpoint.DatabaseUse(
            title=entry.title, crop=entry.crop, num_images=entry.num_images, labels=entry.labels
        )
        for entry in store.manifest.databases
    }


def _learner(stage: Stage, recipe: Recipe, world: World) -> Learner:
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(recipe.seed)
    network = stage.network()
    teacher = stage.teacher(world.device)
    objective, added = stage.objective(network, teacher), stage.added_objectives(network)
    return Learner(network, teacher, objective, added, recipe, world)


def _train_epoch(
    epoch: int,
    learner: Learner,
    updates: Updates,
    stage: Stage,
    recipe: Recipe,
    world: World,
    watch: Watch,
    log: RunLog,
    progress: Progress | None,
) -> dict[str, float]:
    """One pass over the epoch's steps; returns the mean of each logged loss."""
    # dropout differs from worker to worker and is the same when the epoch is run again
    torch.manual_seed(int(np.random.SeedSequence([recipe.seed, epoch, world.rank]).generate_state(1)[0]))
    learner.network.train()
    num_steps, accumulate = stage.data.order.num_steps, recipe.train.accumulate
    clock = log.clock(stage.data.images_per_step)
    for step, batch in enumerate(stage.batches(epoch, world)):
        clock.data_ready()
        last = step + 1 == num_steps
        # the steps at the end of an epoch that do not fill an accumulation are averaged among themselves
        num_accumulated = min(accumulate, num_steps - step // accumulate * accumulate)
        update = last or (step + 1) % accumulate == 0
        rate = learner.optimizer.param_groups[0]["lr"]
        loss, norm = learner.step(batch, update, num_accumulated)
        if update:
            updates.done()
        losses = named_losses(loss)
        numbers = losses | ({GRADIENT_NORM: norm} if norm is not None else {})
        watch.take(epoch, step, batch, numbers)
        logged = last or (step + 1) % recipe.train.log_every == 0
        # waits for the device, which is part of the step
        values = read(numbers) if logged else {}
        clock.step_done()
        log.add(losses)
        if logged:
            log.step(epoch * num_steps + step, values, rate, clock)
            if progress is not None:
                progress(epoch, step + 1, num_steps, values["total"])
            clock.log_written()
    watch.look()
    return log.mean_losses()


def _evaluate(network: Network, evaluator: Evaluator, world: World) -> Evaluation:
    """Scores on the validation split, the same on every worker."""
    world.share_buffers(network)
    return evaluator.score(evaluator.predict(network, world))
