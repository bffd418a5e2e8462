"""CNNs with random weights, for benchmarks to which only their size matters, and trainings that begin."""

from __future__ import annotations

from pathlib import Path

import torch

from abaw_ray.config import Recipe
from abaw_ray.models import checkpoint
from abaw_ray.monitoring.run_log import RunLog
from abaw_ray.training.divergence import Watch
from abaw_ray.training.job import Job
from abaw_ray.training.loop import Training, new_learner
from abaw_ray.training.stage import Stage
from abaw_ray.training.step_checkpoints import StepCheckpoints
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


def make_cnn(folder: Path, recipe: Recipe, store: Path, seed: int, role: str = "teacher") -> Path:
    """A checkpoint of a CNN that was never trained, for the tasks of a store."""
    stage = Stage(Job(recipe, str(store), ""), torch.device("cpu"))
    torch.manual_seed(seed)
    network = stage.network()
    described = checkpoint.Description(
        role=role,
        epoch=0,
        spaces=tuple(task.space for task in stage.data.tasks.values()),
        image_size=stage.store.image_size,
        store_hash=stage.store.manifest.content_hash,
        stopping={},
        scores={},
        decisions={},
    )
    folder.mkdir()
    checkpoint.save(folder, network, torch.optim.Adam(network.parameters()), recipe, described)
    return folder


def new_training(job: Job, world: World) -> Training:
    """What takes a job's epochs, from its first step; its log is in the run's folder."""
    stage, run = Stage(job, world.device), Path(job.run)
    learner = new_learner(stage, job.recipe, world)
    return Training(
        learner,
        Updates(learner, job.recipe, stage.data.order.num_steps),
        stage,
        job.recipe,
        world,
        Watch(job, stage, world),
        RunLog(run, None),
        StepCheckpoints(run, job.recipe, world, stage.store.manifest.content_hash),
    )
