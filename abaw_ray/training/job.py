"""What is to be trained, as it is said on the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from abaw_ray.blocks.features import CNN
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import Recipe
from abaw_ray.models import checkpoint
from abaw_ray.models.frozen_cnns import inherited
from abaw_ray.settings import replaced_settings
from abaw_ray.storage import as_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What to train.

    Args:
        recipe: configuration.
        store: folder of the store.
        run: folder of the run: logs go there.
        teachers: finished runs or checkpoints to distil from, several as one ensemble; none: trains a teacher.
        features: feature stores: trains a temporal network over the features of their CNNs, joined in this order.
        cnn: a finished run or a checkpoint of a CNN: the same, with features computed in every step.
        teacher_outputs: the teachers' outputs, computed beforehand; None: computed in every step.
    """

    recipe: Recipe
    store: str
    run: str
    teachers: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    cnn: str | None = None
    teacher_outputs: str | None = None

    @property
    def role(self) -> str:
        return "student" if self.teachers else "teacher"

    @property
    def is_temporal(self) -> bool:
        """Whether it trains a temporal network."""
        return bool(self.features) or self.cnn is not None

    def going_on(self) -> Job:
        """The job as it goes on from a checkpoint, which has all weights: without files and hubs of first ones."""
        if self.is_temporal:  # it takes its CNN's section whole, and its weights from the CNN
            return self
        return replace(self, recipe=self.recipe.model_copy(update={"model": self.recipe.model.without_weights()}))


def features_in(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The feature stores of a job in `job.json`, `run.json`: one by its name, several as a list."""
    features = values.get("features") or ()
    return (features,) if isinstance(features, str) else tuple(features)


def inherit_settings(job: Job) -> Job:
    """The job with what its inputs decide: a temporal one has the `model` and `augment` sections of its first CNN and
    the others as `temporal.joined`, a student of known outputs for views their `augment`. Settings that are replaced by
    others are warned of.

    Raises:
        MissingInputError: no such features, CNN or outputs.
    """
    if job.is_temporal:
        cnns = [as_path(place) / CNN for place in job.features] or [as_path(str(job.cnn))]
        adopted, whose = inherited([checkpoint.load(cnn) for cnn in cnns], job.recipe), "the CNN"
    elif job.teacher_outputs is not None:
        augment = TeacherManifest.read(as_path(job.teacher_outputs)).augment
        adopted, whose = job.recipe.model_copy(update={"augment": augment}), "the teacher's outputs"
    else:
        return job
    for key, (given, used) in replaced_settings(job.recipe, adopted).items():
        logger.warning("%s=%s is not used: %s was made with %s", key, given, whose, used)
    return replace(job, recipe=adopted)
