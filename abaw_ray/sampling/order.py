"""The order of samples: a pure function of (seed, epoch, set, position).

A step takes `batch_size` samples of every set: with replacement and by weight (`SampleOrder`), or each once an epoch
(`ShuffledOrder`, the reference's windows). Sample number i of an epoch takes its randomness from block i of a
counter-based generator, so that any part of any step is drawn without what precedes it, and the number of workers
changes nothing.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from abaw_ray.errors import ConfigurationError

_LANES = 4  # 64-bit numbers in one block of Philox


class Samples(NamedTuple):
    """Samples of one set: rows (n,) int64 into the set, uniforms (n, num) float64 in [0, 1)."""

    rows: np.ndarray
    uniforms: np.ndarray


class Order(ABC):
    """The samples of every step of every epoch.

    A set's samples depend on its name, its rows, the seed and the batch size, never on the other sets.

    Args:
        sizes: set -> number of its rows.
        batch_size: samples of each set in a step, over all workers together.
        seed: of all randomness.
        unit: what a row is, and the setting that `batch_size` came from; for messages.
    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int, seed: int, unit: tuple[str, str]) -> None:
        self._sizes, self._batch_size, self._seed, self._unit = dict(sizes), batch_size, seed, unit

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """Steps in an epoch."""

    @abstractmethod
    def _rows(self, epoch: int, start: int, name: str, bits: np.ndarray) -> np.ndarray:
        """Rows (n,) of samples `start`, `start` + 1, ... of a set's epoch, from random bits (n,) uint64 of each."""

    def batch(self, epoch: int, step: int) -> dict[str, np.ndarray]:
        """The global batch of a step: set -> (batch_size,) int64 rows of the set."""
        return {name: samples.rows for name, samples in self.shard(epoch, step, 0, 1).items()}

    def uniforms(self, epoch: int, step: int, name: str, num: int) -> np.ndarray:
        """Random numbers of the samples of set `name` in a global batch: (batch_size, num) in [0, 1).

        They are independent of the rows drawn, and multiples of 2^-24, so that they stay below 1 as float32. A column
        does not depend on `num`.
        """
        return self._draw(epoch, step * self._batch_size, self._batch_size, name, num).uniforms

    def shard(self, epoch: int, step: int, rank: int, world_size: int, num_uniforms: int = 0) -> dict[str, Samples]:
        """One worker's part of a step: the `rank`-th of `world_size` equal slices of `batch` and `uniforms`.

        Raises:
            ConfigurationError: the workers cannot share a batch equally.
        """
        size, rest = divmod(self._batch_size, world_size)
        if rest:
            unit, setting = self._unit
            raise ConfigurationError(
                f"a batch of {self._batch_size} {unit} cannot be shared equally by {world_size} workers;"
                f" make {setting} a multiple of {world_size}"
            )
        start = step * self._batch_size + rank * size
        return {name: self._draw(epoch, start, size, name, num_uniforms) for name in self._sizes}

    def _draw(self, epoch: int, start: int, count: int, name: str, num_uniforms: int) -> Samples:
        """Samples number `start` to `start + count` of a set's epoch."""
        num_blocks = -(-(1 + num_uniforms) // _LANES)
        parts = [self._random_bits(epoch, start, count, name, block) for block in range(num_blocks)]
        bits = np.concatenate(parts, axis=1)
        rows = self._rows(epoch, start, name, bits[:, 0])
        return Samples(rows, (bits[:, 1 : 1 + num_uniforms] >> np.uint64(40)) * 2.0**-24)

    def _random_bits(self, epoch: int, start: int, count: int, name: str, block: int | str) -> np.ndarray:
        """(count, 4) uint64, row by row a function of (seed, set, epoch, block, number of the sample)."""
        stream = f"{self._seed}/{name}/{epoch}/{block}".encode()
        key = np.frombuffer(hashlib.blake2b(stream, digest_size=16).digest(), dtype="<u8")
        generator = np.random.Philox(key=key, counter=start)
        return generator.random_raw(count * _LANES).reshape(count, _LANES)

    def _whole_batches(self, remedy: str = "") -> int:
        """Whole batches of the smallest set."""
        unit, setting = self._unit
        small = [f"{name} has {size} {unit}" for name, size in self._sizes.items() if size < self._batch_size]
        if small:
            raise ConfigurationError(
                f"{', '.join(small)}, less than one batch of {self._batch_size}; make {setting} smaller{remedy}"
            )
        return min(self._sizes.values()) // self._batch_size


class SampleOrder(Order):
    """Samples with replacement, by weight.

    Args:
        weights: set -> (n,) weights of its rows, not negative; rows of weight zero are never drawn.
        batch_size: images of each set in a step, over all workers together.
        seed: of all randomness.
        steps_per_epoch: None: as many as the smallest set has whole batches.

    Raises:
        ConfigurationError: a set has no row to draw, or less than one batch while `steps_per_epoch` is None.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        batch_size: int,
        seed: int,
        steps_per_epoch: int | None = None,
    ) -> None:
        self._cumulative = {name: _cumulative(name, w) for name, w in weights.items()}
        sizes = {name: len(c) for name, c in self._cumulative.items()}
        super().__init__(sizes, batch_size, seed, ("rows", "sampling.batch_size"))
        self._num_steps = steps_per_epoch or self._whole_batches(" or set sampling.steps_per_epoch")

    @property
    def num_steps(self) -> int:
        return self._num_steps

    def _rows(self, epoch: int, start: int, name: str, bits: np.ndarray) -> np.ndarray:
        cumulative = self._cumulative[name]
        points = (bits >> np.uint64(11)) * 2.0**-53 * cumulative[-1]
        # a point can round up to the total, which lies past the last row of positive weight
        points = np.minimum(points, np.nextafter(cumulative[-1], 0.0))
        return np.searchsorted(cumulative, points, side="right")


class ShuffledOrder(Order):
    """Every row once an epoch, in another order each time; what does not fill a batch is left out.

    Args:
        sizes: set -> number of its rows; an epoch ends with the smallest set.
        batch_size: windows of each set in a step, over all workers together.
        seed: of all randomness.

    Raises:
        ConfigurationError: a set has less than one batch.
    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int, seed: int) -> None:
        super().__init__(sizes, batch_size, seed, ("windows", "temporal.batch_size"))
        self._num_steps = self._whole_batches()
        self._shuffled: dict[str, tuple[int, np.ndarray]] = {}

    @property
    def num_steps(self) -> int:
        return self._num_steps

    def _rows(self, epoch: int, start: int, name: str, bits: np.ndarray) -> np.ndarray:
        if self._shuffled.get(name, (None,))[0] != epoch:
            keys = self._random_bits(epoch, 0, self._sizes[name], name, "shuffle")[:, 0]
            self._shuffled[name] = epoch, np.argsort(keys, kind="stable")
        return self._shuffled[name][1][start : start + len(bits)]


def _cumulative(name: str, weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64)
    cumulative = np.cumsum(weights)
    if not len(weights) or not np.isfinite(cumulative[-1]) or weights.min() < 0 or cumulative[-1] == 0:
        raise ConfigurationError(
            f"set {name}: found {len(weights)} rows, {np.count_nonzero(weights > 0)} of positive weight;"
            " expected finite weights, none negative, at least one positive"
        )
    return cumulative
