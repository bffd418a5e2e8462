"""The order of samples: a pure function of (seed, epoch, set, position), which workers only slice."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from abaw_ray.errors import ConfigurationError

_DRAWS_PER_COUNTER = 4  # Philox4x64 gives four doubles a counter value


class Samples(NamedTuple):
    """A part of one set's batch: rows of the set (n,) int64, and random numbers (n, k) float64 in [0, 1)."""

    rows: np.ndarray
    uniforms: np.ndarray


class SampleOrder:
    """Which rows of each set make up each step, drawn with replacement by weight, equal parts of every set.

    Args:
        weights: set -> (rows,) weights >= 0.
        batch_size: rows of each set in a step, over all workers together.
        seed: of everything drawn here.
        steps_per_epoch: None: the smallest set's rows divided by the batch size.

    Raises:
        ConfigurationError: a set smaller than a batch, and no number of steps given.
    """

    def __init__(
        self, weights: Mapping[str, np.ndarray], batch_size: int, seed: int, steps_per_epoch: int | None = None
    ) -> None:
        sizes = {name: len(w) for name, w in weights.items()}
        if steps_per_epoch is None and min(sizes.values()) < batch_size:
            raise ConfigurationError(
                f"sampling.batch_size {batch_size} is larger than a training set ({sizes}); make it smaller or give"
                " sampling.steps_per_epoch"
            )
        self.num_steps = steps_per_epoch or min(sizes.values()) // batch_size
        self._cumulative = {name: np.cumsum(w, dtype=np.float64) for name, w in weights.items()}
        self._batch_size, self._seed = batch_size, seed

    def batch(self, epoch: int, step: int, num_uniforms: int = 0) -> dict[str, Samples]:
        """The whole step, set by set, with `num_uniforms` random numbers for each sample (augmentation)."""
        return self.shard(epoch, step, 0, 1, num_uniforms)

    def shard(self, epoch: int, step: int, rank: int, world_size: int, num_uniforms: int = 0) -> dict[str, Samples]:
        """A worker's slice of `batch`.

        Raises:
            ConfigurationError: the workers cannot share a batch equally.
        """
        if self._batch_size % world_size:
            raise ConfigurationError(
                f"sampling.batch_size {self._batch_size} cannot be shared equally by {world_size} workers"
            )
        size = self._batch_size // world_size
        start = step * self._batch_size + rank * size
        return {name: self._samples(name, epoch, start, size, num_uniforms) for name in self._cumulative}

    def _samples(self, name: str, epoch: int, start: int, size: int, num_uniforms: int) -> Samples:
        draws = self._uniforms(name, epoch, start, size, 1 + num_uniforms)
        cumulative = self._cumulative[name]
        # side="right" never gives a row of weight zero
        rows = np.searchsorted(cumulative, draws[:, 0] * cumulative[-1], side="right")
        last = np.searchsorted(cumulative, cumulative[-1], side="left")  # rounding may reach the total
        return Samples(np.minimum(rows, last), draws[:, 1:])

    def _uniforms(self, name: str, epoch: int, start: int, size: int, width: int) -> np.ndarray:
        """Rows `start` to `start + size` of an endless table (width) of uniforms, one table a set and epoch."""
        counters = -(-width // _DRAWS_PER_COUNTER)
        # a set's name, not its place, picks its stream: another set beside it changes nothing
        key = np.random.SeedSequence([self._seed, zlib.crc32(name.encode()), epoch]).generate_state(2, np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key).advance(start * counters))
        return generator.random((size, counters * _DRAWS_PER_COUNTER))[:, :width]
