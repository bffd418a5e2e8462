"""Where the images of face tracks are: in folders of pictures, or in videos with boxes beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.boxes import read_boxes
from abaw_ray.databases.reading.parsing import entries, is_kind, note_others, require_folder
from abaw_ray.databases.reading.tracks import TrackImages, image_name
from abaw_ray.databases.reading.videos import compare_with_opencv, find_video

USUAL_NAME = re.compile(r"\d{5,8}\.jpg")
ANY_NAME = re.compile(r"0*([1-9]\d{0,7})\.(jpg|jpeg|png|bmp)", re.IGNORECASE | re.ASCII)

FrameOf = Callable[[str], int | None]
"""The frame that a picture is of, by its name; None: it is no picture of a frame."""


def usual_frame(name: str) -> int | None:
    """Of 00001.jpg, 00002.jpg, ...: 0, 1, ...; of anything else none."""
    number = int(name[:-4]) if USUAL_NAME.fullmatch(name) else 0
    return number - 1 if number and name == image_name(number - 1) else None


def any_frame(name: str) -> int | None:
    """As `usual_frame`, of jpg, png and bmp with any number of digits."""
    match = ANY_NAME.fullmatch(name)
    return int(match[1]) - 1 if match else None


class ImageFolders:
    """Images as files, a folder for each track.

    Args:
        root: of the database.
        folders: of the tracks' folders.
        frame_of: tells the frame of a picture by its name.
    """

    crop = "whole"

    def __init__(self, root: Path, folders: Sequence[Path], frame_of: FrameOf = usual_frame) -> None:
        self.folders, self._root, self._frame_of = list(folders), root, frame_of
        self._of: dict[str, list[Path]] = {}
        for folder in folders:
            for entry in entries(folder):
                if is_kind(entry.is_dir) and Path(entry.path) not in folders:
                    self._of.setdefault(entry.name, []).append(folder)

    def names(self, problems: Problems) -> set[str]:
        """Of the tracks that have images. Counts what is none, and tracks that lie in two folders."""
        for folder in self.folders:
            note_others(problems, folder, [entry.name for entry in entries(folder) if is_kind(entry.is_dir)])
        for track, folders in sorted(self._of.items()):
            for other in folders[1:]:
                problems.add("track_in_two_folders", f"{other / track}: not read, {folders[0] / track} is")
        return set(self._of)

    def of(self, track: str, problems: Problems) -> TrackImages:
        """A track's images; none if it has none. Of two pictures of a frame the first by name is taken."""
        folder = self._of.get(track, self.folders)[0]
        names: dict[int, str] = {}
        for entry in entries(folder / track) if track in self._of else []:
            frame = self._frame_of(entry.name)
            if frame is None or is_kind(entry.is_dir):
                problems.add("unexpected_file", entry.path)
            elif frame in names:
                problems.add("second_image_of_a_frame", f"{entry.path}: not read, {names[frame]} is")
            else:
                names[frame] = entry.name
        others = {frame: name for frame, name in names.items() if name != image_name(frame)}
        place = f"{image_prefix(self._root, folder)}/{track}"
        return TrackImages(place, np.array(sorted(names), np.int64), names=others)


class ImageBoxes:
    """Images in videos, a file of boxes for each track.

    Args:
        root: of the database.
        folder: of <track>.csv with the face's box in each frame.
        videos: the folders of the videos.
        layout: what the whole database should look like.
    """

    crop = "box"

    def __init__(self, root: Path, folder: Path, videos: Sequence[Path], layout: str) -> None:
        self.folders = [require_folder(folder, layout)]
        self._files = {e.name[:-4]: Path(e.path) for e in entries(folder) if e.name.endswith(".csv")}
        self._videos, self._root = [require_folder(place, layout) for place in videos], root

    def names(self, problems: Problems) -> set[str]:
        """As of `ImageFolders`."""
        note_others(problems, self.folders[0], (file.name for file in self._files.values()))
        return set(self._files)

    def of(self, track: str, problems: Problems) -> TrackImages:
        """As of `ImageFolders`."""
        video = find_video(self._videos, track)
        frames, boxes = np.empty(0, np.int64), np.empty((0, 4), np.float32)
        if track in self._files and video is None:
            places = ", ".join(map(str, self._videos))
            problems.add("boxes_without_video", f"{self._files[track]}: no video of that track in {places}")
        elif track in self._files and video is not None:
            frames, boxes = read_boxes(self._files[track])
            compare_with_opencv(video, problems)
        found = video or self._videos[0] / track
        return TrackImages(f"{image_prefix(self._root, found.parent)}/{found.name}", frames, boxes)


def image_prefix(root: Path, images: Path) -> str:
    """A folder of images as rows name it: absolute when outside the root."""
    # `..` would go astray where the root is a symbolic link
    return images.relative_to(root).as_posix() if images.is_relative_to(root) else images.resolve().as_posix()
