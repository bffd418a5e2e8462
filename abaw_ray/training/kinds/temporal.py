"""Training of a temporal network over the features of a CNN."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import ComputedFeatures, FeatureSource
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import frame_shapes
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork, build
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import stored_outputs
from abaw_ray.training.windows import WindowData


class TemporalKind:
    """A network over windows of the store's videos: see `Kind`.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such features, CNN or outputs of a teacher; one that does
            not fit the others; no window to train on.
    """

    name: checkpoint.Kind = "temporal"
    makes_views = False
    shapes: Mapping[str, Shape] = {}

    def __init__(self, job: Job, store: Store, device: torch.device) -> None:
        self._recipe, self._store = job.recipe, store
        self._cnn, self.source = _frozen(job, store, device)
        self.cnn_sha256 = self._cnn.weights_sha256()
        outputs = stored_outputs(job, store, self.name)
        tasks = self._cnn.description.tasks
        self.data = WindowData(store, self.source, tasks, job.recipe, distils=bool(job.teachers), outputs=outputs)

    def network(self) -> TemporalNetwork:
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        recipe = self._recipe.model_copy(update={"model": self._recipe.model.without_weights()})
        network = build(recipe, outputs, frame_shapes(self._store.image_size))
        network.cnn.load_state_dict(self._cnn.tensors(outputs))
        return network

    def try_step(self, network: Network, num_workers: int) -> None:
        """Its network takes any step."""


def _frozen(job: Job, store: Store, device: torch.device) -> tuple[Checkpoint, FeatureSource]:
    """The CNN that the network goes on from, and where its features come from."""
    source: FeatureSource
    if job.features is not None:
        source = FeatureStore(job.features, store)
        cnn = checkpoint.load(source.cnn)
    else:
        assert job.cnn is not None, "a temporal job has one of the two"
        cnn = checkpoint.load(job.cnn)
        cnn.require(store)
        source = ComputedFeatures(store, cnn.cnn(device), job.recipe)
    if cnn.inherited_by(job.recipe) != job.recipe:
        raise ConfigurationError(f"the sections tasks, model and augment must be those of the CNN, {cnn.path}")
    return cnn, source
