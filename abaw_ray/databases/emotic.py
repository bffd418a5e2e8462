"""EMOTIC: people in scenes, 26 categories of emotion, and valence, arousal and dominance from 1 to 10.

Kosti, Alvarez, Recasens, Lapedriza: Context Based Emotion Recognition using EMOTIC Dataset, TPAMI 2019. A row is a
person: its streams are the body, cut out by its box, and the scene, which is the whole picture. The annotations have no
faces; a table of them may be given. Gender and age are not read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading.emotic_files import (
    DIMENSIONS,
    SPLITS,
    Person,
    people_of_mat,
    people_of_table,
)
from abaw_ray.databases.reading.face_boxes import FaceBoxes
from abaw_ray.databases.reading.parsing import add_each, note_others, require_folder
from abaw_ray.databases.reading.picture_sizes import stated_size
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import MissingInputError, quoted
from abaw_ray.spaces import SPLIT_NAMES, LabelSpace
from abaw_ray.streams.base import Source, Stream

STRUCTURES = ("Annotations/Annotations.mat", "Annotations.mat")
TABLES = ("emotic_pre", "Annotations", ".")
"""Folders of train.csv, val.csv and test.csv."""
PICTURES = "emotic"
LAYOUT = (
    f"{STRUCTURES[0]}, or train.csv, val.csv and test.csv in {TABLES[0]}/; and the folders of pictures in {PICTURES}/"
    " (or beside them)"
)
EMOTIONS = LabelSpace(
    name="emotions",
    kind="multilabel",
    names=(
        "Affection",
        "Anger",
        "Annoyance",
        "Anticipation",
        "Aversion",
        "Confidence",
        "Disapproval",
        "Disconnection",
        "Disquietment",
        "Doubt/Confusion",
        "Embarrassment",
        "Engagement",
        "Esteem",
        "Excitement",
        "Fatigue",
        "Fear",
        "Happiness",
        "Pain",
        "Peace",
        "Pleasure",
        "Sadness",
        "Sensitivity",
        "Suffering",
        "Surprise",
        "Sympathy",
        "Yearning",
    ),
)
VALENCE_AROUSAL_DOMINANCE = LabelSpace(
    name="valence_arousal_dominance", kind="regression", names=DIMENSIONS, low=1, high=10
)
SPACES = (EMOTIONS, VALENCE_AROUSAL_DOMINANCE)
NUM_COMPARED = 8
"""Pictures whose sides are compared with those that are stored."""


class EmoticOptions(Options):
    """Sizes of the streams, and whose labels are kept."""

    body_size: int = Field(128, ge=16)
    """Side of a body in pixels; boxes are resized to a square, whatever their sides."""
    scene_size: int = Field(224, ge=16)
    """Side of a scene."""
    annotators: bool = True
    """Keep what each annotator of a validation or test picture says as labels of `annotator_1`, ..., too, in the order
    of the file: who it is, is not published. Tables have the labels of all of them together alone."""
    faces: Path | None = None
    """A table of people's faces, relative to the root, as `find-faces` writes it (`reading.face_boxes`): whoever has
    one in it has a face, and the others none, which is counted."""


def read(root: Path, options: EmoticOptions) -> LabelTable:
    """One row a person: `video` is the picture, `frame` the person's place among those annotated in it.

    The labels are the union of the annotators' categories and the mean of their values, as the file combines them.
    People without a category, without a value or with a box that holds nothing are left out and counted.
    """
    require_folder(root, LAYOUT)
    problems = Problems()
    people = list(_people(root, problems, options))
    pictures = root / PICTURES if (root / PICTURES).is_dir() else root
    prefix = "" if pictures == root else f"{PICTURES}/"
    there = {name: (pictures / name).is_file() for name in dict.fromkeys(person.picture for person in people)}
    columns_first = _columns_first(pictures, [person for person in people if there[person.picture]])
    streams = (
        Stream(name="body", kind="image", size=options.body_size, encoding="jpeg", crop="stretched_box"),
        Stream(name="scene", kind="image", size=options.scene_size, encoding="jpeg", crop="stretched"),
    )
    faces = None if options.faces is None else FaceBoxes.read(root / options.faces, prefix)
    rows, num_people = RowBuilder(SPACES, streams), Counter[str]()
    for person in people:
        place = num_people[person.picture]
        num_people[person.picture] += 1
        columns, lines = person.size if columns_first else person.size[::-1]
        box = _box(person, columns, lines, problems)
        found = None if faces is None else faces.of(person.picture, place, person.box)
        if not _is_labelled(person, problems) or box is None:
            continue
        if not there[person.picture]:
            problems.add("frame_without_image", f"{_where(person)}: no image {prefix}{person.picture}")
            continue
        path = f"{prefix}{person.picture}"
        sources, labels = {"body": Source(path, box), "scene": Source(path)}, dict(_labels(person, options, problems))
        face = None if faces is None else _seen(found, person, columns, lines, problems)
        rows.add(path, place, None if face is None else path, labels, face or (), sources=sources)
    if faces is not None:
        add_each(problems, "face_of_nobody", faces.unasked(), str)
    return LabelTable(SPACES, rows.table(), problems, streams=streams)


def _people(root: Path, problems: Problems, options: EmoticOptions) -> Iterator[Person]:
    """The people of the file of structures or, without one, of the tables."""
    structures = next((root / name for name in STRUCTURES if (root / name).is_file()), None)
    tables = [found for folder in TABLES if (found := _tables(root / folder))]
    every = [file for found in tables for file in found] + ([structures] if structures is not None else [])
    known = {file.relative_to(root).parts[0] for file in every}
    folders = {PICTURES} if (root / PICTURES).is_dir() else {entry.name for entry in root.iterdir() if entry.is_dir()}
    note_others(problems, root, known | folders | ({options.faces.parts[0]} if options.faces is not None else set()))
    if structures is None and not tables:
        raise MissingInputError(f"no annotations in {root}; expected layout: {LAYOUT}")
    for found in tables if structures is not None else tables[1:]:
        for file in found:
            problems.add("the_same_annotations_again", str(file))
    if structures is not None:
        yield from people_of_mat(structures)
    else:
        for file in tables[0]:
            yield from people_of_table(file, SPLIT_NAMES[file.stem])


def _tables(folder: Path) -> list[Path]:
    return [file for name in SPLITS if (file := folder / f"{name}.csv").is_file()]


def _columns_first(pictures: Path, people: Sequence[Person]) -> bool:
    """Whether stored sizes are columns and rows, or rows and columns: as pictures that are not square tell.

    Raises:
        DatabaseFormatError: a picture of another size, or two that tell otherwise.
    """
    by_picture = {person.picture: person for person in people if person.size[0] != person.size[1]}
    told: dict[bool, Person] = {}
    for person in islice(by_picture.values(), NUM_COMPARED):
        size = _size(pictures / person.picture)
        if size is None:
            continue  # preparation says what is wrong with it
        columns, lines = size
        stored = " and ".join(f"{side:g}" for side in person.size)
        if sorted(person.size) != sorted((lines, columns)):
            raise person.wrong(
                f"an image size of {stored}", f"that of {person.picture}, {columns} columns and {lines} rows"
            )
        told[person.size == (columns, lines)] = person
        if len(told) > 1:
            raise person.wrong(
                f"an image size of {stored}",
                f"{columns} columns and {lines} rows in the order of {_where(told[person.size != (columns, lines)])}",
            )
    return False not in told


def _size(file: Path) -> tuple[int, int] | None:
    """Width and height of a picture as it is stored; None: it cannot be told."""
    try:
        return stated_size(file.read_bytes())
    except OSError:
        return None


def _box(person: Person, columns: float, lines: float, problems: Problems) -> tuple[float, ...] | None:
    """The box of a body within its picture; None: it holds nothing, which is counted."""
    left, top, right, bottom = person.box
    shown = f"{_where(person)}: left, top, right, bottom {', '.join(f'{number:g}' for number in person.box)}"
    if not (right > left and bottom > top) or not all(map(math.isfinite, person.box)):
        problems.add("empty_box", shown)
        return None
    inside = (_clamped(left, columns), _clamped(top, lines), _clamped(right, columns), _clamped(bottom, lines))
    if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        problems.add("box_outside_the_picture", f"{shown} in {columns:g} x {lines:g}")
        return None
    if inside != person.box:
        problems.add("box_cut_at_the_picture", f"{shown} in {columns:g} x {lines:g}")
    return inside


def _seen(
    face: tuple[float, ...] | None, person: Person, columns: float, lines: float, problems: Problems
) -> tuple[float, ...] | None:
    """The box of a face that is at least in part in the picture; None: there is none, which is counted."""
    if face is None:
        problems.add("person_without_face", _where(person))
        return None
    left, top, right, bottom = face
    if right <= 0 or bottom <= 0 or left >= columns or top >= lines:
        shown = ", ".join(f"{side:g}" for side in face)
        problems.add("face_outside_the_picture", f"{_where(person)}: {shown} in {columns:g} x {lines:g}")
        return None
    return face


def _clamped(value: float, end: float) -> float:
    return min(max(value, 0.0), end)


def _is_labelled(person: Person, problems: Problems) -> bool:
    """Whether a person has categories and values within their range; what is not so is counted."""
    said = person.said
    _require_known(person, said.categories)
    if not said.categories:
        problems.add("person_without_category", _where(person))
    elif not said.values or any(map(math.isnan, said.values)):
        problems.add("person_without_values", _where(person))
    elif not _is_in_range(said.values):
        problems.add("label_out_of_range", f"{_where(person)}: {', '.join(f'{value:g}' for value in said.values)}")
    else:
        return True
    return False


def _labels(person: Person, options: EmoticOptions, problems: Problems) -> Iterator[tuple[LabelKey, Label]]:
    opinions = {"": person.said}
    if options.annotators:
        opinions |= {f"annotator_{number}": said for number, said in enumerate(person.annotators, 1)}
    for annotator, said in opinions.items():
        _require_known(person, said.categories)
        if said.categories:
            present = [float(name in said.categories) for name in EMOTIONS.names]
            yield (EMOTIONS.name, annotator), (present, person.split)
        if said.values and _is_in_range(said.values):
            yield (VALENCE_AROUSAL_DOMINANCE.name, annotator), (said.values, person.split)
        elif said.values and not all(map(math.isnan, said.values)):
            shown = ", ".join(f"{value:g}" for value in said.values)
            problems.add("label_out_of_range", f"{_where(person)}, {annotator}: {shown}")


def _is_in_range(values: Iterable[float]) -> bool:
    return all(VALENCE_AROUSAL_DOMINANCE.low <= value <= VALENCE_AROUSAL_DOMINANCE.high for value in values)


def _require_known(person: Person, categories: Iterable[str]) -> None:
    for name in categories:
        if name not in EMOTIONS.names:
            raise person.wrong(f"the category {quoted(name)}", f"one of {', '.join(EMOTIONS.names)}")


def _where(person: Person) -> str:
    return f"{person.file}:{person.line}" if person.line is not None else f"{person.file}: {person.entry}"


def sets(options: EmoticOptions) -> tuple[SetMember, ...]:
    return (SetMember("emotions_in_context", tuple(space.name for space in SPACES)),)


TREE = """\
Annotations/
  Annotations.mat           train, val and test: a structure a picture, with its people
emotic/
  mscoco/images/ ...
  framesdb/images/ ...
  emodb_small/images/ ...
  ade20k/images/ ...

or, as it circulates, in the place of Annotations/:

emotic_pre/
  train.csv                 Index,Folder,Filename,Image Size,BBox,Categorical_Labels,Continuous_Labels,Gender,Age
  val.csv
  test.csv
"""

DATABASE = Database(
    name="emotic",
    title="EMOTIC: 33,784 people in scenes, 26 categories of emotion, valence, arousal and dominance",
    layout=TREE,
    obtain="on request: https://github.com/rkosti/emotic",
    terms="research and education that are not commercial; the pictures are their owners'",
    options=EmoticOptions,
    read=read,
    crop="box",
    sets=sets,
)
