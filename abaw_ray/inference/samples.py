"""What networks of frames take: the streams of rows as a store keeps them, and their views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation.mixing import Mixing
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig
from abaw_ray.models.sets import Streams
from abaw_ray.streams.base import FACE
from abaw_ray.streams.kind import Kind


@dataclass(frozen=True)
class FrameSamples:
    """Streams of rows.

    Args:
        kept: stream -> (n, ...) as the store keeps them; zeros where they are missing.
        present: stream -> (n,) bool.
        kinds: stream -> its kind.
    """

    kept: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    kinds: Mapping[str, Kind]

    @staticmethod
    def read(store: Store, streams: Iterable[str], rows: np.ndarray) -> FrameSamples:
        """The streams of rows (n,) of a store's index.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        kept, present, kinds = {}, {}, {}
        for name in streams:
            samples, there = store.samples(name, rows)
            kept[name], present[name] = torch.from_numpy(samples), torch.from_numpy(there)
            kinds[name] = store.kind_of(name)
        return FrameSamples(kept, present, kinds)

    def map(self, f: Callable[[Tensor], Tensor]) -> FrameSamples:
        """With `f` of every tensor."""
        kept = {name: f(samples) for name, samples in self.kept.items()}
        return FrameSamples(kept, {name: f(there) for name, there in self.present.items()}, self.kinds)

    def to(self, device: torch.device) -> FrameSamples:
        """On a device."""
        return self.map(lambda t: t.to(device, non_blocking=True))

    def random_views(self, uniforms: Tensor, config: AugmentConfig, mixing: Mixing | None = None) -> Streams:
        """Augmented samples.

        Args:
            uniforms: (n, `augmentation.draws.num_uniforms(config)`) in [0, 1), a row's for all its streams.
            config: of augmentation.
            mixing: how pairs are mixed afterwards; None: they are not.
        """

        def view(kind: Kind, samples: Tensor, of_stream: AugmentConfig) -> Tensor:
            views = kind.random_views(samples, uniforms, of_stream)
            return mixing.samples(views) if mixing is not None else views

        return self._views(config, view)

    def centre_views(self, config: AugmentConfig) -> Streams:
        """The evaluation views."""
        return self.evaluation_views(0, config)

    def evaluation_views(self, number: int, config: AugmentConfig) -> Streams:
        """As `centre_views`, of one of the views that are averaged over; see `augmentation.evaluation_views`."""
        return self._views(config, lambda kind, samples, of_stream: kind.evaluation_views(samples, number, of_stream))

    def _views(self, config: AugmentConfig, view: Callable[[Kind, Tensor, AugmentConfig], Tensor]) -> Streams:
        of_others = config if config.crop is None else config.model_copy(update={"crop": None})  # pixels of the face
        views = {
            name: view(self.kinds[name], samples, config if name == FACE else of_others)
            for name, samples in self.kept.items()
        }
        return Streams({name: _laid_out(samples) for name, samples in views.items()}, self.present)


def _laid_out(samples: Tensor) -> Tensor:
    """Images in the memory layout that convolutions are fastest in."""
    return samples.contiguous(memory_format=torch.channels_last) if samples.dim() == 4 else samples
