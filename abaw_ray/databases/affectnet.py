"""AffectNet, manually annotated part: web photos with 68 landmarks, an expression, valence and arousal.

Two layouts are read: the first release's lists of photos with landmarks, and the later one's faces with npy files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember
from abaw_ray.databases.reading import affectnet_npy
from abaw_ray.databases.reading.parsing import (
    add_each,
    csv_rows,
    note_others,
    parse_integer,
    parse_number,
    require_file,
    require_folder,
    rows_table,
)
from abaw_ray.databases.reading.spaces import EIGHT_EXPRESSIONS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.schemas import row_schema
from abaw_ray.errors import DatabaseFormatError, quoted
from abaw_ray.spaces import LabelSpace, Split

LAYOUT = (
    "Manually_Annotated_file_lists/training.csv and validation.csv; photos in "
    "Manually_Annotated_compressed/Manually_Annotated_Images/ or Manually_Annotated_Images/; "
    f"or {affectnet_npy.LAYOUT}"
)
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
EXPECTED = f"9 fields: {','.join(COLUMNS)}"
EXPECTED_LANDMARKS = "68 landmarks: 136 numbers x;y;x;y;..."
NUM_COORDINATES = 136
MISSING = -2.0
NATIVE = (*affectnet_npy.NATIVE, "None", "Uncertain", "Non-Face")
"""Classes by native id."""
EXPRESSIONS = {7: EXPRESSION, 8: EIGHT_EXPRESSIONS}
OUTSIDE = {7: "class_outside_the_seven", 8: "class_outside_the_eight"}
CHUNK_ROWS = 16_384  # landmarks are parsed together, a chunk at a time: 287,000 rows hold 39 million numbers


class AffectNetOptions(Options):
    """How the published validation list is used, and which expressions there are."""

    use_validation_for_training: bool = True
    """True, as the reference: both lists are for training. False: validation.csv (val_set) is for validation."""
    classes: Literal[7, 8] = 7
    """8: Contempt, too. 7: photos of Contempt are left out, as by the reference; of the faces with npy files they keep
    valence and arousal."""


@dataclass(frozen=True)
class Face:
    """One usable line; `valence_arousal` is None where it is missing."""

    line: int
    path: str
    landmarks: str
    expression: int
    valence_arousal: tuple[float, float] | None


def read(root: Path, options: AffectNetOptions) -> LabelTable:
    """One row a line of either list with one of the classes; geometry is 68 landmarks (136 numbers).

    In the layout with npy files, a row a picture; pictures there are faces, and the crop takes them whole.
    """
    require_folder(root, LAYOUT)
    expression = EXPRESSIONS[options.classes]
    held_out = Split.TRAIN if options.use_validation_for_training else Split.VALIDATION
    lists = root / "Manually_Annotated_file_lists"
    if not lists.is_dir() and affectnet_npy.is_npy_layout(root):
        return affectnet_npy.read_npy_layout(root, expression, held_out)
    training = require_file(lists / "training.csv", LAYOUT)
    validation = require_file(lists / "validation.csv", LAYOUT)
    packed = root / "Manually_Annotated_compressed" / "Manually_Annotated_Images"
    images = packed if packed.is_dir() else require_folder(root / "Manually_Annotated_Images", LAYOUT)
    present = _files_below(images)
    problems = Problems()
    note_others(problems, root, (lists.name, images.relative_to(root).parts[0]))
    if images == packed:
        note_others(problems, packed.parent, (packed.name,))
    note_others(problems, lists, (training.name, validation.name))
    seen: set[str] = set()
    prefix = images.relative_to(root).as_posix()
    spaces = (expression, VALENCE_AROUSAL)
    tables = [row_schema(spaces).empty_table()]
    for file, split in ((training, Split.TRAIN), (validation, held_out)):
        faces = _faces(file, expression, OUTSIDE[options.classes], present, seen, problems)
        while chunk := list(islice(faces, CHUNK_ROWS)):
            tables.append(_rows(file, chunk, spaces, split, prefix))
    add_each(problems, "image_without_label", sorted(present - seen), lambda p: f"{prefix}/{p}")
    return LabelTable(spaces, pa.concat_tables(tables).sort_by("video"), problems)


def _files_below(folder: Path) -> set[str]:
    """Paths of all files below `folder`, relative to it, with forward slashes."""
    found: set[str] = set()
    for place, _, names in os.walk(folder):
        inside = Path(place).relative_to(folder).as_posix()
        found.update(n if inside == "." else f"{inside}/{n}" for n in names if not n.startswith("."))
    return found


def _faces(
    file: Path, space: LabelSpace, outside: str, present: set[str], seen: set[str], problems: Problems
) -> Iterator[Face]:
    classes = space.places(NATIVE)
    for line, fields in csv_rows(file, len(COLUMNS), EXPECTED):
        path, _, _, _, _, landmarks, *numbers = fields
        if line == 1 and (path.strip().lower() == COLUMNS[0].lower() or numbers[0].strip().lower() == "expression"):
            if [f.strip().lower() for f in fields] != [c.lower() for c in COLUMNS]:
                raise DatabaseFormatError(file, line, quoted(",".join(fields)), f"the header {','.join(COLUMNS)}")
            continue
        expression = parse_integer(numbers[0], file, line, "a class number as 7th field")
        valence, arousal = (parse_number(n, file, line, "valence and arousal as last fields") for n in numbers[1:])
        missing = MISSING in (valence, arousal)
        if path in seen:
            problems.add("duplicate_path", f"{file}:{line}: {path}")
            continue
        seen.add(path)
        if not 0 <= expression < len(classes):
            problems.add("label_out_of_range", f"{file}:{line}: expression {expression}")
        elif classes[expression] < 0:
            name = NATIVE[expression]
            problems.add(f"{outside}: {name}", f"{file}:{line}")
        elif not missing and max(abs(valence), abs(arousal)) > 1:
            problems.add("label_out_of_range", f"{file}:{line}: valence {valence}, arousal {arousal}")
        elif path not in present:
            problems.add("frame_without_image", f"{file}:{line}: no image {path}")
        else:
            if missing:
                problems.add("valence_arousal_unlabelled", f"{file}:{line}")
            yield Face(line, path, landmarks, classes[expression], None if missing else (valence, arousal))


def _rows(file: Path, faces: list[Face], spaces: tuple[LabelSpace, LabelSpace], split: Split, prefix: str) -> pa.Table:
    paths = [f.path for f in faces]
    has_va = np.array([f.valence_arousal is not None for f in faces])
    one_hot = np.eye(spaces[0].size)[[f.expression for f in faces]]
    valence_arousal = np.array([f.valence_arousal or (0.0, 0.0) for f in faces])
    labels = {
        "expression": (one_hot, np.full(len(faces), int(split))),
        "valence_arousal": (valence_arousal, np.where(has_va, int(split), int(Split.NONE))),
    }
    images = [f"{prefix}/{p}" for p in paths]
    return rows_table(spaces, paths, np.zeros(len(faces)), images, labels, _landmarks(file, faces))


def _landmarks(file: Path, faces: list[Face]) -> pa.ListArray:
    """Landmarks (faces,) as lists of 136 float32, parsed together; one by one only to name a bad line."""
    parts = pc.split_pattern(pa.array([f.landmarks for f in faces]), ";")
    try:
        numbers = parts.flatten().cast(pa.float32())
    except pa.ArrowInvalid:
        numbers = None
    lengths = parts.value_lengths().to_numpy()
    if numbers is None or (lengths != NUM_COORDINATES).any() or not np.isfinite(numbers.to_numpy()).all():
        return pa.array([_parse_landmarks(file, f) for f in faces], pa.list_(pa.float32()))
    return pa.ListArray.from_arrays(parts.offsets, numbers)


def _parse_landmarks(file: Path, face: Face) -> list[float]:
    texts = face.landmarks.split(";")
    if len(texts) != NUM_COORDINATES:
        raise DatabaseFormatError(file, face.line, f"{len(texts)} coordinates", EXPECTED_LANDMARKS)
    return [parse_number(t, file, face.line, EXPECTED_LANDMARKS) for t in texts]


def sets(options: AffectNetOptions) -> tuple[SetMember, ...]:
    return (SetMember("expr_va", ("expression", "valence_arousal")),)


TREE = """\
Manually_Annotated_file_lists/
  training.csv      a line a face: path, box, 68 landmarks, expression, valence, arousal
  validation.csv
Manually_Annotated_compressed/
  Manually_Annotated_Images/
    1/ ...          the photos (here, or at the root)

or, as later releases:

train_set/
  images/0.jpg
  annotations/      0_exp.npy, 0_val.npy, 0_aro.npy, 0_lnd.npy
val_set/            likewise
"""

DATABASE = Database(
    name="affectnet",
    title="AffectNet (manual labels): web photos, expression with valence and arousal, 68 landmarks",
    layout=TREE,
    obtain="on request: http://mohammadmahoor.com/affectnet",
    terms="research that is not commercial, under a signed agreement; the photos are their owners'",
    options=AffectNetOptions,
    read=read,
    crop="landmark_square",
    sets=sets,
)
