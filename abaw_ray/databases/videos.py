"""Source videos of face tracks: where they are and how many frames they have."""

from __future__ import annotations

from pathlib import Path

import cv2

from abaw_ray.databases.parsing import entries
from abaw_ray.errors import DatabaseFormatError

SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm"}
MOST_FRAMES = 2**31 - 1
"""More is what a container without a duration seems to have."""

SIDES = ("_left", "_right")
"""Ends of the names of tracks that share a video with another one."""


def find_video(folder: Path, track: str) -> Path | None:
    """The video of a track: of its own name or, if there is none, of the name without `_left` or `_right`.

    Raises:
        DatabaseFormatError: there are several, which differ in their suffix.
    """
    stems = [track, *(track.removesuffix(side) for side in SIDES if track.endswith(side))]
    names = [e.name for e in entries(folder)] if folder.is_dir() else []
    videos = [Path(name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    for stem in stems:
        found = [video for video in videos if video.stem == stem]
        if len(found) > 1:
            raise DatabaseFormatError(folder, None, " and ".join(map(str, found)), f"one video of track {track}")
        if found:
            return folder / found[0]
    return None


def count_frames(video: Path) -> int:
    """Number of frames that a video's container states; of one that states none, the frames are counted.

    Raises:
        DatabaseFormatError: not a video, or one without frames.
    """
    capture = cv2.VideoCapture(str(video))
    try:
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if 1 <= stated <= MOST_FRAMES:
            return int(stated)
        counted = 0
        while capture.grab():
            counted += 1
    finally:
        capture.release()
    if counted == 0:
        raise DatabaseFormatError(video, None, "no frame that can be read", "a video")
    return counted
