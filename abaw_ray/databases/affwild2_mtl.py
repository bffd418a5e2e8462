"""s-Aff-Wild2, the part of Aff-Wild2 for the multi-task challenges: pictures of frames with labels of all three tasks.

Agreed on by the public readers that were seen (ABAW4 and ABAW7): two lists with a header and lines
`<track>/00001.jpg,valence,arousal,expression,AU1,...,AU26`; -5 for valence and arousal, and -1 for the expression and
for units, that are not labelled; eight expressions with Other; pictures as in Aff-Wild2. Of the test set there is a
list of pictures, `MTL_Challenge_test_set_release.txt`, whose first line is a header. What headers say is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember
from abaw_ray.databases.reading.challenge_parts import IMAGE, CropFolders, find_parts
from abaw_ray.databases.reading.parsing import (
    add_each,
    parse_numbers,
    read_lines,
    require_folder,
    rows_table,
    unseen_table,
    videos_table,
)
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION_WITH_OTHER, VALENCE_AROUSAL
from abaw_ray.databases.reading.tracks import TrackImages
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import Split

SPACES = (EXPRESSION_WITH_OTHER, VALENCE_AROUSAL, ACTION_UNITS)
LISTS = {"training_set_annotations.txt": Split.TRAIN, "validation_set_annotations.txt": Split.VALIDATION}
NUM_NUMBERS = 3 + ACTION_UNITS.size
EXPECTED = f"<track>/<number>.jpg and {NUM_NUMBERS} numbers: valence, arousal, expression and units"
NO_VALENCE, NO_CLASS = -5, -1
PICTURE = re.compile(rf"([^/]+)/({IMAGE.pattern})", re.IGNORECASE)
TREE = """\
training_set_annotations.txt          a header; <track>/00001.jpg,valence,arousal,expression,AU1,AU2,...,AU26
validation_set_annotations.txt        likewise
MTL_Challenge_test_set_release.txt    a header; <track>/00001.jpg (it may be missing)
cropped_aligned/
  <track>/00001.jpg
cropped_aligned_new_50_vids/

Each may be at the root or up to three folders further down.
"""
LAYOUT = "see `abaw-ray inspect affwild2_mtl --layout`"

Place = tuple[str, int]
"""Track and frame, from 0."""

Labels = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Space -> label vectors (n, size) and `Split` values (n,) of pictures."""


@dataclass
class Listed:
    """Pictures in the order of the lists: where each is, the line that names it, split, and numbers (NUM_NUMBERS,)."""

    places: list[Place] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)


def read(root: Path, options: Options) -> LabelTable:
    """One row a listed picture that is there; a unit that is -1 is not known."""
    require_folder(root, LAYOUT)
    problems = Problems()
    parts = find_parts(root, LISTS, problems)
    if not parts.named or not parts.crops:
        lacking = " or ".join(LISTS) if not parts.named else "folder of pictures"
        raise MissingInputError(f"no {lacking} in {root}; expected layout: {LAYOUT}")
    listed = Listed()
    for file in sorted(parts.named):
        lines = [line.partition(",") for line in read_lines(file)[1:]]
        numbers = parse_numbers(file, [rest for _, _, rest in lines], 2, NUM_NUMBERS, EXPECTED)
        _add(listed, file, [name for name, _, _ in lines], LISTS[file.name], numbers)
    for file in parts.lists:
        names = [line.partition(",")[0] for line in read_lines(file)[1:]]
        _add(listed, file, names, Split.TEST, np.full((len(names), NUM_NUMBERS), np.nan))
    return _table(listed, _labels(listed, problems), CropFolders(parts.crops, root, problems), problems)


def _add(listed: Listed, file: Path, names: Sequence[str], split: Split, numbers: np.ndarray) -> None:
    """Adds the pictures called `names`, which are in a file from its second line on."""
    line_of = dict(zip(listed.places, listed.lines, strict=True))
    for line, name in enumerate(names, 2):
        match = PICTURE.fullmatch(name.strip())
        if match is None or int(match[3]) == 0:
            raise DatabaseFormatError(file, line, quoted(name), EXPECTED)
        place = match[1], int(match[3]) - 1
        if place in line_of:
            raise DatabaseFormatError(file, line, f"{name} again", f"it once, as in {line_of[place]}")
        line_of[place] = f"{file}:{line}"
    listed.places += list(line_of)[len(listed.places) :]
    listed.lines += list(line_of.values())[len(listed.lines) :]
    listed.splits += [split] * len(names)
    listed.numbers += list(numbers)


def _labels(listed: Listed, problems: Problems) -> Labels:
    """The labels of all listed pictures; of test sets NaN."""
    numbers, splits = np.array(listed.numbers).reshape(-1, NUM_NUMBERS), np.array(listed.splits, np.int8)
    va, classes, units = numbers[:, :2], numbers[:, 2], numbers[:, 3:]
    is_test = splits == Split.TEST
    one_hot = classes[:, None] == np.arange(EXPRESSION_WITH_OTHER.size)
    is_unit = np.isin(units, (NO_CLASS, 0, 1))
    found = {
        EXPRESSION_WITH_OTHER.name: (np.where(is_test[:, None], np.nan, one_hot), classes != NO_CLASS, one_hot.any(1)),
        VALENCE_AROUSAL.name: (va, ~(va == NO_VALENCE).any(1), (np.abs(va) <= 1).all(1)),
        ACTION_UNITS.name: (np.where(units == NO_CLASS, np.nan, units), (units != NO_CLASS).any(1), is_unit.all(1)),
    }
    labels = {}
    for name, (vectors, has_label, is_valid) in found.items():
        outside = np.flatnonzero(has_label & ~is_valid & ~is_test)
        add_each(problems, "label_out_of_range", outside, lambda row, name=name: f"{listed.lines[row]}: {name}")  # type: ignore[misc]
        labels[name] = vectors, np.where(is_test | (has_label & is_valid), splits, np.int8(Split.NONE))
    return labels


def _table(listed: Listed, labels: Labels, images: CropFolders, problems: Problems) -> LabelTable:
    labelled = np.any([splits != Split.NONE for _, splits in labels.values()], axis=0)
    add_each(problems, "frame_without_label", np.flatnonzero(~labelled), lambda row: listed.lines[row])
    seen, unseen, paths = [], [], []
    of_track: dict[str, TrackImages] = {}
    for row in sorted(np.flatnonzero(labelled).tolist(), key=lambda row: listed.places[row]):
        track, frame = listed.places[row]
        own = of_track.setdefault(track, images.images(track, problems)) if track not in of_track else of_track[track]
        if frame in own.frames:
            seen.append(row)
            paths.append(own.file(frame))
        else:
            unseen.append(row)
    add_each(problems, "frame_without_image", unseen, lambda row: listed.lines[row])
    add_each(problems, "track_without_label", sorted(images.tracks - set(of_track)), str)
    rows = rows_table(SPACES, *_columns(listed, seen), paths, _of(labels, seen))
    frames = unseen_table(SPACES, *_columns(listed, unseen), _of(labels, unseen))
    lengths = {track: frame + 1 for track, frame in sorted(listed.places)}  # a track's last frame stays
    return LabelTable(SPACES, rows, problems, frames, videos_table(lengths, rows, frames))


def _columns(listed: Listed, rows: Sequence[int]) -> tuple[list[str], list[int]]:
    """Tracks and frames of some pictures."""
    return [listed.places[row][0] for row in rows], [listed.places[row][1] for row in rows]


def _of(labels: Labels, rows: Sequence[int]) -> Labels:
    """Labels of some pictures: zeros where there is none."""
    chosen, found = np.array(rows, np.int64), {}
    for name, (vectors, splits) in labels.items():
        is_none = (splits[chosen] == Split.NONE)[:, None]
        found[name] = np.where(is_none, 0, vectors[chosen]), splits[chosen]
    return found


def sets(options: Options) -> tuple[SetMember, ...]:
    return (
        SetMember("mixed_expr", (EXPRESSION_WITH_OTHER.name,)),
        SetMember("mixed_va", (VALENCE_AROUSAL.name,)),
        SetMember("mixed_au", (ACTION_UNITS.name,)),
    )


DATABASE = Database(
    name="affwild2_mtl",
    title="s-Aff-Wild2: pictures of Aff-Wild2's multi-task challenges, with labels of all three tasks",
    layout=TREE,
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    options=Options,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)
