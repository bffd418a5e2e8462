"""Which frames belong together: those of a person where the store knows who it is, else those of a video or photo.

Frames of a group are much alike, so that whoever counts on frames being independent must count groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


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
