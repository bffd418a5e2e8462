"""Aff-Wild2: videos with one label file a face track and task, and test sets without labels.

The editions differ in their folders, lists and pictures (`reading.affwild2_places`), in their videos and splits, and in
the classes of expression: seven (ABAW2, 2021) or, since ABAW3 (2022), eight, of which the last is Other.

Of the label files of ABAW3 and later public readers show: a header, which all of them skip; then a line a frame, of
one class, of valence and arousal, or of twelve units; -1, -5 and -1 where there is no label; image NNNNN.jpg belongs to
line NNNNN below the header. Assumed: that the header names the eight classes, the two dimensions or the twelve units,
as it does in ABAW2; another one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from abaw_ray.competition.track_files import EDITIONS, Edition, TrackFormat, read_test_list
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember
from abaw_ray.databases.reading import affwild2_places as places
from abaw_ray.databases.reading.parsing import entries, is_kind, note_others, require_folder, videos_table
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, EXPRESSION_OR_OTHER, VALENCE_AROUSAL
from abaw_ray.databases.reading.track_images import ImageBoxes, ImageFolders, any_frame, usual_frame
from abaw_ray.databases.reading.tracks import Track, TrackLabels, checked_labels
from abaw_ray.databases.reading.videos import count_frames, find_video, note_other_videos
from abaw_ray.databases.schemas import row_schema, unseen_schema
from abaw_ray.errors import DatabaseFormatError, MissingInputError
from abaw_ray.spaces import LabelSpace, Split

ABAW2_LAYOUT = (
    "EXPR_Set/, VA_Set/ and/or AU_Set/ (here or under annotations/), each with Train_Set/ (or Training_Set/) and "
    "Validation_Set/ of <name>.txt; cropped_aligned/<name>/00001.jpg, 00002.jpg, ... or, with the option boxes, "
    "<name>.csv of frame,left,top,right,bottom and videos/<name>.mp4; of the test sets, which may be missing: "
    "expr_test_file.txt, va_test_file.txt, au_test_file.txt with a <name> a line, videos/<name>.mp4"
)
ABAW3_LAYOUT = (
    "EXPR_Recognition_Challenge/ or EXPR_Classification_Challenge/, VA_Estimation_Challenge/ and/or "
    "AU_Detection_Challenge/ (here or in a folder whose name ends in annotations), each with Train_Set/ and "
    "Validation_Set/ of <name>.txt; cropped_aligned/ and cropped_aligned_new_50_vids/ (here, in cropped_aligned/ or in "
    "batch1/, batch2/) of <name>/00001.jpg, 00002.jpg, ... or, with the option boxes, <name>.csv of "
    "frame,left,top,right,bottom and the videos; of the test sets, which may be missing: EXPR_test_set_release.txt, "
    "VA_test_set_release.txt, AU_test_set_release.txt with a <name> a line, and the videos in batch1/, batch2/, "
    "new_vids/ or videos/"
)
LAYOUTS: dict[Edition, str] = {"abaw2": ABAW2_LAYOUT, "abaw3": ABAW3_LAYOUT}
EXPRESSIONS: dict[Edition, LabelSpace] = {"abaw2": EXPRESSION, "abaw3": EXPRESSION_OR_OTHER}
TRAIN_FOLDERS, VALIDATION_FOLDER = ("Train_Set", "Training_Set"), "Validation_Set"


class AffWild2Options(Options):
    """Where the parts lie, and how much of the training frames is kept."""

    edition: Edition = "abaw2"
    """abaw2: as handed out in 2021; abaw3: as since 2022, with eight classes of expression."""
    annotations: Path | None = None
    """Folder of the tasks' label folders; None: the root, or its `annotations` (abaw3: any name that ends so)."""
    cropped_aligned: Path | None = None
    """Folder of the tracks' images; abaw3: it may hold others whose names begin with `cropped_aligned`. None: the
    root's of that name, or names."""
    videos: Path | None = None
    """Folder of the source videos, which tell how long the test tracks are, and with `boxes` hold the faces; abaw3: it
    may hold others, `batch1`, `batch2`, `new_vids`. None: the root's `videos` (abaw3: and those others)."""
    boxes: Path | None = None
    """Folder of <name>.csv with the face's box in each frame: faces are cut out of the videos; None: they are the
    images of cropped_aligned."""
    neutral_every: int = Field(10, ge=1)
    happiness_every: int = Field(2, ge=1)
    sadness_every: int = Field(2, ge=1)
    va_every: int = Field(5, ge=1)
    au_every: int = Field(1, ge=1)


@dataclass(frozen=True)
class TrackFile:
    """The label file of one track and task."""

    file: Path
    split: Split


def read(root: Path, options: AffWild2Options) -> LabelTable:
    """One row a frame that has an image and a valid label of any task; the labels of all tasks share the row.

    Line k after a label file's header is frame k, and image NNNNN.jpg is frame int(NNNNN) - 1. Of a track in a test
    set, every image is a row.
    """
    edition, layout = options.edition, LAYOUTS[options.edition]
    require_folder(root, layout)
    annotations, folders = places.label_folders(root, options.annotations, edition, layout)
    videos = places.video_folders(root, options.videos, edition, layout)
    problems = Problems()
    images = _images(root, options, videos)
    formats, lists = EDITIONS[edition], places.list_folders(root, annotations, edition)
    _note_others(problems, root, annotations, folders, lists, [*images.folders, *videos], formats)
    files = {task: _track_files(folder, layout, problems) for task, folder in folders.items()}
    tests = {task: _test_tracks(lists, form, files.get(task, {})) for task, form in formats.items()}
    _note_leaks(files, problems)
    of_task = {space.name: space for space in (EXPRESSIONS[edition], VALENCE_AROUSAL, ACTION_UNITS)}
    spaces = tuple(space for task, space in of_task.items() if task in files or tests[task])
    rows, unseen = [row_schema(spaces).empty_table()], [unseen_schema(spaces).empty_table()]
    num_frames = {}
    names = sorted(images.names(problems).union(*files.values(), *tests.values()))
    for folder in filter(Path.is_dir, videos):
        known = [part.name for part in (*images.folders, *videos) if part.parent == folder]
        note_other_videos(folder, names, problems, known)
    for name in names:
        own = {task: tracks[name] for task, tracks in files.items() if name in tracks}
        labels = {t: _read_labels(of_task[t], formats[t], track, problems) for t, track in own.items()}
        tested = [task for task, names in tests.items() if name in names]
        track = Track(name, images.of(name, problems), labels, tested, spaces)
        num_frames[name] = _video_frames(track, videos, problems) if track.tests else track.num_frames
        rows.append(track.rows(problems))
        if num_frames[name]:
            unseen.append(track.unseen(problems))
    all_rows, all_unseen = pa.concat_tables(rows), pa.concat_tables(unseen)
    of_videos = videos_table(num_frames, all_rows, all_unseen)
    return LabelTable(spaces, all_rows, problems, all_unseen, of_videos, crop=images.crop)


def _images(root: Path, options: AffWild2Options, videos: list[Path]) -> ImageFolders | ImageBoxes:
    edition, layout = options.edition, LAYOUTS[options.edition]
    if options.boxes is not None:
        return ImageBoxes(root, options.boxes, videos, layout)
    folders = places.crop_folders(root, options.cropped_aligned, edition, layout)
    return ImageFolders(root, folders, usual_frame if edition == "abaw2" else any_frame)


def _note_others(
    problems: Problems,
    root: Path,
    annotations: Path,
    folders: dict[str, Path],
    lists: list[Path],
    parts: list[Path],
    formats: dict[str, TrackFormat],
) -> None:
    """Counts what lies at the place of label sets, test lists or parts, and is none of them."""
    test_lists = [folder / name for folder in lists for form in formats.values() for name in form.test_lists]
    places.note_around(problems, lists, [*parts, annotations, *folders.values(), *test_lists])
    for folder in folders.values():
        note_others(problems, folder, (*TRAIN_FOLDERS, VALIDATION_FOLDER))


def _track_files(set_folder: Path, layout: str, problems: Problems) -> dict[str, TrackFile]:
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
            if suffix != "txt" or not is_kind(entry.is_file):
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


def _test_tracks(folders: list[Path], form: TrackFormat, labelled: dict[str, TrackFile]) -> set[str]:
    """Names of the tracks in a task's test set; `labelled` are the task's label files by track."""
    file = places.test_list(folders, form.test_lists)
    if file is None:
        return set()
    tracks = read_test_list(file)
    for track, line in tracks.items():
        if track in labelled:
            found = f"track {track}, which has labels in {labelled[track].file}"
            raise DatabaseFormatError(file, line, found, "a track of the test set")
    return set(tracks)


def _note_leaks(files: dict[str, dict[str, TrackFile]], problems: Problems) -> None:
    for first, second in combinations(files.values(), 2):
        for name in sorted(first.keys() & second.keys()):
            if first[name].split != second[name].split:
                where = f"{first[name].file} and {second[name].file}"
                problems.add("video_in_train_and_validation_of_different_tasks", where)


def _read_labels(space: LabelSpace, form: TrackFormat, track: TrackFile, problems: Problems) -> TrackLabels:
    file = track.file
    lines, numbers = form.read(file)
    vectors, valid = checked_labels(space, form, file, lines, numbers, problems)
    return TrackLabels(file, track.split, vectors, np.flatnonzero(valid))


def _video_frames(track: Track, videos: list[Path], problems: Problems) -> int:
    """Number of frames of the video that a track comes from, as far as can be told."""
    video = find_video(videos, track.name)
    if video is None:
        problems.add("video_not_found", f"{', '.join(map(str, videos))}: no video of track {track.name}")
        return track.num_frames
    num_frames = count_frames(video)
    if len(track.frames) and num_frames <= track.frames[-1]:
        last_image = track.images.describe(int(track.frames[-1]))
        problems.add("video_shorter_than_its_images", f"{video}: {num_frames} frames, but image {last_image}")
    return max(num_frames, track.num_frames)


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
ABAW3_TREE = """\
EXPR_Recognition_Challenge/   (or EXPR_Classification_Challenge/; here, or in a folder whose name ends in annotations)
  Train_Set/
    <track>.txt               Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other, then a class a frame
  Validation_Set/
VA_Estimation_Challenge/      likewise: valence,arousal
AU_Detection_Challenge/       likewise: AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26
cropped_aligned/
  <track>/00001.jpg           (or png, bmp)
cropped_aligned_new_50_vids/
<...>_test_set_release.txt    tracks of the test set of EXPR, VA or AU, which may be missing
batch1/ batch2/ new_vids/     videos (or in videos/), needed for a competition entry
"""

DATABASE = Database(
    name="affwild2",
    title="Aff-Wild2: in-the-wild videos, expression, valence-arousal and action units frame by frame",
    layout=f"{TREE}\nor, with edition=abaw3:\n\n{ABAW3_TREE}",
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    terms="research that is not commercial, under a signed agreement; the videos are their owners'",
    options=AffWild2Options,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)
