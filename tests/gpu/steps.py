"""Learners on a device, and steps of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from abaw_ray.config import Recipe
from abaw_ray.monitoring.run_log import named_losses, read
from abaw_ray.teachers.stored import StoredTeacher
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.stage import Stage
from abaw_ray.training.step import Learner
from abaw_ray.world import World

CPU = torch.device("cpu")


def changed(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    """The recipe with values of some sections replaced."""
    values = {name: getattr(recipe, name).model_copy(update=changes) for name, changes in sections.items()}
    return recipe.model_copy(update=values)


def learner_on(device: torch.device, job: Job, stored: bool = False) -> tuple[Stage, Learner]:
    """A job's learner with the same first weights on every device; `stored`: its teacher's outputs come in batches."""
    stage = Stage(job, device)
    torch.manual_seed(0)
    network, teacher = stage.network(), StoredTeacher() if stored else stage.teacher(device)
    objective, added = stage.objective(network, teacher), stage.added_objectives(network)
    learner = Learner(network, teacher, objective, added, job.recipe, World(device=device))
    learner.network.train()
    return stage, learner


def batches(stage: Stage, recipe: Recipe, count: int) -> list[Batch]:
    """Batches whose views were made on the CPU, so that they are the same on every device."""
    made = [stage.data.batch(0, step, World()) for step in range(count)]
    return [{name: part.prepared_for(CPU, recipe.augment) for name, part in batch.items()} for batch in made]


def losses_of(learner: Learner, steps: Iterable[Batch], device: torch.device) -> list[dict[str, float]]:
    """The losses and the gradient's norm of steps on a device."""
    found = []
    for batch in steps:
        loss, norm = learner.step({name: part.to(device) for name, part in batch.items()}, True, 1)
        assert norm is not None
        found.append(read(named_losses(loss) | {"norm": norm}))
    return found


def job_of(kind: str, recipe: Recipe, store: Path, cnn: Path, other_cnn: Path) -> Job:
    job = Job(recipe, str(store), "")
    if kind == "windows":
        return replace(job, cnn=str(cnn))
    if kind == "student of an ensemble":
        return replace(job, teachers=(str(cnn), str(other_cnn)))
    return replace(job, teachers=(str(cnn),)) if "student" in kind else job
