"""What a kind of training is, and what all have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import FeatureSource
from abaw_ray.models import checkpoint
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import of_frames
from abaw_ray.models.sets import Network
from abaw_ray.sampling.order import Order
from abaw_ray.tasks.base import Task
from abaw_ray.training.data import SetBatch
from abaw_ray.training.job import Job
from abaw_ray.training.labels import TrainLabels
from abaw_ray.training.nuisances import TrainedNuisance
from abaw_ray.training.windows import WindowBatch
from abaw_ray.world import World

Batch = Mapping[str, SetBatch | WindowBatch]
"""Source set -> its part of a step."""


class Data(Protocol):
    """The training sets of a store and the order of their samples.

    Attributes:
        set_tasks: source set -> the tasks it is made for.
        tasks: the tasks that some set is made for, in the order of the store's spaces.
        order: which rows make up each step, where every node has the whole store.
        images_per_step: over all sets and workers.
        labels: that are learned from.
        num_unlabelled: source set -> rows that none of the annotators of `loss.label_sets` labelled.
        num_without_streams: source set -> rows left out, which have nothing of what a network takes.
        lacking: stream -> rows of the sets that do not have it.
        nuisances: what is learned of every set's rows beside the tasks, by name.
    """

    set_tasks: dict[str, tuple[str, ...]]
    tasks: dict[str, Task]
    images_per_step: int
    labels: TrainLabels
    num_unlabelled: dict[str, int]
    num_without_streams: dict[str, int]
    lacking: dict[str, int]
    nuisances: dict[str, TrainedNuisance]

    @property
    def order(self) -> Order: ...

    def batch(self, epoch: int, step: int, world: World) -> Batch:
        """This worker's part of a step, set by set."""
        ...

    def rows(self, epoch: int, step: int, world: World) -> dict[str, np.ndarray]:
        """Rows (n,) of the store in this worker's part of a step, set by set."""
        ...

    def blocks(self, epoch: int, world: World) -> np.ndarray | None:
        """Blocks (k,), ascending, that this worker's node reads in an epoch; None: those of all sets."""
        ...

    def verify(self) -> None:
        """Recomputes the hashes of the files that batches are read from.

        Raises:
            StoreError: one is damaged.
        """
        ...


class Kind(Protocol):
    """A kind of training.

    Attributes:
        name: of its networks, as in `checkpoint.Description`.
        data: what it learns from.
        source: of the features that its networks take; None: they take images.
        cnn_sha256: of a temporal network's CNN, or of several in the order of their features.
        makes_views: whether a CPU spends a step's time on its batches.
        shapes: stream -> shape of one sample, of those that its networks take; none: they take features.
    """

    @property
    def name(self) -> checkpoint.Kind: ...
    @property
    def data(self) -> Data: ...
    @property
    def source(self) -> FeatureSource | None: ...
    @property
    def cnn_sha256(self) -> str | tuple[str, ...] | None: ...
    @property
    def makes_views(self) -> bool: ...
    @property
    def shapes(self) -> Mapping[str, Shape]: ...

    def network(self) -> Network:
        """The network to train, with its first weights."""
        ...

    def try_step(self, network: Network, num_workers: int) -> None:
        """Refuses a network that cannot take a step with a worker's part of it.

        Raises:
            ConfigurationError: it cannot.
        """
        ...


def stored_outputs(job: Job, store: Store, kind: checkpoint.Kind) -> TeacherOutputs | None:
    """The teachers' outputs that a job names.

    Raises:
        ConfigurationError: they are of other teachers, or for students of another kind.
    """
    if job.teacher_outputs is None:
        return None
    outputs = TeacherOutputs(job.teacher_outputs, store)
    teachers = tuple(checkpoint.load(teacher).weights_sha256() for teacher in job.teachers)
    if outputs.manifest.teachers != teachers:
        raise ConfigurationError(f"{outputs.path}: outputs of other teachers than {', '.join(job.teachers) or 'none'}")
    if of_frames(outputs.manifest.kind) != of_frames(kind):
        raise ConfigurationError(
            f"{outputs.path}: found outputs of teachers of kind {outputs.manifest.kind}, expected some for a student of"
            f" kind {kind}"
        )
    return outputs
