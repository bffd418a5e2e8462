"""A face track of a video: its images and labels become rows and unseen frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from abaw_ray.competition.track_files import TrackFormat
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each, rows_table, unseen_table
from abaw_ray.spaces import LabelSpace, Split


def image_name(frame: int) -> str:
    """The usual name of a frame's image: `00001.jpg` is frame 0."""
    return f"{frame + 1:05d}.jpg"


@dataclass(frozen=True)
class TrackLabels:
    """One task's labels of one track: vectors (frames, size), and the frames (valid,) whose label is valid."""

    file: Path
    split: Split
    vectors: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class TrackImages:
    """Where the images of a track are.

    Args:
        place: their folder, or the video that they are in, as rows name it.
        frames: (images,) frames that have an image, ascending.
        boxes: (images, 4) float32 the face's box (left, top, right, bottom) in each frame of the video; None: images
            are files, and faces.
        names: frame -> name of its file, where that is not `image_name(frame)`.
    """

    place: str
    frames: np.ndarray
    boxes: np.ndarray | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def file(self, frame: int) -> str:
        """What holds a frame's image, as rows name it."""
        if self.boxes is not None:
            return self.place
        return f"{self.place}/{self.names.get(frame) or image_name(frame)}"

    def describe(self, frame: int) -> str:
        """A frame's image, for people."""
        return self.file(frame) if self.boxes is None else f"{self.place}: frame {frame}"

    def geometry(self, frames: np.ndarray) -> pa.ListArray | None:
        """The boxes in `frames` (n,), which have one; None where images are faces."""
        if self.boxes is None:
            return None
        boxes = self.boxes[np.searchsorted(self.frames, frames)]
        return pa.ListArray.from_arrays(np.arange(0, boxes.size + 1, 4, dtype=np.int32), pa.array(boxes.reshape(-1)))


@dataclass(frozen=True)
class Track:
    """One face track. Frames are numbered from 0, and images and the lines of label files from 1 and 2.

    Args:
        name: of the track.
        images: of its frames.
        labels: space -> its labels.
        tests: the spaces whose test sets it is in.
        spaces: all that a track can have labels in.
    """

    name: str
    images: TrackImages
    labels: dict[str, TrackLabels]
    tests: list[str]
    spaces: tuple[LabelSpace, ...]

    @property
    def frames(self) -> np.ndarray:
        """Frames (images,) that have an image, ascending."""
        return self.images.frames

    @property
    def num_frames(self) -> int:
        """Number of frames that labels and images tell of."""
        last_image = int(self.frames[-1]) + 1 if len(self.frames) else 0
        return max([last_image, *(len(labels.vectors) for labels in self.labels.values())])

    def rows(self, problems: Problems) -> pa.Table:
        """Of `row_schema`: frames that have an image and a label, or any image of a track in a test set."""
        if (self.labels or self.tests) and not len(self.frames):
            problems.add("video_without_images", self.name)
        frames = self.frames
        if not self.tests:
            frames = np.intersect1d(self.frames, self._labelled(), assume_unique=True)
            unlabelled = np.setdiff1d(self.frames, frames, assume_unique=True)
            add_each(problems, "image_without_label", unlabelled, self.images.describe)
        columns = self._label_columns(frames) | self._test_columns(frames)
        images = [self.images.file(f) for f in frames.tolist()]
        return rows_table(self.spaces, [self.name] * len(frames), frames, images, columns, self.images.geometry(frames))

    def unseen(self, problems: Problems) -> pa.Table:
        """Of `unseen_schema`: labelled frames that have no image.

        A test track without any image has its first frame there, too, so that it is known.
        """
        frames = np.setdiff1d(self._labelled(), self.frames, assume_unique=True)

        def where(frame: int) -> str:
            labels = next(labels for labels in self.labels.values() if frame in labels.valid)
            return f"{labels.file}:{frame + 2}: no image {self.images.describe(frame)}"

        add_each(problems, "frame_without_image", frames, where)
        tests = {}
        if self.tests and not len(self.frames):
            frames = np.union1d(frames, [0])
            tests = self._test_columns(frames)
        return unseen_table(self.spaces, [self.name] * len(frames), frames, self._label_columns(frames) | tests)

    def _test_columns(self, frames: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Task whose test set the track is in -> labels that are not published, and splits, of `frames` (n,)."""
        tests = [space for space in self.spaces if space.name in self.tests]
        num = len(frames)
        return {space.name: (np.full((num, space.size), np.nan), np.full(num, int(Split.TEST))) for space in tests}

    def _labelled(self) -> np.ndarray:
        """Frames (n,) with a valid label of any task, ascending."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *(labels.valid for labels in self.labels.values())]))

    def _label_columns(self, frames: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Task -> label vectors (n, size) and splits (n,) of `frames` (n,)."""
        columns = {}
        for task, labels in self.labels.items():
            of_task = np.isin(frames, labels.valid)
            vectors = np.zeros((len(frames), labels.vectors.shape[1]), np.float32)
            vectors[of_task] = labels.vectors[frames[of_task]]
            columns[task] = (vectors, np.where(of_task, int(labels.split), int(Split.NONE)))
        return columns


def checked_labels(
    space: LabelSpace, form: TrackFormat, file: Path, lines: Sequence[str], numbers: np.ndarray, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """What the numbers of a file of labels say; lines without a label, and with one out of range, are counted.

    Args:
        space: of the labels.
        form: of the numbers.
        file: that they are in.
        lines: of the file, header included.
        numbers: (n, num_fields) below the header.
        problems: what they are counted in.

    Returns:
        Vectors (n, size), and which of them are valid (n,) bool.
    """
    unlabelled = (numbers == form.unlabelled).any(axis=1)
    outside = ((numbers < form.low) | (numbers > form.high)).any(axis=1) & ~unlabelled
    add_each(problems, f"{space.name}_unlabelled", np.flatnonzero(unlabelled), lambda k: f"{file}:{k + 2}")
    add_each(problems, "label_out_of_range", np.flatnonzero(outside), lambda k: f"{file}:{k + 2}: {lines[k + 1]}")
    vectors = numbers == np.arange(space.size) if space.kind == "multiclass" else numbers
    return vectors, ~unlabelled & ~outside
