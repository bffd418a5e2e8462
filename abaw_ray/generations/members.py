"""A member's training, and evaluations of members and ensembles; what is finished is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from abaw_ray.blocks.files import read_json
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.evaluation.decisions import read_decisions
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings
from abaw_ray.generations.plan import Plan, Taught
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.tasks.base import Task
from abaw_ray.training.job import inherit_settings
from abaw_ray.training.trainer import finished, fit

SCORES, UNCERTAINTY = "scores.json", "uncertainty"


@dataclass(frozen=True)
class TaskNumbers:
    """Of one task, on the validation split.

    Args:
        criterion: its part of the criterion.
        is_target: whether it counts in what models are selected by.
        nll: negative log-likelihood in nats, as `evaluation.calibration_scores`, of the frames that calibration was not
            fitted on.
        ece: expected calibration error of the same frames.
        calibrated_nll: after calibration.
        calibrated_ece: after it.
        scores: its scores that are one number, of all frames, by key (see `tasks.base.Task.scores`).
    """

    criterion: float
    is_target: bool
    nll: float
    ece: float
    calibrated_nll: float
    calibrated_ece: float
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Numbers:
    """Of a member or an ensemble.

    Args:
        criterion: what models are selected by.
        tasks: task -> its numbers; those with a label of a frame with a picture.
        auroc: task -> set of images -> measure of uncertainty -> how well it tells them from the evaluated ones (see
            `evaluation.out_of_distribution`); empty: not asked for.
    """

    criterion: float
    tasks: dict[str, TaskNumbers]
    auroc: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    @property
    def nll(self) -> float:
        """In sum over the target tasks, before calibration."""
        return sum((of_task.nll for of_task in self.tasks.values() if of_task.is_target), 0.0)


@dataclass(frozen=True)
class Member:
    """A trained member.

    Args:
        run: its folder.
        seed: that it was trained with.
        criterion: of its best epoch, on validation.
        numbers: of its evaluation.
    """

    run: str
    seed: int
    criterion: float
    numbers: Numbers


def train_member(plan: Plan, generation: int, member: int, taught: Taught | None, say: Callable[[str], None]) -> Member:
    """Trains a member and evaluates it.

    Raises:
        ConfigurationError: its folder holds a finished run of other settings or soft labels.
        UserError: as of `training.trainer.fit` and `evaluation.evaluate.evaluate`.
    """
    job, name = inherit_settings(plan.job(generation, member, taught)), f"generation {generation}, member {member}"
    result = finished(job)
    if result is None:
        if (as_path(job.run) / RUN_FILE).is_file():
            raise ConfigurationError(
                f"{job.run} holds a finished run of other settings or soft labels; remove that folder to train it again"
            )
        say(f"{name}: {job.run}")
        result = fit(job, plan.resources, one_of_many=True, say=lambda line: say(f"{name}: {line}"))
        say(f"{name}: criterion {result['best_criterion']:.4f}")
    numbers = evaluated(plan, [job.run], plan.evaluation(generation, member), plan.uncertainty)
    return Member(job.run, job.recipe.seed, result["best_criterion"], numbers)


def evaluated(
    plan: Plan,
    runs: Sequence[str],
    folder: AnyPath,
    uncertainty: UncertaintySettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Numbers:
    """The numbers of runs together on validation, from their evaluation in `folder` or a new one.

    Of runs that are asked in several passes, they are those of the passes' mean.

    Args:
        plan: whose members they are.
        runs: their folders.
        folder: of the evaluation.
        uncertainty: what is asked of it about uncertainty, too.
        progress: shows how far a new one is.
    """
    members, job = [checkpoint.load(run) for run in runs], plan.jobs[0]
    result = _earlier(members, folder, uncertainty)
    if result is None:
        features = [as_path(place) for place in job.features]
        result = evaluate(list(runs), job.store, folder, features=features, progress=progress, uncertainty=uncertainty)
    tasks = members[0].tasks(members[0].recipe)
    if uncertainty is None:
        return numbers_of(result["scores"][HEADLINE], result["calibration"], tasks)
    found = result[UNCERTAINTY]
    of_mean = found.get("mean_of_passes", {"scores": result["scores"][HEADLINE], "calibration": result["calibration"]})
    return replace(numbers_of(of_mean["scores"], of_mean["calibration"], tasks), auroc=found["auroc"])


def numbers_of(scores: Mapping[str, Any], calibrations: Mapping[str, Any], tasks: Mapping[str, Task]) -> Numbers:
    """The numbers in what `evaluate` gives.

    Args:
        scores: of one protocol.
        calibrations: by task.
        tasks: of the network.
    """
    pooled = scores[POOLED]
    found = {}
    for name, calibration in calibrations.items():
        before, after, task = calibration["before"], calibration["after"], tasks[name]
        found[name] = TaskNumbers(
            criterion=task.criterion(pooled[name]),
            is_target=task.role == "target",
            nll=before["nll"],
            ece=before["ece"],
            calibrated_nll=after["nll"],
            calibrated_ece=after["ece"],
            scores={key: value for key, value in pooled[name].items() if isinstance(value, float)},
        )
    return Numbers(pooled["criterion"], found)


def _earlier(
    members: Sequence[checkpoint.Checkpoint], folder: AnyPath, uncertainty: UncertaintySettings | None
) -> dict[str, Any] | None:
    """The evaluation in a folder, if it is one of the very weights, whole, and about what is asked."""
    try:
        read_decisions(folder, *members)  # written last
        result = read_json(folder / SCORES)
    except UserError:
        return None
    if uncertainty is not None and result.get(UNCERTAINTY, {}).get("passes", -1) != uncertainty.num_passes:
        return None
    return result
