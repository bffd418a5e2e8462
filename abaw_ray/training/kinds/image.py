"""Training of a CNN on images."""

from __future__ import annotations

from collections.abc import Sequence

from abaw_ray.blocks.reader import Store
from abaw_ray.models import checkpoint
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.kinds import NETWORKS, streams_of
from abaw_ray.models.sets import Network
from abaw_ray.training.data import TrainingData
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import stored_outputs
from abaw_ray.training.trial_step import check_step
from abaw_ray.view_sizes import view_size


class ImageKind:
    """A CNN that learns from the store's training sets: see `Kind`.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such outputs of a teacher, or others than the job's; a
            store without training rows.
    """

    name: checkpoint.Kind = "cnn"
    source = None
    cnn_sha256 = None
    makes_views = True

    def __init__(self, job: Job, store: Store) -> None:
        self._recipe, self._store = job.recipe, store
        self.shapes = store.shapes(streams_of(job.recipe.model), "model.encoders")
        outputs = stored_outputs(job, store, self.name)
        teachers = _teachers_streams(job, store)
        asked = [] if outputs is not None else [name for streams in teachers for name in streams]
        streams = list(dict.fromkeys([*self.shapes, *asked]))
        self.data = TrainingData(store, job.recipe, outputs, streams, [list(self.shapes), *teachers])

    def network(self) -> Network:
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        return NETWORKS.get(self.name, "the kind of training")(self._recipe, outputs, self.shapes)

    def try_step(self, network: Network, num_workers: int) -> None:
        assert isinstance(network, MultiTaskCNN), "as `network` gives it"
        side = view_size(self._store.image_size, self._recipe.augment)
        check_step(network, self._recipe, side, len(self.data.set_tasks), num_workers)


def _teachers_streams(job: Job, store: Store) -> list[Sequence[str]]:
    """Streams that each of the teachers of a job takes, which the student may do without."""
    teachers = [checkpoint.load(teacher) for teacher in job.teachers]
    for teacher in teachers:
        teacher.require_streams(store)
    return [streams_of(teacher.recipe.model) for teacher in teachers]
