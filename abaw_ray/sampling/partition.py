"""A node's part of every epoch where each has only some blocks of the store (`sampling.placement=partition`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from abaw_ray.sampling.order import SampleOrder, Samples
from abaw_ray.sampling.placement import Masses, deal, draw_masses

NUM_KEPT = 2  # shares: of the epoch that is trained, and of the next one, whose blocks are fetched meanwhile


@dataclass(frozen=True)
class SetRows:
    """Rows of a training set.

    Args:
        blocks: (n,) block of each row.
        groups: (n,) balance group of each row.
        weights: (groups,) balance weight of the rows of each group.
    """

    blocks: np.ndarray
    groups: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, blocks: np.ndarray, groups: np.ndarray, row_weights: np.ndarray) -> SetRows:
        """A set from the balance weight (n,) of each row, the same in all rows of a group."""
        weights = np.zeros(int(groups.max()) + 1)
        weights[groups] = row_weights
        return cls(blocks, groups, weights)

    def masses(self) -> Masses:
        """Weight of the groups in the blocks."""
        num_groups = len(self.weights)
        places, counts = np.unique(self.blocks * np.int64(num_groups) + self.groups, return_counts=True)
        blocks, groups = np.divmod(places, num_groups)
        values = counts * self.weights[groups]
        return Masses(blocks[values > 0], groups[values > 0], values[values > 0])


@dataclass(frozen=True)
class Share:
    """What one node reads in an epoch, and in which order.

    Args:
        blocks: (k,) int64, ascending.
        rows: set -> (n,) int64 rows of the set that are in these blocks.
        order: of places in `rows`.
        epoch: number of the epoch.
    """

    blocks: np.ndarray
    rows: dict[str, np.ndarray]
    order: SampleOrder
    epoch: int

    def shard(self, step: int, rank: int, world_size: int, num_uniforms: int = 0) -> dict[str, Samples]:
        """As `Order.shard`, for a worker of this node."""
        shard = self.order.shard(self.epoch, step, rank, world_size, num_uniforms)
        return {name: samples._replace(rows=self.rows[name][samples.rows]) for name, samples in shard.items()}


class Partition:
    """The nodes' shares of all epochs.

    Blocks are dealt anew every epoch. A node draws its part of a batch from its own blocks, so that all nodes together
    draw each balance group as often as if each had everything (see `draw_masses`), and the rows of a group that are on
    a node equally often. The number of workers of a node changes nothing but the size of its part.

    Args:
        sets: by name.
        num_rows: (blocks,) of every block of the store.
        batch_size, seed, num_steps: as of `SampleOrder`.
    """

    def __init__(
        self, sets: Mapping[str, SetRows], num_rows: np.ndarray, batch_size: int, seed: int, num_steps: int
    ) -> None:
        self._sets, self._num_rows = dict(sets), num_rows
        self._masses = {name: s.masses() for name, s in sets.items()}
        self._batch_size, self._seed, self._num_steps = batch_size, seed, num_steps
        self.share = lru_cache(NUM_KEPT)(self._share)
        """(epoch, node of each worker, node) -> its share; ConfigurationError as of `deal`."""

    def _share(self, epoch: int, worker_nodes: tuple[int, ...], node: int) -> Share:
        workers = np.bincount(worker_nodes).tolist()
        nodes = deal(self._masses, self._num_rows, workers, self._seed, epoch)
        rows = {name: np.flatnonzero(nodes[s.blocks] == node) for name, s in self._sets.items()}
        weights = {}
        for name, s in self._sets.items():
            groups = s.groups[rows[name]]
            drawn = draw_masses(self._masses[name], nodes, workers)[node]
            weights[name] = drawn[groups] / np.bincount(groups)[groups]
        order = SampleOrder(weights, self._batch_size, self._seed, self._num_steps)
        return Share(np.flatnonzero(nodes == node), rows, order, epoch)
