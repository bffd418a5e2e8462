"""Aff-Wild2 (ABAW2, 2021): videos with one label file a face track and task, and test sets without labels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from abaw_ray.competition.track_files import TRACK_FORMATS, read_test_list
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember, row_schema, unseen_schema
from abaw_ray.databases.reading.boxes import read_boxes
from abaw_ray.databases.reading.challenge_files import (
    TRAIN_FOLDERS,
    VALIDATION_FOLDER,
    TrackFile,
    image_prefix,
    note_leaks,
    read_labels,
    track_files,
    video_frames,
)
from abaw_ray.databases.reading.parsing import entries, note_others, require_folder, videos_table
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.reading.tracks import Track, TrackImages
from abaw_ray.databases.reading.videos import compare_with_opencv, find_video, note_other_videos
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError

LAYOUT = (
    "EXPR_Set/, VA_Set/ and/or AU_Set/ (here or under annotations/), each with Train_Set/ (or Training_Set/) and "
    "Validation_Set/ of <name>.txt; cropped_aligned/<name>/00001.jpg, 00002.jpg, ... or, with the option boxes, "
    "<name>.csv of frame,left,top,right,bottom and videos/<name>.mp4; of the test sets, which may be missing: "
    "expr_test_file.txt, va_test_file.txt, au_test_file.txt with a <name> a line, videos/<name>.mp4"
)
SPACES = {space.name: space for space in (EXPRESSION, VALENCE_AROUSAL, ACTION_UNITS)}
SET_FOLDERS = ", ".join(f.folder for f in TRACK_FORMATS.values())
IMAGE_NAME = re.compile(r"\d{5,8}\.jpg")


class AffWild2Options(Options):
    """Where the parts lie, and how much of the training frames is kept."""

    annotations: Path | None = None
    """Folder of EXPR_Set, VA_Set and AU_Set; None: the root, or its `annotations`."""
    cropped_aligned: Path | None = None
    """Folder of the tracks' images; None: the root's `cropped_aligned`."""
    videos: Path | None = None
    """Folder of the source videos, which tell how long the test tracks are, and with `boxes` hold the faces; None: the
    root's `videos`."""
    boxes: Path | None = None
    """Folder of <name>.csv with the face's box in each frame: faces are cut out of the videos; None: they are the
    images of cropped_aligned."""
    neutral_every: int = Field(10, ge=1)
    happiness_every: int = Field(2, ge=1)
    sadness_every: int = Field(2, ge=1)
    va_every: int = Field(5, ge=1)
    au_every: int = Field(1, ge=1)


def read(root: Path, options: AffWild2Options) -> LabelTable:
    """One row a frame that has an image and a valid label of any task; the labels of all tasks share the row.

    Line k after a label file's header is frame k, and image NNNNN.jpg is frame int(NNNNN) - 1. Of a track in a test
    set, every image is a row.
    """
    require_folder(root, LAYOUT)
    annotations = _annotations_folder(root, options)
    videos = require_folder(options.videos, LAYOUT) if options.videos else root / "videos"
    problems = Problems()
    images: _Images = _Folders(root, options) if options.boxes is None else _Boxes(root, options.boxes, videos)
    _note_others(problems, root, annotations, [images.folder, videos])
    files = {
        task: track_files(annotations / of_task.folder, LAYOUT, problems)
        for task, of_task in TRACK_FORMATS.items()
        if (annotations / of_task.folder).is_dir()
    }
    tests = {task: _test_tracks(task, annotations, root, files.get(task, {})) for task in TRACK_FORMATS}
    note_leaks(files, problems)
    spaces = tuple(space for name, space in SPACES.items() if name in files or tests[name])
    rows, unseen = [row_schema(spaces).empty_table()], [unseen_schema(spaces).empty_table()]
    num_frames = {}
    names = sorted(images.names(problems).union(*files.values(), *tests.values()))
    if videos.is_dir():
        note_other_videos(videos, names, problems)
    for name in names:
        track = Track(
            name,
            images.of(name, problems),
            {
                task: read_labels(TRACK_FORMATS[task], SPACES[task], of_task[name], problems)
                for task, of_task in files.items()
                if name in of_task
            },
            [task for task, names in tests.items() if name in names],
            spaces,
        )
        num_frames[name] = video_frames(track, [videos], problems) if track.tests else track.num_frames
        rows.append(track.rows(problems))
        if num_frames[name]:
            unseen.append(track.unseen(problems))
    all_rows, all_unseen = pa.concat_tables(rows), pa.concat_tables(unseen)
    of_videos = videos_table(num_frames, all_rows, all_unseen)
    return LabelTable(spaces, all_rows, problems, all_unseen, of_videos, crop=images.crop)


def _note_others(problems: Problems, root: Path, annotations: Path, parts: list[Path]) -> None:
    """Counts what lies at the place of label sets, test lists or parts, and is none of them."""
    set_folders = {f.folder for f in TRACK_FORMATS.values() if (annotations / f.folder).is_dir()}
    lists = {f.test_list for f in TRACK_FORMATS.values()}
    in_root = {p.relative_to(root).parts[0] for p in [*parts, annotations] if root in p.parents}
    note_others(problems, root, lists | in_root | (set_folders if annotations == root else set()))
    if annotations != root:
        note_others(problems, annotations, lists | set_folders)
    for name in sorted(set_folders):
        note_others(problems, annotations / name, (*TRAIN_FOLDERS, VALIDATION_FOLDER))


class _Folders:
    """Images as files, a folder for each track."""

    crop = "whole"

    def __init__(self, root: Path, options: AffWild2Options) -> None:
        self.folder = require_folder(options.cropped_aligned or root / "cropped_aligned", LAYOUT)
        self._prefix = image_prefix(root, self.folder)
        self._names = {e.name for e in entries(self.folder) if e.is_dir()}

    def names(self, problems: Problems) -> set[str]:
        """Names of the tracks that have images; counts what else lies there."""
        note_others(problems, self.folder, self._names)
        return self._names

    def of(self, track: str, problems: Problems) -> TrackImages:
        """A track's images; none if it has none."""
        frames = []
        for entry in entries(self.folder / track) if track in self._names else []:
            number = int(entry.name[:-4]) if IMAGE_NAME.fullmatch(entry.name) else 0
            if number and entry.name == f"{number:05d}.jpg":
                frames.append(number - 1)
            else:
                problems.add("unexpected_file", entry.path)
        return TrackImages(f"{self._prefix}/{track}", np.array(sorted(frames), np.int64))


class _Boxes:
    """Images in videos, a file of boxes for each track."""

    crop = "box"

    def __init__(self, root: Path, folder: Path, videos: Path) -> None:
        self.folder = require_folder(folder, LAYOUT)
        self._files = {e.name[:-4]: Path(e.path) for e in entries(folder) if e.name.endswith(".csv")}
        self._videos, self._prefix = videos, image_prefix(root, require_folder(videos, LAYOUT))

    def names(self, problems: Problems) -> set[str]:
        """As of `_Folders`."""
        note_others(problems, self.folder, (file.name for file in self._files.values()))
        return set(self._files)

    def of(self, track: str, problems: Problems) -> TrackImages:
        """As of `_Folders`."""
        video = find_video(self._videos, track)
        frames, boxes = np.empty(0, np.int64), np.empty((0, 4), np.float32)
        if track in self._files and video is None:
            problems.add("boxes_without_video", f"{self._files[track]}: no video of that track in {self._videos}")
        elif track in self._files and video is not None:
            frames, boxes = read_boxes(self._files[track])
            compare_with_opencv(video, problems)
        return TrackImages(f"{self._prefix}/{video.name if video else track}", frames, boxes)


_Images = _Folders | _Boxes


def _annotations_folder(root: Path, options: AffWild2Options) -> Path:
    candidates = [options.annotations] if options.annotations else [root, root / "annotations"]
    found = [c for c in candidates if any((c / f.folder).is_dir() for f in TRACK_FORMATS.values())]
    if not found:
        raise MissingInputError(
            f"none of {SET_FOLDERS} in {' or '.join(map(str, candidates))}; expected layout: {LAYOUT}"
        )
    if len(found) > 1:
        raise ConfigurationError(f"label sets in both {found[0]} and {found[1]}: choose with the option annotations")
    return found[0]


def _test_tracks(task: str, annotations: Path, root: Path, labelled: dict[str, TrackFile]) -> set[str]:
    """Names of the tracks in a task's test set; `labelled` are the task's label files by track."""
    name = TRACK_FORMATS[task].test_list
    lists = [folder / name for folder in dict.fromkeys((annotations, root)) if (folder / name).is_file()]
    if not lists:
        return set()
    if len(lists) > 1:
        raise ConfigurationError(f"test lists {lists[0]} and {lists[1]}: remove one of them")
    tracks = read_test_list(lists[0])
    for track, line in tracks.items():
        if track in labelled:
            found = f"track {track}, which has labels in {labelled[track].file}"
            raise DatabaseFormatError(lists[0], line, found, "a track of the test set")
    return set(tracks)


def sets(options: AffWild2Options) -> tuple[SetMember, ...]:
    """Mixed EXPR and Mixed VA, down-sampled by position (Vu et al. 2021, section 3), and the action units."""
    every_by_class = {
        "Neutral": options.neutral_every,
        "Happiness": options.happiness_every,
        "Sadness": options.sadness_every,
    }
    return (
        SetMember("mixed_expr", ("expression",), every_by_class=every_by_class),
        SetMember("mixed_va", ("valence_arousal",), every=options.va_every),
        SetMember("mixed_au", ("action_units",), every=options.au_every),
    )


TREE = """\
EXPR_Set/           (here, or in annotations/)
  Train_Set/        (or Training_Set/)
    <track>.txt     Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise, then a class a frame
  Validation_Set/
VA_Set/             likewise: valence,arousal
AU_Set/             likewise: AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26
cropped_aligned/
  <track>/00001.jpg a face a frame; or, with the option boxes, videos/ and <track>.csv of frame,left,top,right,bottom
expr_test_file.txt  tracks of the test sets, which may be missing
va_test_file.txt
au_test_file.txt
videos/             needed for a competition entry
"""

DATABASE = Database(
    name="affwild2",
    title="Aff-Wild2 (ABAW2 2021): in-the-wild videos, expression, valence-arousal and action units frame by frame",
    layout=TREE,
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    options=AffWild2Options,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)
