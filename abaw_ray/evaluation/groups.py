"""Which frames belong together: those of a person where the store knows who it is, else those of a video or photo.

Frames of a group are much alike, so that whoever counts on frames being independent must count groups. Other groups
are those of a name in a label space, or of the streams that rows have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.reader import Store
from abaw_ray.spaces import Split


def groups_of(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    """The group of each frame.

    Args:
        table: of `predictions.prediction_schema`, n frames.

    Returns:
        (n,) int64 place among the groups' names, and the names, sorted; those of two databases differ.
    """
    named = pc.coalesce(
        pc.binary_join_element_wise(table["database"], "person", table["subject"], "/"),
        pc.binary_join_element_wise(table["database"], "video", table["video"], "/"),
    )
    encoded = named.combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), object)
    order = np.argsort(names)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy(zero_copy_only=False)], names[order].tolist()


def first_part(names: Sequence[str]) -> np.ndarray:
    """Which of some groups (n,) are in the first of two parts, (n,) bool: every other one in the order of their hashes.

    It depends on the names alone, not on their order; with two groups or more neither part is empty.
    """
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
    order = sorted(range(len(hashes)), key=lambda place: hashes[place])
    first = np.zeros(len(names), bool)
    first[order[::2]] = True
    return first


def names_in_space(store: Store, space: str, rows: np.ndarray) -> list[str | None]:
    """Name (n,) of the class of each row of a store in a multiclass space; None: no label, or no row (-1)."""
    names = np.full(len(rows), None, object)
    pictured = np.flatnonzero(rows >= 0)
    labels, splits = store.labels(space).of(rows[pictured])
    known = (splits != Split.NONE) & np.isfinite(labels).any(axis=1)
    classes = np.array(store.spaces[space].names, object)
    names[pictured[known]] = classes[np.nan_to_num(labels[known], nan=-1.0).argmax(1)]
    return names.tolist()


def names_of_streams(store: Store, streams: Sequence[str], rows: np.ndarray) -> list[str | None]:
    """Which of `streams` each row of a store has, as `face + audio` (n,); None: none of them, or no row (-1)."""
    has = np.zeros((len(rows), len(streams)), bool)
    for place, name in enumerate(streams):
        has[:, place] = store.has_any([name])[rows] & (rows >= 0)
    patterns, of = np.unique(has, axis=0, return_inverse=True)
    joined = [" + ".join(np.array(streams)[own].tolist()) or None for own in patterns]
    return [joined[place] for place in of.reshape(-1).tolist()]
