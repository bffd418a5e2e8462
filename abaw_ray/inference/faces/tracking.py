"""Faces of a video followed by an id, from where they are alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.boxes import areas, centres, overlaps

NEAREST, FURTHER = 0.5, 1.0
"""How far from where it is expected a face may be, in its sizes: at once, and more with each second since."""
LARGEST_RATIO = 2.0
"""Of the sizes of one face, from one time that it is seen to the next."""
VELOCITY_SECONDS = 0.15
"""Over which its velocity is averaged."""


@dataclass
class _Track:
    """Somebody who is followed: where, when and how large last, and how fast."""

    id: int
    time: float
    box: np.ndarray
    velocity: np.ndarray
    """(2,) of the box's centre, in pixels a second."""
    num_seen: int = 1

    def expected(self, time: float) -> np.ndarray:
        """(4,) the box if it goes on as it did."""
        return self.box + np.tile(self.velocity * max(time - self.time, 0), 2)

    def see(self, time: float, box: np.ndarray) -> None:
        elapsed = time - self.time
        if elapsed > 0:
            self.num_seen += 1
            weight = max(1 / (self.num_seen - 1), 1 - math.exp(-elapsed / VELOCITY_SECONDS))
            self.velocity = self.velocity + weight * ((centres(box) - centres(self.box)) / elapsed - self.velocity)
            self.time = time
        self.box = box


class Tracker:
    """Follows the faces of one video: who was seen gets the same id again.

    Faces are assigned to who is followed so that the sum over all of distance, in sizes of the face, and of missing
    overlap (1 - IoU) is the least, from where each is expected at constant velocity. A face is that of nobody who is
    followed if it is far from where all are expected, or if it has less than half or more than twice the size: so
    after a change of scene ids are new, but of a face that takes another one's very place.

    Args:
        max_gap_seconds: how long a face may be missing and still get its id back; after that it is forgotten.
    """

    def __init__(self, max_gap_seconds: float = 1.0) -> None:
        self.max_gap_seconds = max_gap_seconds
        self._tracks: list[_Track] = []
        self._num_ids = 0

    def update(self, time_seconds: float, faces: list[Face]) -> list[int]:
        """Ids of a frame's faces.

        Args:
            time_seconds: of the frame; frames come in the order of their times.
            faces: of the frame, in any order.

        Returns:
            The id of each face, from 0 in the order of first appearance; of faces that appear together the largest
            first.
        """
        self._forget(time_seconds)
        found = self.follow(time_seconds, faces)
        by_id = {track.id: track for track in self._tracks}
        for face, known in zip(faces, found, strict=True):
            if known is not None:
                by_id[known].see(time_seconds, face.box)
        new = [place for place, known in enumerate(found) if known is None]
        for place in sorted(new, key=lambda place: _rank(faces[place])):
            found[place] = self._begin(time_seconds, faces[place].box)
        return [known for known in found if known is not None]

    def follow(self, time_seconds: float, faces: list[Face]) -> list[int | None]:
        """Ids that faces would get, None where it would be a new one; nothing is changed."""
        tracks = [track for track in self._tracks if time_seconds - track.time <= self.max_gap_seconds]
        order = sorted(range(len(faces)), key=lambda place: _rank(faces[place]))
        found: list[int | None] = [None] * len(faces)
        if tracks and faces:
            for row, column in _assign(_costs(tracks, time_seconds, np.stack([faces[place].box for place in order]))):
                found[order[column]] = tracks[row].id
        return found

    def _begin(self, time: float, box: np.ndarray) -> int:
        self._tracks.append(_Track(self._num_ids, time, box, np.zeros(2)))
        self._num_ids += 1
        return self._num_ids - 1

    def _forget(self, time: float) -> None:
        self._tracks = [track for track in self._tracks if time - track.time <= self.max_gap_seconds]


def limit(faces: list[Face], max_faces: int, tracker: Tracker | None = None, time_seconds: float = 0.0) -> list[Face]:
    """The most important faces of a frame, at most `max_faces`, before `Tracker.update` gives them ids.

    Args:
        faces: in any order.
        max_faces: how many to keep.
        tracker: whom it follows comes first, the longest followed before the others; None: nobody is followed.
        time_seconds: of the frame.

    Returns:
        Those kept, in the order of `faces`. After those who are followed, large and certain faces are preferred: by
        the product of the box's area and the confidence.
    """
    ids = tracker.follow(time_seconds, faces) if tracker else [None] * len(faces)
    never = math.inf
    ranked = sorted(range(len(faces)), key=lambda p: (never if ids[p] is None else ids[p], *_rank(faces[p])))
    return [faces[place] for place in sorted(ranked[:max_faces])]


def _costs(tracks: list[_Track], time: float, boxes: np.ndarray) -> np.ndarray:
    """(tracks, boxes) of saying that a box is somebody's; infinite: it cannot be."""
    expected = np.stack([track.expected(time) for track in tracks])
    elapsed = np.array([[max(time - track.time, 0)] for track in tracks])
    sizes, others = np.sqrt(areas(expected))[:, None], np.sqrt(areas(boxes))
    ratio = np.maximum(sizes, others) / np.minimum(sizes, others)
    far = np.linalg.norm(centres(expected)[:, None] - centres(boxes), axis=-1) / ((sizes + others) / 2)
    possible = (ratio <= LARGEST_RATIO) & (far <= NEAREST + FURTHER * elapsed)
    return np.where(possible, far + 1 - overlaps(expected, boxes), np.inf)


def _assign(costs: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns that belong together: as many as can, and of these the cheapest."""
    possible = np.isfinite(costs)
    if possible.sum(0).max() > 1 or possible.sum(1).max() > 1:
        # takes most of a second, and is rarely needed
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(np.where(possible, costs, 1e6))
    else:
        rows, columns = np.nonzero(possible)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if possible[r, c]]


def _rank(face: Face) -> tuple[float, ...]:
    """Sorts faces: large and certain ones first, and in the same order however they are listed."""
    return (-float(areas(face.box)) * face.confidence, *face.box.tolist(), face.confidence)
