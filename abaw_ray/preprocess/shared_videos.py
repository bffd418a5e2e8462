"""Blocks of one part of a video, as of several face tracks or streams, are made together: the part is decoded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.databases.reading.names import file_name
from abaw_ray.databases.reading.videos import SUFFIXES

MOST = 4
"""Blocks that are made together at most: all of their samples are in memory at a time."""


class _Part(NamedTuple):
    """Frames `first` to `last` of a video, of which a block holds some."""

    first: int
    last: int
    place: int


def made_together(tables: Sequence[pa.Table], makers: Sequence[object]) -> list[list[int]]:
    """Which blocks are made together, by their place.

    Args:
        tables: planned rows of each block, of `plan.SAMPLE_COLUMNS`.
        makers: of each block what else must be equal: root of the database and kind of stream.

    Returns:
        Each place once: in the order of the first places, and ascending in each group.
    """
    parts_of: dict[tuple[object, str], list[_Part]] = defaultdict(list)
    groups: list[list[int]] = []
    for place, (rows, maker) in enumerate(zip(tables, makers, strict=True)):
        video = _video(rows)
        if video is None:
            groups.append([place])
        else:
            frames = pc.min_max(rows["frame"])
            parts_of[maker, video].append(_Part(frames["min"].as_py(), frames["max"].as_py(), place))
    for parts in parts_of.values():
        groups += _overlapping(sorted(parts))
    return sorted(groups)


def _video(rows: pa.Table) -> str | None:
    """The video that all rows are frames of; None: they are of several, or of none."""
    paths = pc.unique(rows["image"])
    if len(paths) != 1:
        return None
    path: str = paths[0].as_py()
    return path if Path(file_name(path)).suffix.lower() in SUFFIXES else None


def _overlapping(parts: Sequence[_Part]) -> list[list[int]]:
    """Groups of parts of a video, in the order of their first frames, of which each shares half of it with the first
    one of its group."""
    groups: list[list[_Part]] = []
    for part in parts:
        begun = groups[-1][0] if groups else None
        if begun is not None and len(groups[-1]) < MOST and 2 * (begun.last - part.first) >= part.last - part.first:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [sorted(part.place for part in group) for group in groups]
