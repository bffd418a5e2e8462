"""Ray Train around the loop: workers, process groups, checkpoints, restarts."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Queue

from abaw_ray.blocks.files import read_json, write_json, write_text
from abaw_ray.config import dump_recipe, parse_recipe
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import ConfigurationError, MissingInputError, WorkerFault
from abaw_ray.interruption import on_a_thread
from abaw_ray.models import checkpoint
from abaw_ray.monitoring.run_log import flatten
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.ray_session import ray_session
from abaw_ray.ray_watch import end_if_gone
from abaw_ray.settings import leaves_of
from abaw_ray.storage import AnyPath, as_path, remove_tree
from abaw_ray.training.failures import LOSSES, MAX_RESTARTS, classify_errors, describe_losses, failures
from abaw_ray.training.hanging import HangDetector, collective_seconds, found_hanging, reports_folder
from abaw_ray.training.job import Job, features_in
from abaw_ray.training.leftovers import free_resources
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.progress import ProgressBar, tell
from abaw_ray.training.resources import Resources, check_room
from abaw_ray.training.snapshot import CHECKPOINTS, SELECTION, check_checkpoints, selection
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

logger = logging.getLogger(__name__)

JOB_FILE = "job.json"
REPLACE = "--fresh replaces the run"
EXTENDED = ("recipe.train.epochs", "recipe.train.patience")
"""What may differ in a run that is trained for more epochs."""
CRITERION, NUM_EPOCHS = "criterion", "num_epochs"
"""Reported numbers that a sweep goes by."""

WAITING_IS_SAID = 0.1
"""Share of an epoch's time from which on it is told that its data came too late."""

RESTARTS = "restarts"
"""Reported with them once workers were lost: what `fit` said of it."""


def fit(
    job: Job,
    resources: Resources,
    fresh: bool = False,
    callbacks: list[Any] | None = None,
    one_of_many: bool = False,
    say: Callable[[str], None] = logger.warning,
    extend: bool = False,
) -> dict[str, Any]:
    """Trains on Ray and writes `run.json` into the run's folder; a run that was cut off goes on where it stopped.

    Args:
        job: what to train.
        resources: on what.
        fresh: remove an earlier run from the run's folder first.
        callbacks: of Ray Train, called with every epoch's report.
        one_of_many: of a sweep: no progress bar, and what cannot run is found out by its workers.
        say: prints a line where workers were lost.
        extend: the run in the folder, finished or not, goes on with the job's `train.epochs` and `train.patience`.

    Returns:
        The contents of `run.json`: role, best and last checkpoint (folders in the run's folder), criterion, scores,
        seconds from the start of the workers to their end.

    Raises:
        ConfigurationError: the folder holds a finished run, another run or something else, another process writes to
            it, the job cannot run, or this machine has too few CPUs or GPUs.
        StorageError: the disk is full, or cannot be written.
        StoreError: a file of the store, or of the run's checkpoints, is damaged.
        UserError: any other of a worker; it is not tried again.
        WorkerFault: a fault in a worker, or too many lost workers.
    """
    if not one_of_many:
        goes_on = not fresh and any(as_path(job.run).glob(CHECKPOINTS))
        Stage(job.going_on() if goes_on else job, torch.device("cpu")).check(resources.num_workers)
    run = as_path(job.run)
    with OwnedFolder(run, "a run", (JOB_FILE,)).held(fresh):
        _begin(run, job, extend)
        remove_tree(reports_folder(run))
        with ray_session(), _progress_bar(job, shown=not one_of_many) as bar:
            check_room(resources)
            queue = bar.queue if bar is not None else None
            started = time.perf_counter()
            summary = _run(job, resources, queue, callbacks, one_of_many, say)
            summary["seconds"] = time.perf_counter() - started
        return _finish(run, job, summary)


def finished(job: Job) -> dict[str, Any] | None:
    """The contents of `run.json` if the run's folder holds this very job, finished."""
    run = as_path(job.run)
    if not (run / checkpoint.RUN_FILE).is_file() or _differences(run, job):
        return None
    return read_json(run / checkpoint.RUN_FILE, REPLACE)


def _progress_bar(job: Job, shown: bool) -> contextlib.AbstractContextManager[ProgressBar | None]:
    return ProgressBar(job.recipe.train.epochs) if shown else contextlib.nullcontext()


def _run(
    job: Job,
    resources: Resources,
    queue: Queue | None,
    callbacks: list[Any] | None,
    one_of_many: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What the first worker returns.

    A run that loses a worker, or Ray Train's controller of them, goes on from its last checkpoint; any other error ends
    it at once.

    Raises:
        UserError: of a worker.
        WorkerFault: a fault in one, or workers were lost more than MAX_RESTARTS times.
    """
    restarts: list[str] = []
    while True:
        try:
            result: Any = on_a_thread(_trainer(job, resources, queue, callbacks, one_of_many, restarts).fit)
        except (TrainingFailedError, *LOSSES) as error:
            end_if_gone()
            free_resources()
            lost = describe_losses(failures(error))
            lost = found_hanging(reports_folder(as_path(job.run), len(restarts)), resources.num_workers) or lost
            if len(restarts) == MAX_RESTARTS:
                raise WorkerFault(f"{lost}, after {MAX_RESTARTS} restarts; the same command goes on") from None
            restarts.append(f"{lost}: restart {len(restarts) + 1} of {MAX_RESTARTS}, from the last checkpoint")
            say(restarts[-1])
        else:
            return result.return_value


def _trainer(
    job: Job,
    resources: Resources,
    queue: Queue | None,
    callbacks: list[Any] | None,
    one_of_many: bool,
    restarts: list[str],
) -> TorchTrainer:
    """A trainer that goes on with what the run's folder holds."""
    run = as_path(job.run)
    per_worker = resources.per_worker(ray.cluster_resources())
    return TorchTrainer(
        _worker,  # type: ignore[arg-type]
        train_loop_config={
            "job": to_dict(job),
            "run": job.run,
            "progress": queue,
            "num_threads": resources.cpus_per_worker,
            "restarts": restarts,
            "is_trial": one_of_many,
        },
        torch_config=TorchConfig(timeout_s=collective_seconds(job.recipe.checkpoint.hang_seconds)),
        scaling_config=ScalingConfig(
            num_workers=resources.num_workers,
            use_gpu="GPU" in per_worker,
            resources_per_worker=per_worker,
        ),
        run_config=RunConfig(
            name=run.name,
            storage_path=str(run.parent),
            checkpoint_config=CheckpointConfig(
                num_to_keep=job.recipe.checkpoint.best,
                checkpoint_score_attribute=SELECTION,
                checkpoint_score_order="max",
            ),
            # Ray would try errors again that cannot go away
            failure_config=FailureConfig(max_failures=0),
            callbacks=callbacks,
        ),
    )


def _worker(config: dict[str, Any]) -> dict[str, Any]:
    """What every worker runs."""
    return classify_errors(lambda: _train_here(config), f"worker {ray.train.get_context().get_world_rank() + 1}")


def _train_here(config: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(config["num_threads"])
    context = ray.train.get_context()
    node = ray.get_runtime_context().get_node_id()
    world = World(context.get_world_rank(), context.get_world_size(), get_device()).on_node(node)
    queue: Queue | None = config["progress"]
    job = _job_of(config["job"], config["run"])

    def report(result: EpochResult, folder: Path | None) -> None:
        metrics: dict[str, Any] = dict(
            flatten({"scores": result.scores, "loss": result.losses, CRITERION: result.criterion})
        )
        if config["restarts"]:
            metrics[RESTARTS] = "; ".join(config["restarts"])
        ray.train.report(
            metrics | {NUM_EPOCHS: result.epoch + 1, SELECTION: selection(result.epoch, result.improved)},
            checkpoint=ray.train.Checkpoint.from_directory(str(folder)) if folder is not None else None,
            checkpoint_dir_name=_checkpoint_name(result.epoch),
        )
        if world.rank == 0:
            tell(queue, "line", describe(result))

    where = f"node {node[:8]}, {ray.util.get_node_ip_address()}, {world.device}"
    tell(queue, "line", f"worker {world.rank + 1} of {world.size}: {where}")

    def progress(epoch: int, step: int, num_steps: int, loss: float) -> None:
        if world.rank == 0:
            tell(queue, "step", epoch, step, num_steps, loss)

    reports = reports_folder(as_path(job.run), len(config["restarts"]))
    detector = HangDetector(reports, job.recipe.checkpoint.hang_seconds, world.rank, world.size, where)
    # Ray Train copies checkpoints to the run's folder
    with write_errors_named(as_path(job.run)), detector:
        earlier = ray.train.get_checkpoint()
        if earlier is None:
            return train(job, world, report, progress=progress, is_trial=config["is_trial"], sign=detector.sign)
        with earlier.as_directory() as folder:
            if world.rank == 0:
                tell(queue, "line", f"going on after epoch {checkpoint.load(folder).description.epoch + 1}")
            return train(job, world, report, Path(folder), progress, config["is_trial"], detector.sign)


def describe(result: EpochResult) -> str:
    """An epoch in one line."""
    rate = result.num_images / result.seconds
    best = ", best so far" if result.improved else ""
    waiting = f", {result.waiting:.0%} of the time waiting for data" if result.waiting > WAITING_IS_SAID else ""
    return (
        f"epoch {result.epoch + 1}: loss {result.losses['total']:.4f}, criterion {result.criterion:.4f}{best},"
        f" {rate:.0f} images/s{waiting}"
    )


def _checkpoint_name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def to_dict(job: Job) -> dict[str, Any]:
    """Everything that a job depends on but its folder; one feature store by its name, several as a list."""
    inputs = {name: getattr(job, name) for name in ("store", "features", "cnn", "teacher_outputs")}
    if len(job.features) < 2:
        inputs["features"] = job.features[0] if job.features else None
    else:
        inputs["features"] = list(job.features)
    return {"recipe": job.recipe.model_dump(mode="json"), "teachers": list(job.teachers), **inputs}


def _job_of(values: dict[str, Any], run: str) -> Job:
    """The job of a run's folder that `to_dict` gave."""
    recipe = parse_recipe(values["recipe"], "the run's recipe")
    lists = {"teachers": tuple(values["teachers"]), "features": features_in(values)}
    return Job(**values | lists | {"recipe": recipe, "run": run})


def _begin(run: AnyPath, job: Job, extend: bool) -> None:
    """Makes the folder that of this job, or refuses."""
    described, result = run / JOB_FILE, run / checkpoint.RUN_FILE
    if result.is_file() and not extend:
        raise ConfigurationError(
            f"{run} holds a finished run; choose another folder, --extend to train it for more epochs, or --fresh to"
            " replace it"
        )
    if described.is_file():
        changed = [key for key in _differences(run, job) if not (extend and key in EXTENDED)]
        if changed:
            raise ConfigurationError(
                f"{run} holds a run that differs in {', '.join(changed)}; choose another folder, the same settings to"
                " continue it, or --fresh to replace it"
            )
        check_checkpoints(run)
        logger.warning("going on with the run in %s", run)
        if extend and job.recipe.optim.schedule == "cosine":
            logger.warning("optim.schedule: rates are from now on those of %d epochs", job.recipe.train.epochs)
    elif extend:
        raise MissingInputError(f"{run}: found no run, expected one that --extend goes on with")
    write_json(described, to_dict(job))  # before anything else: it makes the folder a run
    write_text(run / "recipe.yaml", dump_recipe(job.recipe))
    result.unlink(missing_ok=True)


def _differences(run: AnyPath, job: Job) -> list[str]:
    """Keys of what a run's folder holds another training of than the job; how often it is saved makes no other."""
    before, now = leaves_of(read_json(run / JOB_FILE, REPLACE)), leaves_of(to_dict(job))
    keys = [key for key, value in now.items() if key not in before or before[key] != value]
    keys += [key for key in before if key not in now]
    return [key for key in keys if not key.startswith("recipe.checkpoint.")]


def _finish(run: AnyPath, job: Job, summary: dict[str, Any]) -> dict[str, Any]:
    best = _checkpoint_name(summary["best_epoch"])
    values = {
        **summary,
        "best": best,
        "last": _checkpoint_name(summary["num_epochs"] - 1),
        **{name: value for name, value in to_dict(job).items() if name != "recipe"},
        "scores": checkpoint.load(run / best).description.scores,
    }
    write_json(run / checkpoint.RUN_FILE, values)
    return values
