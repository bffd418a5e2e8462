"""The parts of Aff-Wild2 as it is handed out since 2022, wherever they were unpacked below a root.

Seen in public readers of ABAW3 to ABAW8: folders of labels by challenge, at the root or one or two folders down;
pictures in `cropped_aligned` and `cropped_aligned_new_50_vids`, at times within another folder of that name or in
`batch1` and `batch2`; videos in `batch1`, `batch2`, `new_vids` or `videos`; lists of the test sets whose names end in
`_test_set_release.txt`, at times in `names_of_videos_in_each_test_set`. So parts are known by their names, whatever
folder they are in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.challenge_files import image_prefix
from abaw_ray.databases.reading.parsing import entries
from abaw_ray.databases.reading.tracks import TrackImages
from abaw_ray.databases.reading.videos import SUFFIXES

CROPS = ("cropped_aligned", "cropped_aligned_new_50_vids")
TEST_LIST = "_test_set_release.txt"
MAX_DEPTH = 4
IMAGE = re.compile(r"0*(\d{1,9})\.(?:jpg|jpeg|png|bmp)", re.IGNORECASE)
"""With the number of the frame, from 1, in any number of digits."""


@dataclass
class Parts:
    """What was found.

    Args:
        named: folders and files of the names that were asked for.
        crops: folders with a folder of pictures for each track.
        videos: folders of videos.
        lists: of the test sets.
    """

    named: list[Path] = field(default_factory=list)
    crops: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)


def find_parts(root: Path, names: Collection[str], problems: Problems) -> Parts:
    """Looks for parts below a folder; what is none, and leads to none, is counted.

    Args:
        root: of the database.
        names: of folders and files that hold labels.
        problems: takes up the others.
    """
    parts = Parts()
    _look(root, set(names), parts, problems, MAX_DEPTH)
    return parts


def _look(folder: Path, names: set[str], parts: Parts, problems: Problems, depth: int) -> bool:
    """Whether a folder leads to any part."""
    found, others = False, []
    for entry in entries(folder):
        path = Path(entry.path)
        if entry.name in names:
            parts.named.append(path)
        elif not entry.is_dir():
            if not entry.name.endswith(TEST_LIST):
                others.append(entry)
                continue
            parts.lists.append(path)
        elif entry.name in CROPS and not any((path / name).is_dir() for name in CROPS):
            parts.crops.append(path)
        elif _has_videos(path):
            parts.videos.append(path)
        elif depth == 1 or not _look(path, names, parts, problems, depth - 1):
            others.append(entry)
            continue
        found = True
    if found or depth == MAX_DEPTH:
        for entry in others:
            problems.add("unexpected_folder" if entry.is_dir() else "unexpected_file", entry.path)
    return found


def _has_videos(folder: Path) -> bool:
    with os.scandir(folder) as found:
        return any(Path(entry.name).suffix.lower() in SUFFIXES for entry in found)


class CropFolders:
    """Pictures of tracks in several folders, a folder for each track.

    Args:
        folders: as of `Parts.crops`.
        root: of the database.
        problems: takes up what is no track's folder, and tracks in two folders.
    """

    def __init__(self, folders: Sequence[Path], root: Path, problems: Problems) -> None:
        self._root = root
        self._folder_of: dict[str, Path] = {}
        for folder in folders:
            for entry in entries(folder):
                if not entry.is_dir():
                    problems.add("unexpected_file", entry.path)
                elif entry.name in self._folder_of:
                    problems.add("track_in_two_folders", f"{entry.path} and {self._folder_of[entry.name]}")
                else:
                    self._folder_of[entry.name] = Path(entry.path)

    @property
    def tracks(self) -> set[str]:
        """Names of the tracks that have a folder."""
        return set(self._folder_of)

    def images(self, track: str, problems: Problems) -> TrackImages:
        """A track's pictures: `00001.jpg` is frame 0; none if it has no folder."""
        folder = self._folder_of.get(track)
        names: dict[int, str] = {}
        for entry in entries(folder) if folder is not None else []:
            found = IMAGE.fullmatch(entry.name)
            frame = int(found[1]) - 1 if found else -1
            if frame < 0:
                problems.add("unexpected_file", entry.path)
            elif frame in names:
                problems.add("two_images_of_a_frame", f"{entry.path} and {names[frame]}")
            else:
                names[frame] = entry.name
        frames = np.array(sorted(names), np.int64)
        place = image_prefix(self._root, folder) if folder is not None else track
        return TrackImages(place, frames, names=tuple(names[frame] for frame in frames.tolist()))
