"""Aff-Wild2 as it is handed out since 2022 (ABAW3 to ABAW10): eight expressions, and several folders of pictures.

Assumed as in the edition of 2021, and agreed on by the public readers that were seen: a label file a track and task,
its line k after the header about frame k, picture NNNNN of frame NNNNN - 1; -1 (expression, units) and -5 (valence,
arousal) for frames without a label. See `reading.challenge_parts` for where the parts lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from abaw_ray.competition.track_files import TRACK_FORMATS, read_test_list
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember, row_schema, unseen_schema
from abaw_ray.databases.reading.challenge_files import (
    TRAIN_FOLDERS,
    VALIDATION_FOLDER,
    TrackFile,
    note_leaks,
    read_labels,
    track_files,
    video_frames,
)
from abaw_ray.databases.reading.challenge_parts import CropFolders, find_parts
from abaw_ray.databases.reading.parsing import note_others, require_folder, videos_table
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION_WITH_OTHER, VALENCE_AROUSAL
from abaw_ray.databases.reading.tracks import Track
from abaw_ray.databases.reading.videos import note_other_videos
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError

SPACES = {space.name: space for space in (EXPRESSION_WITH_OTHER, VALENCE_AROUSAL, ACTION_UNITS)}
FOLDERS = {
    "EXPR_Recognition_Challenge": EXPRESSION_WITH_OTHER.name,
    "EXPR_Classification_Challenge": EXPRESSION_WITH_OTHER.name,
    "VA_Estimation_Challenge": VALENCE_AROUSAL.name,
    "AU_Detection_Challenge": ACTION_UNITS.name,
}
"""Folder of label files -> space."""
LISTS = {
    "expr": EXPRESSION_WITH_OTHER.name,
    "va": VALENCE_AROUSAL.name,
    "au": ACTION_UNITS.name,
    "valence": VALENCE_AROUSAL.name,
    "action": ACTION_UNITS.name,
    "expression": EXPRESSION_WITH_OTHER.name,
}
"""A word in the name of a test set's list -> space."""
FORMATS = {
    **TRACK_FORMATS,
    EXPRESSION_WITH_OTHER.name: replace(
        TRACK_FORMATS[EXPRESSION_WITH_OTHER.name],
        names=EXPRESSION_WITH_OTHER.names,
        line=f"one class number from 0 to {EXPRESSION_WITH_OTHER.size - 1}",
        high=EXPRESSION_WITH_OTHER.size - 1,
    ),
}
TREE = """\
EXPR_Recognition_Challenge/   (or EXPR_Classification_Challenge/)
  Train_Set/
    <track>.txt               Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other, then a class a frame
  Validation_Set/
VA_Estimation_Challenge/      likewise: valence,arousal
AU_Detection_Challenge/       likewise: AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26
cropped_aligned/
  <track>/00001.jpg           (or png, bmp)
cropped_aligned_new_50_vids/
<...>_test_set_release.txt    tracks of the test set of EXPR, VA or AU, which may be missing
batch1/ batch2/ new_vids/     videos, which may be missing: they tell how long test tracks are

Each may be at the root or up to three folders further down.
"""
LAYOUT = "see `abaw-ray inspect affwild2_abaw3 --layout`"


class Abaw3Options(Options):
    """How much of the training frames is kept: all, unless said otherwise."""

    expression_every: int = Field(1, ge=1)
    va_every: int = Field(1, ge=1)
    au_every: int = Field(1, ge=1)


def read(root: Path, options: Abaw3Options) -> LabelTable:
    """One row a frame that has an image and a valid label of any task; of a track in a test set, every image."""
    require_folder(root, LAYOUT)
    problems = Problems()
    parts = find_parts(root, FOLDERS, problems)
    if not parts.named or not parts.crops:
        lacking = "folder of labels" if not parts.named else "folder of pictures"
        raise MissingInputError(f"no {lacking} in {root}; expected layout: {LAYOUT}")
    files = _label_files(parts.named, problems)
    tests = _tests(parts.lists, files)
    note_leaks(files, problems)
    images = CropFolders(parts.crops, root, problems)
    spaces = tuple(space for name, space in SPACES.items() if name in files or tests.get(name))
    rows, unseen, num_frames = [row_schema(spaces).empty_table()], [unseen_schema(spaces).empty_table()], {}
    names = sorted(images.tracks.union(*files.values(), *tests.values()))
    for folder in parts.videos:
        note_other_videos(folder, names, problems)
    for name in names:
        track = Track(
            name,
            images.images(name, problems),
            {t: read_labels(FORMATS[t], SPACES[t], by[name], problems) for t, by in files.items() if name in by},
            [task for task, tracks in tests.items() if name in tracks],
            spaces,
        )
        num_frames[name] = video_frames(track, parts.videos, problems) if track.tests else track.num_frames
        rows.append(track.rows(problems))
        if num_frames[name]:
            unseen.append(track.unseen(problems))
    all_rows, all_unseen = pa.concat_tables(rows), pa.concat_tables(unseen)
    return LabelTable(spaces, all_rows, problems, all_unseen, videos_table(num_frames, all_rows, all_unseen))


def _label_files(folders: list[Path], problems: Problems) -> dict[str, dict[str, TrackFile]]:
    """Space -> track -> its label file."""
    found: dict[str, Path] = {}
    for folder in folders:
        space = FOLDERS[folder.name]
        if space in found:
            raise ConfigurationError(f"label files of {space} in both {found[space]} and {folder}: remove one of them")
        found[space] = folder
        note_others(problems, folder, (*TRAIN_FOLDERS, VALIDATION_FOLDER))
    return {space: track_files(found[space], LAYOUT, problems) for space in SPACES if space in found}


def _tests(lists: list[Path], files: Mapping[str, Mapping[str, TrackFile]]) -> dict[str, set[str]]:
    """Space -> tracks of its test set."""
    tests: dict[str, set[str]] = {}
    for file in lists:
        words = file.name.lower().replace("-", "_").split("_")
        spaces = {LISTS[word] for word in words if word in LISTS}
        if len(spaces) != 1:
            expected = "EXPR, VA or AU in the name of a test set's list"
            raise DatabaseFormatError(file, None, repr(file.name), expected)
        (space,) = spaces
        if space in tests:
            raise DatabaseFormatError(file, None, f"another list of the test set of {space}", "one")
        tracks = read_test_list(file)
        for track, line in tracks.items():
            if track in files.get(space, {}):
                found = f"track {track}, which has labels in {files[space][track].file}"
                raise DatabaseFormatError(file, line, found, "a track of the test set")
        tests[space] = set(tracks)
    return tests


def sets(options: Abaw3Options) -> tuple[SetMember, ...]:
    """As of the edition of 2021, thinned by position as far as the options say."""
    return (
        SetMember("mixed_expr", (EXPRESSION_WITH_OTHER.name,), every=options.expression_every),
        SetMember("mixed_va", (VALENCE_AROUSAL.name,), every=options.va_every),
        SetMember("mixed_au", (ACTION_UNITS.name,), every=options.au_every),
    )


DATABASE = Database(
    name="affwild2_abaw3",
    title="Aff-Wild2 since 2022 (ABAW3 to ABAW10): eight expressions, valence-arousal and action units frame by frame",
    layout=TREE,
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    options=Abaw3Options,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)
