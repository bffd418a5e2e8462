"""Settings on the command line that change nothing there, which are warned of. Recipe files serve many commands."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from abaw_ray.settings import is_within

if TYPE_CHECKING:
    from abaw_ray.config import Recipe
    from abaw_ray.training.job import Job

logger = logging.getLogger(__name__)

PREDICTING = ("train.precision", "train.evaluation_batch_size")
ANSWERING = ("model", "augment", "temporal.databases", "temporal.window", *PREDICTING)
EVALUATING = (*ANSWERING, "train.test_views")

USED: dict[str, tuple[str, ...]] = {
    "generate": ("seed",),
    "inspect": ("prepare.databases",),
    "inspect-views": ("augment", "sampling", "tasks", "loss.label_sets", "seed"),
    "prepare": ("prepare", "seed"),
    "teacher-outputs": ("augment", "sampling.sets", "temporal.databases", *PREDICTING),
    "features": ("model", "augment", "temporal.databases", *PREDICTING),
    "label": ANSWERING,
    "review": ANSWERING,
    "evaluate": EVALUATING,
    "predict-set": EVALUATING,
}
"""Command -> the settings that it uses, by section or dotted key."""

DISTILLING = (
    "teacher",
    "teacher_maps",
    "kd",
    "temperature",
    "temperature_squared",
    "hard_weight",
    "shared_annotations",
    "shared_weighting",
)
"""Settings of the section `loss` that a teacher's objective does not have."""


def keys_of(overrides: Iterable[str] | None) -> list[str]:
    """Dotted keys of overrides as `train.epochs=5`."""
    return [override.partition("=")[0].strip() for override in overrides or ()]


def unused_by(command: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` that a command in `USED` does not use."""
    used = (*USED[command], "plugins")
    return [key for key in keys if not is_within(key, used) and not any(is_within(name, (key,)) for name in used)]


def unused_in(job: Job, keys: Iterable[str]) -> list[str]:
    """Those of `keys` that a training does not use."""
    from abaw_ray.config import Operation
    from abaw_ray.config.augment import SOUND_OPERATIONS
    from abaw_ray.tasks import nuisance_settings

    unused = ["prepare"]
    if job.is_temporal:  # whose views are zoom, crop and flip
        unused += ["sampling", "augment.views", "train.layer_decay"]
        unused += [f"augment.{name}" for name, value in job.recipe.augment if isinstance(value, Operation)]
        unused += [f"tasks.{name}.nuisance" for name in nuisance_settings(job.recipe.tasks)]
    else:
        unused.append("temporal")
    if not job.recipe.model.encoders:
        unused += ["model.fusion", "model.modality_dropout"]
    if not job.teachers:
        unused += [f"loss.{name}" for name in DISTILLING]
    if not job.is_temporal and not job.recipe.model.encoders:  # faces alone
        unused += [f"augment.{name}" for name in SOUND_OPERATIONS]
    if job.is_temporal or job.recipe.augment.views is None:
        unused.append("augment.views_seed")
    unused += _unused_of_optim(job.recipe)
    return [key for key in keys if is_within(key, unused)]


def _unused_of_optim(recipe: Recipe) -> list[str]:
    """Settings that its optimiser and its schedule do not have."""
    from abaw_ray.training.optimizers import uses_betas

    unused = []
    if not uses_betas(recipe.optim.optimizer):
        unused.append("train.betas")
    if not recipe.train.weight_decay:
        unused.append("optim.decay")
    schedule = recipe.optim.schedule
    if not recipe.optim.warmup_epochs:
        unused.append("optim.warmup_start")
    if schedule not in ("cosine", "plateau"):
        unused.append("optim.min_rate")
    if schedule not in ("step", "plateau"):
        unused += ["optim.decay_epochs", "optim.decay_rate"]
    return unused


def warn_of(unused: Iterable[str], what: str) -> None:
    """A line for every setting that `what` does not use."""
    for key in unused:
        logger.warning("%s changes nothing: %s does not use it", key, what)
