"""Training of a CNN on images."""

from __future__ import annotations

from abaw_ray.blocks.reader import Store
from abaw_ray.models import checkpoint
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.kinds import NETWORKS, frame_shapes
from abaw_ray.models.sets import Network
from abaw_ray.training.data import TrainingData
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import stored_outputs
from abaw_ray.training.trial_step import check_step


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
        self._recipe, self._store, self._shapes = job.recipe, store, frame_shapes(store.image_size)
        self.data = TrainingData(store, job.recipe, stored_outputs(job, store, self.name))

    def network(self) -> Network:
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        return NETWORKS.get(self.name, "the kind of training")(self._recipe, outputs, self._shapes)

    def try_step(self, network: Network, num_workers: int) -> None:
        assert isinstance(network, MultiTaskCNN), "as `network` gives it"
        check_step(network, self._recipe, self._store.image_size, len(self.data.set_tasks), num_workers)
