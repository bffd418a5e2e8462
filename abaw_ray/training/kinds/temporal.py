"""Training of a temporal network over the features of a CNN, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import ComputedFeatures, FeatureSource, joined
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.frozen_cnns import hashes_of, inherited, require_alike
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
            not fit the others; no window to train on; features that cannot be joined.
    """

    name: checkpoint.Kind = "temporal"
    makes_views = False
    shapes: Mapping[str, Shape] = {}

    def __init__(self, job: Job, store: Store, device: torch.device) -> None:
        self._recipe, self._store = job.recipe, store
        self._cnns, self.source = _frozen(job, store, device)
        self.cnn_sha256 = hashes_of(self._cnns)
        outputs = stored_outputs(job, store, self.name)
        tasks = self._cnns[0].description.tasks
        self.data = WindowData(store, self.source, tasks, job.recipe, distils=bool(job.teachers), outputs=outputs)
        require_alike(self._cnns, self.data.tasks)

    def network(self) -> TemporalNetwork:
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        recipe = self._recipe.model_copy(update={"model": self._recipe.model.without_weights()})
        network = build(recipe, outputs, frame_shapes(self._store.image_size))
        for cnn, trained in zip(network.cnns, self._cnns, strict=True):
            cnn.load_state_dict(trained.tensors(outputs))
        return network

    def try_step(self, network: Network, num_workers: int) -> None:
        """Its network takes any step."""


def _frozen(job: Job, store: Store, device: torch.device) -> tuple[list[Checkpoint], FeatureSource]:
    """The CNNs that the network goes on from, and where their features come from."""
    source: FeatureSource
    if job.features:
        stores = [FeatureStore(place, store) for place in job.features]
        _require_variants(stores)
        cnns, source = [checkpoint.load(of_cnn.cnn) for of_cnn in stores], joined(stores)
    else:
        assert job.cnn is not None, "a temporal job has one of the two"
        cnns = [checkpoint.load(job.cnn)]
        cnns[0].require(store)
        source = ComputedFeatures(store, cnns[0].cnn(device), job.recipe)
    if inherited(cnns, job.recipe) != job.recipe:
        others = ", ".join(str(cnn.path) for cnn in cnns[1:])
        raise ConfigurationError(
            f"the sections tasks, model and augment must be those of the CNN, {cnns[0].path}"
            + (f", and temporal.joined must be of {others}" if others else "")
        )
    return cnns, source


def _require_variants(stores: Sequence[FeatureStore]) -> None:
    """Checks that all have every variant of training frames, or all the evaluation view alone."""
    of_all = [str(store.path) for store in stores if store.manifest.all_variants]
    of_one = [str(store.path) for store in stores if not store.manifest.all_variants]
    if of_all and of_one:
        raise ConfigurationError(
            f"--features: found all variants of training frames in {', '.join(of_all)}, the evaluation view alone in"
            f" {', '.join(of_one)}; expected the same in all, see `abaw-ray features --variants`"
        )
