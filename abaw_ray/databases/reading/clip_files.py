"""The files of a clip: frames of faces and bodies, as folders of pictures or videos, and sound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.clip_manifest import Clip
from abaw_ray.databases.reading.parsing import is_kind
from abaw_ray.databases.reading.pictures import SUFFIXES, listed
from abaw_ray.databases.reading.videos import SUFFIXES as VIDEO_SUFFIXES
from abaw_ray.databases.reading.videos import count_frames
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.streams.base import Source
from abaw_ray.video import frame_times

LAST_NUMBER = re.compile(r"(\d{1,9})\D*$")


@dataclass(frozen=True)
class ClipFrames:
    """Frames of a clip.

    Args:
        images: frame -> path of its picture, or of the video, below the root; in the order of frames.
        num_frames: more than the number of any of them.
        video: that they are frames of; None: they are pictures.
    """

    images: Mapping[int, str]
    num_frames: int
    video: Path | None = None


@dataclass(frozen=True)
class BodyFrames:
    """Where the body is in the frames of a clip.

    Args:
        images: frame -> path of its picture; empty for a video.
        video: path of the video that has all frames; None: they are pictures.
    """

    images: Mapping[int, str]
    video: str | None

    def at(self, frame: int) -> str | None:
        """Path of the picture, or video, of a frame; None: there is none."""
        return self.video if self.video is not None else self.images.get(frame)

    @staticmethod
    def of(root: Path, clip: Clip, first_number: int, problems: Problems) -> BodyFrames | None:
        """Those of a clip; None: it has none, or they are not there, which is counted."""
        if not clip.body:
            return None
        if (root / clip.body).is_dir():
            return BodyFrames(_pictures(root, clip.body, clip, first_number, problems), None)
        if (root / clip.body).is_file():
            return BodyFrames({}, clip.body)
        problems.add("missing_body", f"{clip.where}: no {clip.body}")
        return None


@dataclass(frozen=True)
class ClipSound:
    """The sound of a clip.

    Args:
        path: of a sound file, or of a video whose frames are the clip's.
        moments: (frames,) seconds of the frames in a sound file; None: of a video.
    """

    path: str
    moments: np.ndarray | None

    def at(self, frame: int) -> Source:
        """The sound around a frame."""
        return Source(self.path) if self.moments is None else Source(self.path, [float(self.moments[frame])])


def face_frames(root: Path, clip: Clip, first_number: int, problems: Problems) -> ClipFrames | None:
    """The frames of a clip's face; None: they are not there, or cannot be read, which is counted."""
    place = root / clip.faces
    if place.is_dir():
        images = _pictures(root, clip.faces, clip, first_number, problems)
        if images:
            return ClipFrames(images, max(images) + 1)
        problems.add("clip_without_pictures", f"{clip.where}: {clip.faces}")
    elif place.is_file():
        try:
            num_frames = count_frames(place)
            return ClipFrames(dict.fromkeys(range(num_frames), clip.faces), num_frames, place)
        except DatabaseFormatError as error:
            problems.add("unreadable_video", f"{clip.where}: {error}")
    else:
        problems.add("missing_faces", f"{clip.where}: no {clip.faces}")
    return None


def sound_of(root: Path, clip: Clip, frames: ClipFrames, fps: float, problems: Problems) -> ClipSound | None:
    """The sound of a clip; None: it has none, or it is not there, which is counted.

    Args:
        root: of the database.
        clip: of its manifest.
        frames: of the faces.
        fps: frames a second of pictures.
        problems: takes up a file that is not there.
    """
    if not clip.audio:
        return None
    if not (root / clip.audio).is_file():
        problems.add("missing_audio", f"{clip.where}: no {clip.audio}")
        return None
    if Path(clip.audio).suffix.lower() in VIDEO_SUFFIXES:
        return ClipSound(clip.audio, None)
    if frames.video is not None:
        return ClipSound(clip.audio, frame_times(frames.video))
    return ClipSound(clip.audio, np.arange(frames.num_frames) / fps)


def _pictures(root: Path, folder: str, clip: Clip, first_number: int, problems: Problems) -> dict[int, str]:
    """Frame -> path of its picture below the root, by the last number in its name.

    Raises:
        DatabaseFormatError: two pictures of one frame, or one before the first.
    """
    found: dict[int, str] = {}
    for entry in listed(root / folder, problems):
        stem, number = Path(entry.name).stem, None
        if entry.name.lower().endswith(SUFFIXES) and is_kind(entry.is_file):
            number = LAST_NUMBER.search(stem)
        if number is None:
            problems.add("unexpected_file", entry.path)
            continue
        frame = int(number[1]) - first_number
        if frame < 0:
            expected = f"numbers from {first_number} on: the option first_number says that of the first frame"
            raise clip.error(f"{folder}/{entry.name}", expected)
        if frame in found:
            raise clip.error(f"{folder}/{entry.name} beside {found[frame]}", "one picture of each frame")
        found[frame] = f"{folder}/{entry.name}"
    return dict(sorted(found.items()))
