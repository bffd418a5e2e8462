"""Which node has which blocks of a store in an epoch: a pure function of (seed, epoch, workers of each node)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from abaw_ray.errors import ConfigurationError

MAX_ROUNDS = 200  # of the fit of the groups' frequencies
TOLERANCE = 1e-6  # of them, relative


class Masses(NamedTuple):
    """Weight of the balance groups of a set in the blocks: entries (k,) of block, group and a positive weight."""

    blocks: np.ndarray
    groups: np.ndarray
    values: np.ndarray


def deal(
    masses: Mapping[str, Masses], num_rows: np.ndarray, workers: Sequence[int], seed: int, epoch: int
) -> np.ndarray:
    """The node of each block: its weight of each set and group and its rows are near its share of the workers.

    Args:
        masses: of each set.
        num_rows: (blocks,) of every block of the store.
        workers: of each node.
        seed: of all randomness.
        epoch: number of the epoch.

    Returns:
        (blocks,) int64; -1 for blocks without a row of any set.

    Raises:
        ConfigurationError: a set cannot be dealt so that every node has some of it.
    """
    shares = np.asarray(workers, np.float64) / sum(workers)
    totals = np.stack([_totals(m, len(num_rows)) for m in masses.values()], 1)
    features, begins = _by_block(_features(masses, totals, num_rows), len(num_rows))
    missing = np.bincount(features.groups, features.values)[:, None] * shares
    nodes = np.full(len(num_rows), -1, np.int64)
    order = _shuffled(totals.sum(1), seed, epoch)

    def give(block: int, among: np.ndarray) -> None:
        own = slice(begins[block], begins[block + 1])
        columns, values = features.groups[own], features.values[own]
        gain = (2 * values @ missing[np.ix_(columns, among)] - values @ values) / shares[among]
        node = among[int(gain.argmax())]
        missing[columns, node] -= values
        nodes[block] = node

    num_blocks = np.count_nonzero(totals, axis=0)
    for s in np.argsort(num_blocks, kind="stable"):
        lacking = np.setdiff1d(np.arange(len(shares)), nodes[totals[:, s] > 0])
        for block in order[totals[order, s] > 0]:
            if not len(lacking):
                break
            if nodes[block] < 0:
                give(block, lacking)
                lacking = lacking[lacking != nodes[block]]
        if len(lacking):
            name = list(masses)[s]
            raise ConfigurationError(
                f"sampling.placement=partition: set {name} is in {num_blocks[s]} blocks, which cannot be dealt to"
                f" {len(shares)} nodes so that each has some; use fewer nodes or sampling.placement=replicate"
            )
    everyone = np.arange(len(shares))
    for block in order[nodes[order] < 0]:
        give(block, everyone)
    return nodes


def draw_masses(masses: Masses, nodes: np.ndarray, workers: Sequence[int]) -> np.ndarray:
    """How often each node draws each balance group of a set, so that all nodes together draw it as one would.

    A node that lacks a group draws none of it, and the others draw it more often. A group is at most the whole part of
    the batch of the nodes that have it: one class of seven that is in a single block, on one of 64 nodes, comes to
    1/64 of a batch, and the other groups take the rest.

    Args:
        masses: of the set.
        nodes: (blocks,) from `deal`.
        workers: of each node.

    Returns:
        (nodes, groups); a node's sum is its part of a batch.
    """
    shares = np.asarray(workers, np.float64)[:, None] / sum(workers)
    drawn = np.zeros((len(workers), masses.groups.max() + 1))
    np.add.at(drawn, (nodes[masses.blocks], masses.groups), masses.values / masses.values.sum())
    expected = drawn.sum(0)
    for _ in range(MAX_ROUNDS):
        drawn *= shares / drawn.sum(1, keepdims=True)
        found = drawn.sum(0)
        if np.allclose(found, expected, rtol=TOLERANCE, atol=0):
            break
        drawn *= np.divide(expected, found, out=np.zeros_like(found), where=found > 0)
    return drawn * (shares / drawn.sum(1, keepdims=True))


def _totals(masses: Masses, num_blocks: int) -> np.ndarray:
    """A set's part in each block (blocks,), 1 over all of them."""
    return np.bincount(masses.blocks, masses.values, num_blocks) / masses.values.sum()


def _features(masses: Mapping[str, Masses], totals: np.ndarray, num_rows: np.ndarray) -> Masses:
    """What nodes should have their share of: rows, every set, every group of every set; `groups` number these."""
    held = np.flatnonzero(totals.any(1))
    parts = [Masses(held, np.zeros(len(held), np.int64), num_rows[held] / num_rows[held].sum())]
    for total, own in zip(totals.T, masses.values(), strict=True):
        having = np.flatnonzero(total)
        parts.append(Masses(having, np.zeros(len(having), np.int64), total[having]))
        parts.append(own._replace(values=own.values / own.values.sum()))
    firsts = np.cumsum([0] + [int(part.groups.max()) + 1 for part in parts])
    columns = [part.groups + first for part, first in zip(parts, firsts[:-1], strict=True)]
    return Masses(
        np.concatenate([part.blocks for part in parts]),
        np.concatenate(columns),
        np.concatenate([part.values for part in parts]),
    )


def _by_block(masses: Masses, num_blocks: int) -> tuple[Masses, np.ndarray]:
    """The entries in the order of blocks, and where each block begins (blocks + 1,)."""
    order = np.argsort(masses.blocks, kind="stable")
    ordered = Masses(*(column[order] for column in masses))
    return ordered, np.searchsorted(ordered.blocks, np.arange(num_blocks + 1))


def _shuffled(sizes: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The blocks that hold something, heavy ones before light ones (by powers of two), else in random order."""
    key = np.frombuffer(hashlib.blake2b(f"{seed}/placement/{epoch}".encode(), digest_size=16).digest(), "<u8")
    keys = np.random.Philox(key=key).random_raw(len(sizes))
    held = np.flatnonzero(sizes)
    return held[np.lexsort((keys[held], -np.frexp(sizes[held])[1]))]
