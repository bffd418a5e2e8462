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
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluator import Evaluation, Evaluator
from abaw_ray.machine import describe_machine
from abaw_ray.models import checkpoint
from abaw_ray.models.sets import Network
from abaw_ray.models.weight_sources import settled
from abaw_ray.monitoring.board import GRADIENT_NORM
from abaw_ray.monitoring.description import RunDescription
from abaw_ray.monitoring.run_log import RunLog, named_losses, read, read_metrics
from abaw_ray.objectives.label_sets.learned import LearnedTable
from abaw_ray.storage import as_path
from abaw_ray.streams.base import FACE
from abaw_ray.training.collapse import CollapseWatch
from abaw_ray.training.divergence import Watch
from abaw_ray.training.early_stopping import EarlyStopping
from abaw_ray.training.job import Job
from abaw_ray.training.resume import learned_losses, restore, restore_within, state_within, training_state
from abaw_ray.training.stage import Stage
from abaw_ray.training.step import Learner
from abaw_ray.training.step_checkpoints import StepCheckpoints
from abaw_ray.training.symptoms import symptoms
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
    waiting: float = 0.0
    """Share of the epoch's time, 0 to 1, in which the first worker waited for data."""
    criteria: dict[str, float] = field(default_factory=dict)
    """Kind of weights -> criterion, where the average of the weights is evaluated beside them; the better is kept."""
    annotators: dict[str, list[LearnedTable]] = field(default_factory=dict)
    """Task -> what was learned of each of its annotators."""
    task_weights: dict[str, float] = field(default_factory=dict)
    """Task -> what its weight was multiplied by, with `loss.task_weighting` other than `fixed`."""


Report = Callable[[EpochResult, Path | None], None]
"""Called by every worker after every epoch; the first worker's has the checkpoint's folder, for this call only."""

Progress = Callable[[int, int, int, float], None]
"""Called by the first worker with epoch, step, steps in an epoch, and the latest logged loss."""

Sign = Callable[[str], None]
"""A sign of life, called by every worker with what it has just done."""


def train(
    job: Job,
    world: World,
    report: Report,
    resume: Path | None = None,
    progress: Progress | None = None,
    is_trial: bool = False,
    sign: Sign = lambda last: None,
) -> dict[str, Any]:
    """Trains until early stopping or the last epoch.

    Args:
        job: what to train.
        world: this worker.
        report: receives every epoch's result and checkpoint.
        resume: a checkpoint of this run to go on from, or within the epoch after it, where the run's folder has more.
        progress: shows how far it is.
        is_trial: of a sweep.
        sign: is given a sign of life with every step, and with every batch of an evaluation.

    Returns:
        Summary: role, epochs run, best epoch, its criterion, steps, workers, what they ran on, and `symptoms`, what is
        striking of the training, in sentences.
    """
    model = settled(job.recipe.model) if resume is None else checkpoint.load(resume).recipe.model
    recipe = job.recipe.model_copy(update={"model": model})
    job = replace(job, recipe=recipe)
    stage = Stage(job if resume is None else job.going_on(), world.device)
    learner = new_learner(stage, recipe, world)
    updates = Updates(learner, recipe, stage.data.order.num_steps, stage.task_weighting())
    evaluator = stage.evaluator()
    stopping = EarlyStopping(recipe.train.patience)
    epoch = 0
    if resume is not None:
        description = restore(resume, learner.network, learner.optimizer)
        learner.load_losses(learned_losses(resume))
        _require_store(description, stage.store, job)
        stopping = EarlyStopping(**description.stopping | {"patience": recipe.train.patience})
        epoch = description.epoch + 1
        updates.resume(epoch, description.weights, training_state(resume))
    saved = StepCheckpoints(as_path(job.run), recipe, world, stage.store.manifest.content_hash)
    step, state = saved.find(epoch) or (0, None)
    watch = Watch(job, stage, world)
    collapse = CollapseWatch(stage.data.tasks, stage.data.nuisances, recipe.train.epochs)
    described = _described(job, stage, learner.network, world, is_trial) if world.rank == 0 else None
    kept_events = state["log"]["events"] if state is not None else None
    with saved, RunLog(as_path(job.run), described, epoch, kept_events) as log:
        seconds = restore_within(state, learner, updates, log, world) if state is not None else 0.0
        training = Training(learner, updates, stage, recipe, world, watch, log, saved, progress, sign)
        shown: Evaluation | None = None
        while epoch < recipe.train.epochs and not stopping.stop:
            task_weights = updates.task_weights
            losses, seconds, waiting = training.epoch(epoch, step, seconds)
            evaluations = {name: _evaluate(n, evaluator, world, epoch, sign) for name, n in updates.networks.items()}
            kept = max(evaluations, key=lambda name: evaluations[name].criterion)
            evaluation = evaluations[kept]
            criteria = {str(name): of_weights.criterion for name, of_weights in evaluations.items()}
            updates.evaluated(evaluation.criterion, evaluation.criteria(stage.data.tasks))
            if world.rank == 0:
                collapse.look(epoch, evaluation, losses)
            improved = stopping.update(epoch, evaluation.criterion)
            shown = evaluation if improved or shown is None else shown
            num_images = stage.data.order.num_steps * stage.data.images_per_step
            result = EpochResult(
                epoch,
                improved,
                evaluation.criterion,
                evaluation.scores,
                losses,
                num_images,
                seconds,
                waiting,
                criteria if len(criteria) > 1 else {},
                {name: found for name, sets in stage.data.labels.sets.items() if (found := sets.learned())},
                task_weights,
            )
            log.epoch(asdict(result), evaluation)
            description = checkpoint.Description(
                role=job.role,
                epoch=epoch,
                spaces=tuple(task.space for task in stage.data.tasks.values()),
                image_size=stage.store.image_size,
                streams={name: tuple(shape) for name, shape in stage.shapes.items() if name != FACE},
                crops=_crops(stage),
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
            saved.epoch_saved()
            epoch, step, seconds = epoch + 1, 0, 0.0
        saved.finished()
    striking: list[str] = []
    if world.rank == 0 and shown is not None:
        losses_of_epochs = [line["losses"] for line in read_metrics(as_path(job.run))]
        striking = symptoms(losses_of_epochs, shown, stage.data.tasks)
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
        "symptoms": striking,
    }


def _require_store(description: checkpoint.Description, store: Store, job: Job) -> None:
    """Refuses to go on with another store than the run began with."""
    found = store.manifest.content_hash
    if found != description.store_hash:
        raise ConfigurationError(
            f"{job.run}: trained on a store with the content hash {description.store_hash[:12]} so far, found"
            f" {found[:12]} in {job.store}; give the store that it began with, or --fresh to train anew"
        )


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


def _crops(stage: Stage) -> dict[str, str]:
    """How images of streams beside faces were cut out, of those that the network takes."""
    entries = [entry for entry in stage.store.manifest.streams if entry.name in stage.shapes]
    return {entry.name: entry.usual_crop for entry in entries if entry.kind == "image"}


def new_learner(stage: Stage, recipe: Recipe, world: World) -> Learner:
    """What takes a stage's steps, with the weights that training begins with."""
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(recipe.seed)
    network = stage.network()
    teacher = stage.teacher(world.device)
    objective, added = stage.objective(network, teacher), stage.added_objectives(network)
    return Learner(network, teacher, objective, added, recipe, world)


@dataclass(frozen=True)
class Training:
    """What an epoch is trained with, and followed by."""

    learner: Learner
    updates: Updates
    stage: Stage
    recipe: Recipe
    world: World
    watch: Watch
    log: RunLog
    saved: StepCheckpoints
    progress: Progress | None = None
    sign: Sign = lambda last: None

    def epoch(self, epoch: int, first: int, seconds: float) -> tuple[dict[str, float], float, float]:
        """One pass over an epoch's steps.

        Args:
            epoch: 0-based.
            first: step that it goes on with.
            seconds: that the steps before took.

        Returns:
            The mean of each logged loss, the seconds of the epoch, and the share of the time since `first` in which
            this worker waited for data.
        """
        if first == 0:
            # dropout differs from worker to worker and is the same when the epoch is run again
            states = np.random.SeedSequence([self.recipe.seed, epoch, self.world.rank]).generate_state(1)
            torch.manual_seed(int(states[0]))
        started = time.perf_counter() - seconds
        self.learner.network.train()
        num_steps, accumulate = self.stage.data.order.num_steps, self.recipe.train.accumulate
        clock = self.log.clock(self.stage.data.images_per_step)
        for step, batch in enumerate(self.stage.batches(epoch, self.world, first), first):
            clock.data_ready()
            last = step + 1 == num_steps
            # the steps at the end of an epoch that do not fill an accumulation are averaged among themselves
            num_accumulated = min(accumulate, num_steps - step // accumulate * accumulate)
            update = last or (step + 1) % accumulate == 0
            rate = self.learner.optimizer.param_groups[0]["lr"]
            loss, norm = self.learner.step(batch, update, num_accumulated)
            if update:
                self.updates.done()
            losses = named_losses(loss)
            numbers = losses | ({GRADIENT_NORM: norm} if norm is not None else {})
            self.watch.take(epoch, step, batch, numbers)
            logged = last or (step + 1) % self.recipe.train.log_every == 0
            # waits for the device, which is part of the step
            values = read(numbers) if logged else {}
            clock.step_done()
            self.sign(f"epoch {epoch + 1}, step {step + 1} of {num_steps}")
            self.log.add(losses)
            if logged:
                self.log.step(epoch * num_steps + step, values, rate, clock)
                if self.progress is not None:
                    self.progress(epoch, step + 1, num_steps, values["total"])
            if update and not last and self.saved.is_due((step + 1) // accumulate):
                self.watch.look()
                spent = time.perf_counter() - started
                state = state_within(self.learner, self.updates, self.log, self.world, spent)
                self.saved.save(epoch, step + 1, state)
            clock.log_written()
        self.watch.look()
        return self.log.mean_losses(), time.perf_counter() - started, clock.waiting


def _evaluate(network: Network, evaluator: Evaluator, world: World, epoch: int, sign: Sign) -> Evaluation:
    """Scores on the validation split, the same on every worker."""
    world.share_buffers(network)

    def evaluated(done: int, total: int) -> None:
        sign(f"epoch {epoch + 1}, evaluation of {done} of {total}")

    return evaluator.score(evaluator.predict(network, world, evaluated))
