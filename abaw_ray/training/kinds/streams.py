"""Training of a network of encoders, a fusion and heads."""

from __future__ import annotations

import torch

from abaw_ray.errors import ConfigurationError
from abaw_ray.models import checkpoint
from abaw_ray.models.sets import Network
from abaw_ray.models.streams import MultiStreamNetwork
from abaw_ray.training.kinds.image import ImageKind


class StreamsKind(ImageKind):
    """A network over the store's streams that learns from its training sets: see `Kind`."""

    name: checkpoint.Kind = "streams"

    def try_step(self, network: Network, num_workers: int) -> None:
        """Tries two samples of all streams: forward, backward, and an evaluation of one."""
        assert isinstance(network, MultiStreamNetwork), "as `network` gives it"
        streams = {name: torch.rand(2, *shape) for name, shape in self.shapes.items()}
        present = {name: torch.ones(2, dtype=torch.bool) for name in streams}
        try:
            logits = network.train()(streams, present)
            torch.stack([values.float().mean() for values in logits.values()]).sum().backward()
            with torch.inference_mode():
                network.eval()({n: s[:1] for n, s in streams.items()}, {n: p[:1] for n, p in present.items()})
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigurationError(f"model.encoders: the network cannot take a step: {reason}") from error
