"""Label files of face tracks, a line a frame, in a folder for each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from abaw_ray.competition.track_files import TrackFormat
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each, entries, require_folder
from abaw_ray.databases.reading.tracks import Track, TrackLabels
from abaw_ray.databases.reading.videos import count_frames, find_video
from abaw_ray.errors import DatabaseFormatError, MissingInputError
from abaw_ray.spaces import LabelSpace, Split

TRAIN_FOLDERS, VALIDATION_FOLDER = ("Train_Set", "Training_Set"), "Validation_Set"


@dataclass(frozen=True)
class TrackFile:
    """The label file of one track and task."""

    file: Path
    split: Split


def track_files(set_folder: Path, layout: str, problems: Problems) -> dict[str, TrackFile]:
    """The label files of a task by track.

    Raises:
        MissingInputError: no folder of a split.
        DatabaseFormatError: two folders of one, or a track in two splits.
    """
    train = [set_folder / n for n in TRAIN_FOLDERS if (set_folder / n).is_dir()]
    if len(train) > 1:
        raise DatabaseFormatError(set_folder, None, "both Train_Set and Training_Set", "one of them")
    if not train:
        raise MissingInputError(f"no folder {set_folder / 'Train_Set'}; expected layout: {layout}")
    validation = require_folder(set_folder / VALIDATION_FOLDER, layout)
    tracks: dict[str, TrackFile] = {}
    for folder, split in ((train[0], Split.TRAIN), (validation, Split.VALIDATION)):
        for entry in entries(folder):
            name, _, suffix = entry.name.rpartition(".")
            if suffix != "txt" or not entry.is_file():
                problems.add("unexpected_file", entry.path)
            elif name in tracks:
                raise DatabaseFormatError(
                    entry.path,
                    None,
                    f"track {name} also in {tracks[name].file.parent.name}",
                    "a track in one split",
                )
            else:
                tracks[name] = TrackFile(Path(entry.path), split)
    return tracks


def read_labels(form: TrackFormat, space: LabelSpace, track: TrackFile, problems: Problems) -> TrackLabels:
    """A track's labels in a space; frames without one, and with one out of range, are counted."""
    file = track.file
    lines, numbers = form.read(file)
    unlabelled = (numbers == form.unlabelled).any(axis=1)
    outside = ((numbers < form.low) | (numbers > form.high)).any(axis=1) & ~unlabelled
    add_each(problems, f"{space.name}_unlabelled", np.flatnonzero(unlabelled), lambda k: f"{file}:{k + 2}")
    add_each(problems, "label_out_of_range", np.flatnonzero(outside), lambda k: f"{file}:{k + 2}: {lines[k + 1]}")
    vectors = numbers == np.arange(space.size) if space.kind == "multiclass" else numbers
    return TrackLabels(file, track.split, vectors, np.flatnonzero(~unlabelled & ~outside))


def note_leaks(files: Mapping[str, Mapping[str, TrackFile]], problems: Problems) -> None:
    """Counts tracks whose files of two tasks are in different splits."""
    for first, second in combinations(files.values(), 2):
        for name in sorted(first.keys() & second.keys()):
            if first[name].split != second[name].split:
                where = f"{first[name].file} and {second[name].file}"
                problems.add("video_in_train_and_validation_of_different_tasks", where)


def video_frames(track: Track, videos: Sequence[Path], problems: Problems) -> int:
    """Number of frames of the video that a track comes from, as far as can be told."""
    found = (find_video(folder, track.name) for folder in videos)
    video = next((video for video in found if video is not None), None)
    if video is None:
        places = ", ".join(map(str, videos)) or "no folder of videos"
        problems.add("video_not_found", f"{places}: no video of track {track.name}")
        return track.num_frames
    num_frames = count_frames(video)
    if len(track.frames) and num_frames <= track.frames[-1]:
        last_image = track.images.describe(int(track.frames[-1]))
        problems.add("video_shorter_than_its_images", f"{video}: {num_frames} frames, but image {last_image}")
    return max(num_frames, track.num_frames)


def image_prefix(root: Path, images: Path) -> str:
    """A folder of images, or of videos, as rows of a database under `root` name it."""
    # absolute when outside the root: `..` would go astray where the root is a symbolic link
    return images.relative_to(root).as_posix() if images.is_relative_to(root) else images.resolve().as_posix()
