"""Generations of ensembles: members side by side, what the kept ones say together, and the next, which learn from it.

The scheme is that of Deng, Wu & Shi, "Iterative Distillation for Better Uncertainty Estimates in Multitask Emotion
Recognition", ICCVW 2021.

plan.json                            what is trained
generation-<g>/member-<k>/           a run (see `training.trainer`)
generation-<g>/evaluation/           of each member and of the ensemble, on validation (see `evaluation.evaluate`)
generation-<g>/soft-labels-<hash>/   what the kept members say (see `blocks.teacher_outputs`), for the next generation
generations.json, generations.md     the table

All of these but logs and times are functions of the plan and the store: what is missing is made again as it was.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import torch

from abaw_ray.blocks.files import read_json, write_json, write_text
from abaw_ray.console import progress_bar
from abaw_ray.errors import ConfigurationError
from abaw_ray.generations.choice import is_over, kept_members
from abaw_ray.generations.members import Member, evaluated, train_member
from abaw_ray.generations.plan import PLAN, Plan, Taught, differences
from abaw_ray.generations.summary import Generation, markdown, summary
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.ray_session import ray_session
from abaw_ray.side_by_side import side_by_side
from abaw_ray.teachers.stored import StoredTeacher
from abaw_ray.training.resources import check_room, room
from abaw_ray.training.stage import Stage

logger = logging.getLogger(__name__)

TABLE, TEXT = "generations.json", "generations.md"
REPLACE = "--fresh replaces the generations"


def run_generations(plan: Plan, fresh: bool = False) -> dict[str, Any]:
    """Trains generation after generation, until there are as many as wanted or, where the plan says that it stops
    then, the last was no better (see `choice`).

    What is finished is not done again: members, soft labels, evaluations; a member that was cut off goes on from its
    last epoch. Members of a generation are trained side by side, as many as the cluster has room for.

    Args:
        plan: what to do.
        fresh: remove earlier generations from the plan's folder first.

    Returns:
        The contents of `generations.json`: see `summary.summary`.

    Raises:
        ConfigurationError: the folder holds other generations or something else, another process writes to it, a job
            cannot run, images have no number of views, or a member's run is another's.
        MissingInputError, StoreError, StorageError: as of `training.trainer.fit`.
        UserError: of a member; those that ran beside it came to their end.
    """
    store_hash = _check(plan)
    with OwnedFolder(plan.out, "a folder of generations", (PLAN,)).held(fresh):
        _begin(plan, store_hash)
        with ray_session():
            check_room(plan.resources)
            return _run(plan)


def _run(plan: Plan) -> dict[str, Any]:
    found: list[Generation] = []
    values: dict[str, Any] = {}
    for number in range(plan.num_generations):
        taught = _teach(plan, found[-1], number - 1) if found else None
        found.append(_train(plan, number, taught))
        values = summary(plan, found)
        write_json(plan.out / TABLE, values)
        write_text(plan.out / TEXT, markdown(values))
        if plan.stops and is_over([generation.joint for generation in found]):
            break
    return values


def _train(plan: Plan, number: int, taught: Taught | None) -> Generation:
    """Trains and evaluates a generation."""
    arguments = [(plan, number, member, taught) for member in range(plan.num_members)]
    members: list[Member] = side_by_side(train_member, arguments, room(plan.resources))
    kept = kept_members([member.criterion for member in members], plan.num_kept)
    with progress_bar(f"evaluating generation {number}") as progress:
        runs = [members[member].run for member in kept]
        ensemble = evaluated(plan, runs, plan.evaluation(number, None), plan.uncertainty, progress)
    return Generation(tuple(members), tuple(kept), ensemble)


def _teach(plan: Plan, generation: Generation, number: int) -> Taught:
    """What the kept members of a generation say together, stored once.

    Its folder is named by their weights: members that learn from others than they did are not taken for finished.
    """
    runs = [generation.members[member].run for member in generation.kept]
    hashes = " ".join(checkpoint.load(run).weights_sha256() for run in runs)
    folder = plan.folder(number) / f"soft-labels-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"
    first = plan.jobs[0]
    with progress_bar(f"asking generation {number}") as progress:
        compute_teacher_outputs(runs, first.store, folder, first.recipe, plan.resources.use_gpu, progress)
    return Taught(tuple(runs), str(folder))


def _check(plan: Plan) -> str:
    """Refuses what can be known to fail before anything is trained, as a loss that students would not have enough for.

    Returns:
        Hash of the store's contents.
    """
    for member, job in enumerate(plan.jobs):
        if not job.is_temporal and job.recipe.augment.views is None:
            raise ConfigurationError("augment.views: found no number; soft labels are stored for a number of views")
        stage = Stage(plan.job(0, member), torch.device("cpu"))
        stage.check(plan.resources.num_workers)
        if plan.num_generations > 1:
            with torch.random.fork_rng(devices=[]):
                stage.objective(stage.network(), StoredTeacher())
    return stage.store.manifest.content_hash


def _begin(plan: Plan, store_hash: str) -> None:
    """Makes the folder that of these generations, or refuses."""
    file, settings = plan.out / PLAN, plan.settings(store_hash)
    if file.is_file():
        changed = differences(read_json(file, REPLACE), settings)
        if changed:
            raise ConfigurationError(
                f"{plan.out} holds generations that differ in {', '.join(changed)}; choose another folder, the same"
                " settings to continue them, or --fresh to replace them"
            )
        logger.warning("going on with the generations in %s", plan.out)
    else:
        write_json(file, settings)
