"""Source videos of face tracks: where they are and how many frames they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each, entries, note_others
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.video import UnreadableVideo, num_frames, numbers_need_decoding

SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm"}
SIDES = ("_left", "_right")
"""Ends of the names of tracks that share a video with another one."""


def find_video(folders: Path | Sequence[Path], track: str) -> Path | None:
    """The video of a track: of its own name or, if there is none, of the name without `_left` or `_right`.

    Args:
        folders: where it may lie; those that are not there hold none.
        track: its name.

    Raises:
        DatabaseFormatError: there are several, which differ in their suffix or folder.
    """
    places = [folders] if isinstance(folders, Path) else folders
    videos = [video for folder in places if folder.is_dir() for video in _videos_in(folder)]
    for stem in _stems(track):
        found = [video for video in videos if video.stem == stem]
        if len(found) > 1:
            names = " and ".join(video.name if len(places) == 1 else str(video) for video in found)
            raise DatabaseFormatError(found[0].parent, None, names, f"one video of track {track}")
        if found:
            return found[0]
    return None


def note_other_videos(folder: Path, tracks: Iterable[str], problems: Problems, known: Iterable[str] = ()) -> None:
    """Counts what the folder of videos holds besides the videos of `tracks` and the entries of `known` names."""
    stems = {stem for track in tracks for stem in _stems(track)}
    videos = _videos_in(folder)
    add_each(problems, "video_without_track", [video for video in videos if video.stem not in stems], str)
    note_others(problems, folder, {*known, *(video.name for video in videos)})


def _videos_in(folder: Path) -> list[Path]:
    return [folder / e.name for e in entries(folder) if Path(e.name).suffix.lower() in SUFFIXES]


def _stems(track: str) -> list[str]:
    """Names that the video of a track may have, the best first."""
    return [track, *(track.removesuffix(side) for side in SIDES if track.endswith(side))]


def count_frames(video: Path) -> int:
    """Number of frames of a video.

    Raises:
        DatabaseFormatError: not a video, or one without frames.
    """
    try:
        return num_frames(video)
    except (FileNotFoundError, UnreadableVideo) as error:
        raise DatabaseFormatError(video, None, f"no frame that can be read ({error})", "a video") from None


def compare_with_opencv(video: Path, problems: Problems) -> None:
    """Notes a video in which OpenCV, with which most boxes are made, finds another number of frames.

    Only one whose numbers need decoding is looked at: in others OpenCV puts out the same pictures.

    Raises:
        DatabaseFormatError: not a video, or one without frames.
    """
    try:
        doubtful = numbers_need_decoding(video)
    except (FileNotFoundError, UnreadableVideo) as error:
        raise DatabaseFormatError(video, None, f"no frame that can be read ({error})", "a video") from None
    if doubtful and (ours := count_frames(video)) != (theirs := _opencv_frames(video)):
        problems.add("opencv_counts_otherwise", f"{video}: {ours} frames, OpenCV reads {theirs}")


def _opencv_frames(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    number = 0
    while capture.grab():
        number += 1
    capture.release()
    return number
