"""A table of answers as curves over time, one set a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from abaw_ray.inference.answers import column_names
from abaw_ray.inference.model_info import ModelInfo


@dataclass(frozen=True)
class Track:
    """What is said of a person.

    Args:
        person: number of the person.
        num_frames: that the person is seen in.
        values: column -> (moments,) float64; NaN where the person is not seen. `_present` columns have the share of
            frames in which an attribute is present.
        seen: (moments,) whether the person is seen.
    """

    person: int
    num_frames: int
    values: dict[str, np.ndarray]
    seen: np.ndarray


@dataclass(frozen=True)
class Tracks:
    """What is said of a video.

    Args:
        times: (moments,) float64 seconds of the container's clock, ascending.
        frames: (moments,) int64 number of the first frame of each moment.
        num_frames: that have been looked at.
        tracks: of the persons who are seen most, in the order of their numbers.
        others: number -> frames of the other persons, the most frequent first.
    """

    times: np.ndarray
    frames: np.ndarray
    num_frames: int
    tracks: tuple[Track, ...]
    others: dict[int, int]

    @property
    def is_thinned(self) -> bool:
        """Whether a moment is the mean of several frames."""
        return self.num_frames > len(self.times)


def tracks_of(rows: pa.Table, info: ModelInfo, most_persons: int, most_moments: int) -> Tracks:
    """Curves of the persons who are seen most.

    Args:
        rows: of one video, with the columns of `answers_schema`.
        info: of the model.
        most_persons: that have curves.
        most_moments: points of a curve; where there are more frames, each is the mean of neighbouring ones.
    """
    frames, first, frame_of = np.unique(rows["frame"].to_numpy(), return_index=True, return_inverse=True)
    num_moments = min(len(frames), most_moments)
    moment_of = np.arange(len(frames)) * num_moments // max(len(frames), 1)
    begins = np.unique(moment_of, return_index=True)[1]
    times = rows["time"].to_numpy()[first][begins].astype(np.float64)
    faces = rows["face"].to_numpy().astype(np.float64)  # NaN where there is none
    persons, counts = np.unique(faces[np.isfinite(faces)].astype(np.int64), return_counts=True)
    by_count = np.argsort(-counts, kind="stable").tolist()
    tracks = []
    for place in sorted(by_count[:most_persons]):
        own = np.flatnonzero(faces == persons[place])
        part, moments = rows.take(pa.array(own)), moment_of[frame_of[own]]
        values = {name: _means(_numbers(part[name]), moments, num_moments) for name in curve_columns(info)}
        seen = np.bincount(moments, minlength=num_moments) > 0
        tracks.append(Track(int(persons[place]), int(counts[place]), values, seen))
    others = {int(persons[place]): int(counts[place]) for place in by_count[most_persons:]}
    return Tracks(times, frames[begins], len(frames), tuple(tracks), others)


def curve_columns(info: ModelInfo) -> list[str]:
    """The columns of a table of answers that are curves."""
    columns = []
    for space in info.spaces:
        names = column_names(info, space)
        beside = {"multiclass": "", "multilabel": "_present", "regression": "_deviation"}[space.kind]
        columns += names + [f"{name}{beside}" for name in names if beside]
    return columns


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each stretch of True in (n,) flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(begin, end) for begin, end in edges.reshape(-1, 2).tolist()]


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{f'{whole // 3600}:' if whole >= 3600 else ''}{minutes}:{whole % 60:02d}"


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float32()).to_numpy().astype(np.float64)


def _means(values: np.ndarray, places: np.ndarray, number: int) -> np.ndarray:
    """Mean of the values (n,) at each of `number` places; NaN where there is none, as what is not finite counts."""
    known = np.isfinite(values)
    counts = np.bincount(places[known], minlength=number)
    sums = np.bincount(places[known], values[known], number)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
