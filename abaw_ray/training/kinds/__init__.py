"""Kinds of training, one file each: whose rows a step takes, and which network learns from them."""

from __future__ import annotations

import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.models.kinds import kind_of as network_kind
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import Kind
from abaw_ray.training.kinds.image import ImageKind
from abaw_ray.training.kinds.streams import StreamsKind
from abaw_ray.training.kinds.temporal import TemporalKind

OF_FRAMES = {kind.name: kind for kind in (ImageKind, StreamsKind)}
"""Kinds of training by that of their networks, of those that take frames."""


def kind_of(job: Job, store: Store, device: torch.device) -> Kind:
    """The kind that a job is of, with its data.

    Raises:
        MissingInputError, StoreError, ConfigurationError: its inputs are not there, or do not fit.
    """
    if job.is_temporal:
        return TemporalKind(job, store, device)
    return OF_FRAMES[network_kind(job.recipe.model)](job, store)
