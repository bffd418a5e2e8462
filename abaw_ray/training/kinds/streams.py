"""Training of a network of encoders, a fusion and heads."""

from __future__ import annotations

import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import FACE
from abaw_ray.errors import ConfigurationError
from abaw_ray.models import checkpoint
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import NETWORKS
from abaw_ray.models.sets import Network
from abaw_ray.models.streams import MultiStreamNetwork
from abaw_ray.training.data import TrainingData
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import stored_outputs


class StreamsKind:
    """A network over the store's streams that learns from its training sets: see `Kind`.

    Raises:
        MissingInputError, StoreError, ConfigurationError: as of `ImageKind`.
    """

    name: checkpoint.Kind = "streams"
    source = None
    cnn_sha256 = None
    makes_views = True

    def __init__(self, job: Job, store: Store) -> None:
        self._recipe = job.recipe
        self._shapes: dict[str, Shape] = {FACE: (3, store.image_size, store.image_size)}
        self.data = TrainingData(store, job.recipe, stored_outputs(job, store, self.name))

    def network(self) -> Network:
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        return NETWORKS.get(self.name, "the kind of training")(self._recipe, outputs, self._shapes)

    def try_step(self, network: Network, num_workers: int) -> None:
        """Tries two samples of all streams: forward, backward, and an evaluation of one."""
        assert isinstance(network, MultiStreamNetwork), "as `network` gives it"
        streams = {name: torch.rand(2, *shape) for name, shape in self._shapes.items()}
        present = {name: torch.ones(2, dtype=torch.bool) for name in streams}
        try:
            logits = network.train()(streams, present)
            torch.stack([values.float().mean() for values in logits.values()]).sum().backward()
            with torch.inference_mode():
                network.eval()({n: s[:1] for n, s in streams.items()}, {n: p[:1] for n, p in present.items()})
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigurationError(f"model.encoders: the network cannot take a step: {reason}") from error
