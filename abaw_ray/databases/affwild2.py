"""Aff-Wild2 (ABAW2, 2021): videos with one expression file and one valence-arousal file a face track."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember, row_schema
from abaw_ray.databases.parsing import (
    add_each,
    entries,
    parse_numbers,
    read_lines,
    require_folder,
    rows_table,
)
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.labels import DIMENSIONS, EXPRESSIONS, TASKS, Split

LAYOUT = (
    "EXPR_Set/ and/or VA_Set/ (here or under annotations/), each with Train_Set/ (or Training_Set/) and "
    "Validation_Set/ of <name>.txt; cropped_aligned/<name>/00001.jpg, 00002.jpg, ..."
)
SET_FOLDERS = {"expression": "EXPR_Set", "valence_arousal": "VA_Set"}
UNLABELLED = {"expression": -1.0, "valence_arousal": -5.0}
HEADERS = {"expression": EXPRESSIONS, "valence_arousal": DIMENSIONS}
IMAGE_NAME = re.compile(r"\d{5,8}\.jpg")


class AffWild2Options(Options):
    """Where the parts lie, and how much of the training frames is kept."""

    annotations: Path | None = None
    """Folder of EXPR_Set and VA_Set; None: the root, or its `annotations`."""
    cropped_aligned: Path | None = None
    """Folder of the tracks' images; None: the root's `cropped_aligned`."""
    neutral_every: int = Field(10, ge=1)
    happiness_every: int = Field(2, ge=1)
    sadness_every: int = Field(2, ge=1)
    va_every: int = Field(5, ge=1)


@dataclass(frozen=True)
class TrackFile:
    """The label file of one track and task."""

    file: Path
    split: Split


@dataclass(frozen=True)
class TrackLabels:
    """One task's labels of one track: vectors (rows, size), which rows are valid (rows,)."""

    file: Path
    split: Split
    vectors: np.ndarray
    valid: np.ndarray


def read(root: Path, options: AffWild2Options) -> LabelTable:
    """One row a frame that has an image and a valid label of either task; both tasks' labels share the row.

    Row k after a label file's header is frame k, and image NNNNN.jpg is frame int(NNNNN) - 1.
    """
    require_folder(root, LAYOUT)
    annotations = _annotations_folder(root, options)
    images = require_folder(options.cropped_aligned or root / "cropped_aligned", LAYOUT)
    problems = Problems()
    files = {
        task: _track_files(annotations / folder, problems)
        for task, folder in SET_FOLDERS.items()
        if (annotations / folder).is_dir()
    }
    _note_leaks(files, problems)
    folders = {e.name for e in entries(images) if e.is_dir()}
    prefix = _image_prefix(root, images)
    tables = [row_schema().empty_table()]
    for name in sorted(folders.union(*files.values())):
        labels = {task: _read_labels(task, tracks[name], problems) for task, tracks in files.items() if name in tracks}
        frames = _image_frames(images / name, problems) if name in folders else np.empty(0, np.int64)
        tables.append(_track_rows(name, prefix, frames, labels, problems))
    return LabelTable(pa.concat_tables(tables), problems)


def _annotations_folder(root: Path, options: AffWild2Options) -> Path:
    candidates = [options.annotations] if options.annotations else [root, root / "annotations"]
    found = [c for c in candidates if any((c / f).is_dir() for f in SET_FOLDERS.values())]
    if not found:
        raise MissingInputError(
            f"no EXPR_Set or VA_Set in {' or '.join(map(str, candidates))}; expected layout: {LAYOUT}"
        )
    if len(found) > 1:
        raise ConfigurationError(f"label sets in both {found[0]} and {found[1]}: choose with the option annotations")
    return found[0]


def _image_prefix(root: Path, images: Path) -> str:
    # absolute when outside the root: `..` would go astray where the root is a symbolic link
    return images.relative_to(root).as_posix() if images.is_relative_to(root) else images.resolve().as_posix()


def _track_files(set_folder: Path, problems: Problems) -> dict[str, TrackFile]:
    train = [set_folder / n for n in ("Train_Set", "Training_Set") if (set_folder / n).is_dir()]
    if len(train) > 1:
        raise DatabaseFormatError(set_folder, None, "both Train_Set and Training_Set", "one of them")
    if not train:
        raise MissingInputError(f"no folder {set_folder / 'Train_Set'}; expected layout: {LAYOUT}")
    validation = require_folder(set_folder / "Validation_Set", LAYOUT)
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


def _note_leaks(files: dict[str, dict[str, TrackFile]], problems: Problems) -> None:
    expression, valence_arousal = (files.get(task, {}) for task in SET_FOLDERS)
    for name in sorted(expression.keys() & valence_arousal.keys()):
        if expression[name].split != valence_arousal[name].split:
            where = f"{expression[name].file} and {valence_arousal[name].file}"
            problems.add("video_in_train_and_validation_of_different_tasks", where)


def _read_labels(task: str, track: TrackFile, problems: Problems) -> TrackLabels:
    file, names = track.file, HEADERS[task]
    lines = read_lines(file)
    header = [n.strip().lower() for n in lines[0].split(",")] if lines else []
    if header != [n.lower() for n in names]:
        found = repr(lines[0]) if lines else "an empty file"
        raise DatabaseFormatError(file, 1, found, f"the header {','.join(names)}")
    expected = "one class number" if task == "expression" else "two numbers: valence,arousal"
    num_fields = 1 if task == "expression" else len(names)
    numbers = parse_numbers(file, lines[1:], 2, num_fields, expected)
    fraction = np.flatnonzero(numbers[:, 0] % 1)
    if task == "expression" and len(fraction):
        raise DatabaseFormatError(file, int(fraction[0]) + 2, repr(lines[fraction[0] + 1]), expected)

    unlabelled = (numbers == UNLABELLED[task]).any(axis=1)
    low, high = (0, len(EXPRESSIONS) - 1) if task == "expression" else (-1, 1)
    outside = ((numbers < low) | (numbers > high)).any(axis=1) & ~unlabelled
    add_each(problems, f"{task}_unlabelled", np.flatnonzero(unlabelled), lambda k: f"{file}:{k + 2}")
    add_each(problems, "label_out_of_range", np.flatnonzero(outside), lambda k: f"{file}:{k + 2}: {lines[k + 1]}")
    vectors = numbers == np.arange(len(EXPRESSIONS)) if task == "expression" else numbers
    return TrackLabels(file, track.split, vectors, ~unlabelled & ~outside)


def _image_frames(folder: Path, problems: Problems) -> np.ndarray:
    """0-based frames (images,) that have an image, ascending."""
    frames = []
    for entry in entries(folder):
        number = int(entry.name[:-4]) if IMAGE_NAME.fullmatch(entry.name) else 0
        if number and entry.name == f"{number:05d}.jpg":
            frames.append(number - 1)
        else:
            problems.add("unexpected_file", entry.path)
    return np.array(sorted(frames), np.int64)


def _track_rows(
    name: str, prefix: str, frames: np.ndarray, labels: dict[str, TrackLabels], problems: Problems
) -> pa.Table:
    if labels and not len(frames):
        problems.add("video_without_images", name)
    num_frames = max((len(t.valid) for t in labels.values()), default=0)
    has_image = np.zeros(num_frames, bool)
    has_image[frames[frames < num_frames]] = True
    valid = {task: np.pad(t.valid, (0, num_frames - len(t.valid))) for task, t in labels.items()}
    labelled = np.any([np.zeros(num_frames, bool), *valid.values()], axis=0)
    kept = np.flatnonzero(has_image & labelled)

    def image(frame: int) -> str:
        return f"{prefix}/{name}/{frame + 1:05d}.jpg"

    def missing(frame: int) -> str:
        task = next(t for t in labels if valid[t][frame])
        return f"{labels[task].file}:{frame + 2}: no image {image(frame)}"

    add_each(problems, "frame_without_image", np.flatnonzero(labelled & ~has_image), missing)
    add_each(problems, "image_without_label", np.setdiff1d(frames, kept, assume_unique=True), image)
    columns = {}
    for task, track in labels.items():
        of_task = valid[task][kept]
        vectors = np.zeros((len(kept), TASKS[task]), np.float32)
        vectors[of_task] = track.vectors[kept[of_task]]
        columns[task] = (vectors, np.where(of_task, int(track.split), int(Split.NONE)))
    return rows_table([name] * len(kept), kept, [image(f) for f in kept.tolist()], columns)


def sets(options: AffWild2Options) -> tuple[SetMember, ...]:
    """Mixed EXPR and Mixed VA, down-sampled by position (Vu et al. 2021, section 3)."""
    every_by_class = {
        "Neutral": options.neutral_every,
        "Happiness": options.happiness_every,
        "Sadness": options.sadness_every,
    }
    return (
        SetMember("mixed_expr", ("expression",), every_by_class=every_by_class),
        SetMember("mixed_va", ("valence_arousal",), every=options.va_every),
    )


DATABASE = Database(
    name="affwild2",
    title="Aff-Wild2 (ABAW2 2021): in-the-wild videos, expression and valence-arousal frame by frame",
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    options=AffWild2Options,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)
