"""Which frames an evaluation is about, and which picture each takes its prediction from.

Every frame of a video is there, as in the competition's test sets: a frame whose face was not found has the picture
of the last face before it (at a video's beginning, of the first one). Only in a video without any face there is none.
For networks of other streams than faces a picture is what they take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import StoreError
from abaw_ray.sampling.windows import gap_free_windows
from abaw_ray.spaces import Split


@dataclass(frozen=True)
class Frames:
    """Frames of videos and photos, one video after the other, in order; videos without any picture are the last.

    Args:
        database: (videos,) int8 place in the store's list of databases.
        names: of the videos (a photo is a video of one frame).
        starts: (videos,) int64 first frame of each.
        frame: (n,) int32 number in its video.
        row: (n,) int64 row of the store that the picture is in; -1: the video has none.
        seen: (n,) bool, whether that picture is the frame's own.
        own: (n,) int64 row of the store that is of the frame, with its labels, whatever it has; -1: none.
        unseen: (n,) int64 place in `store.unseen` of the labels of a frame without a row of its own; -1: none.
        num_left_out: labelled photos that are not there, as they have nothing that a network takes.
    """

    database: np.ndarray
    names: list[str]
    starts: np.ndarray
    frame: np.ndarray
    row: np.ndarray
    seen: np.ndarray
    own: np.ndarray
    unseen: np.ndarray
    num_left_out: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @property
    def num_pictured(self) -> int:
        """Number of frames of videos that have a picture; they are the first."""
        return int((self.row >= 0).sum())

    @property
    def faceless(self) -> list[str]:
        """Names of the videos without any picture."""
        return [name for name, row in zip(self.names, self.row[self.starts].tolist(), strict=True) if row < 0]

    def video(self) -> np.ndarray:
        """Place of each frame's video (n,) int64."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self)))

    def labels(self, store: Store, task: str, split: Split) -> np.ndarray:
        """Labels (n, size) float32 of the frames; NaN where there is none of that split."""
        labels = np.full((len(self), store.spaces[task].size), np.nan, np.float32)
        of_pictures, of_unseen = store.labels(task), store.unseen.labels(task)
        for found, places in ((of_pictures, self.own), (of_unseen, self.unseen)):
            which = places >= 0
            vectors, splits = found.of(places[which])
            labels[np.flatnonzero(which)[splits == split]] = vectors[splits == split]
        return labels


def evaluation_frames(
    store: Store,
    tasks: Sequence[str],
    split: Split,
    databases: Iterable[str] | None = None,
    takes: np.ndarray | None = None,
) -> Frames:
    """All frames of the videos, and the photos, that have a label of one of `tasks` in `split`.

    Args:
        store: where they are.
        tasks: whose labels count.
        split: of the labels.
        databases: names; None: all.
        takes: (rows,) bool, which rows of the store have something that a network takes; None: all.

    Raises:
        StoreError: there is none.
    """
    takes = np.ones(len(store.index), bool) if takes is None else takes
    codes = [i for i, name in enumerate(store.databases) if databases is None or name in set(databases)]
    labelled = np.any([store.labels(task).mask(split) for task in tasks], axis=0)
    videos, faceless = _videos(store, tasks, split, codes, labelled, takes)
    every = np.flatnonzero(labelled & np.isin(store.index.database, [c for c in codes if not store.sequential[c]]))
    photos = every[takes[every]]
    if not len(videos) and not len(photos) and not len(faceless):
        named = f"{split.name.lower()} labels of {', '.join(tasks)}"
        if len(every):
            raise StoreError(f"{store.path}: none of {len(every):,} rows with {named} has what the network takes")
        raise StoreError(f"{store.path}: no {named}")
    first, last = ([_video_frames(store, int(v), takes) for v in which] for which in (videos, faceless))
    lengths = np.array([*(len(p[0]) for p in first), *[1] * len(photos), *(len(p[0]) for p in last)], np.int64)
    of_photos = (store.index.frame[photos], photos, np.ones(len(photos), bool), photos, np.full(len(photos), -1))
    frame, row, seen, own, unseen = (np.concatenate(columns) for columns in zip(*first, of_photos, *last, strict=True))
    databases_of = store.videos.database[videos], store.index.database[photos], store.videos.database[faceless]
    names_of = store.videos.names
    return Frames(
        database=np.concatenate(databases_of),
        names=[*(names_of[v] for v in videos), *store.index.video(photos), *(names_of[v] for v in faceless)],
        starts=np.cumsum(lengths) - lengths,
        frame=frame,
        row=row,
        seen=seen,
        own=own,
        unseen=unseen,
        num_left_out=len(every) - len(photos),
    )


def gap_free(store: Store, task: str, split: Split, length: int, stride: int, databases: Iterable[str]) -> np.ndarray:
    """Rows (windows, length) int64 of the windows of consecutive frames with a label of `task` in `split`.

    They are those of the paper's reference code: what is around a gap, and short videos, are left out. Windows are of
    features of faces: a frame without one is a gap.
    """
    codes = [store.databases.index(name) for name in databases if name in store.databases]
    chosen = np.isin(store.index.database, codes) & store.labels(task).mask(split)
    chosen &= store.sequential[store.index.database] & store.index.has_face
    rows = np.flatnonzero(chosen)
    before = np.concatenate([[0], np.cumsum(chosen)])
    first = before[store.videos.start]
    nonempty = first < before[store.videos.stop]
    return rows[gap_free_windows(store.index.frame[rows], first[nonempty], length, stride)]


def _videos(
    store: Store, tasks: Sequence[str], split: Split, codes: list[int], labelled: np.ndarray, takes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the videos with a label and a picture, and of those with a label and no picture."""
    before = np.concatenate([[0], np.cumsum(labelled)])
    wanted = before[store.videos.stop] > before[store.videos.start]
    unseen = np.any([store.unseen.labels(task).mask(split) for task in tasks], axis=0)
    wanted[np.unique(store.unseen.video[unseen])] = True
    wanted &= np.isin(store.videos.database, [code for code in codes if store.sequential[code]])
    shown = np.concatenate([[0], np.cumsum(takes)])
    has_picture = shown[store.videos.stop] > shown[store.videos.start]
    return np.flatnonzero(wanted & has_picture), np.flatnonzero(wanted & ~has_picture)


def _video_frames(store: Store, video: int, takes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Frame, row, seen, own and unseen of `Frames` for every frame of one video."""
    frames = np.arange(store.videos.num_frames[video], dtype=np.int32)
    unseen = np.full(len(frames), -1, np.int64)
    first, last = np.searchsorted(store.unseen.video, [video, video + 1])
    unseen[store.unseen.frame[first:last]] = np.arange(first, last)
    every = np.arange(int(store.videos.start[video]), int(store.videos.stop[video]))
    own = np.full(len(frames), -1, np.int64)
    own[store.index.frame[every]] = every
    rows = every[takes[every]]
    if not len(rows):
        return frames, np.full(len(frames), -1), np.zeros(len(frames), bool), own, unseen
    pictured = store.index.frame[rows]
    place = np.searchsorted(pictured, frames, side="right") - 1
    seen = (place >= 0) & (pictured[place] == frames)
    return frames, rows[np.maximum(place, 0)], seen, own, unseen
