"""FER+: 48 x 48 grey faces of FER2013 with the votes of ten annotators."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from abaw_ray.databases.base import Database, LabelTable, Problems, RowBuilder, SetMember
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading.parsing import (
    add_each,
    csv_rows,
    entries,
    is_kind,
    note_others,
    parse_integer,
    require_file,
    require_folder,
)
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.databases.reading.votes import NATIVE, AnnotatorOptions, label_of, labels_of_annotators
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import Split

LAYOUT = "FER2013Train/, FER2013Valid/, FER2013Test/ (at least one), each with label.csv and its png files"
FOLDERS = {"FER2013Train": Split.TRAIN, "FER2013Valid": Split.VALIDATION, "FER2013Test": Split.TEST}
SPACES = (EXPRESSION,)
EXPECTED = f'12 fields: name, "(left, top, right, bottom)", and the votes for {", ".join(NATIVE)}'
BOX = re.compile(r"\(\s*\d+\s*(,\s*\d+\s*){3}\)")


class FerPlusOptions(AnnotatorOptions):
    """What the votes become."""

    labels: Literal["majority", "distribution"] = "majority"
    """majority: the class with most votes. distribution: the votes for our seven classes, scaled to sum 1."""


def read(root: Path, options: FerPlusOptions) -> LabelTable:
    """One row a face; a face whose majority is outside the seven classes is left out."""
    require_folder(root, LAYOUT)
    folders = [name for name in FOLDERS if (root / name).is_dir()]
    if not folders:
        raise MissingInputError(f"no FER2013Train, FER2013Valid or FER2013Test in {root}; expected layout: {LAYOUT}")
    rows, problems = RowBuilder(SPACES), Problems()
    note_others(problems, root, folders)
    for name in folders:
        _read_folder(root / name, options, rows, problems)
    return LabelTable(SPACES, rows.table(), problems)


def _read_folder(folder: Path, options: FerPlusOptions, rows: RowBuilder, problems: Problems) -> None:
    file = require_file(folder / "label.csv", LAYOUT)
    images = {e.name for e in entries(folder) if is_kind(e.is_file) and e.name.lower().endswith(".png")}
    note_others(problems, folder, {file.name, *images})
    seen: set[str] = set()
    for line, (name, box, *texts) in csv_rows(file, 2 + len(NATIVE), EXPECTED):
        if not BOX.fullmatch(box.strip()):
            raise DatabaseFormatError(file, line, quoted(box), EXPECTED)
        votes = np.array([parse_integer(t, file, line, EXPECTED) for t in texts])
        reason, label = label_of(votes, options.labels)
        if name in seen:
            reason = "duplicate_path"
        elif not reason and name not in images:
            reason = "frame_without_image"
        seen.add(name)
        where = f"{file}:{line}: {name}, votes {' '.join(texts)}"
        if reason:
            problems.add(reason, where)
            continue
        image, split = f"{folder.name}/{name}", FOLDERS[folder.name]
        labels: dict[LabelKey, Label] = {("expression", ""): (label, split)}
        if options.annotators:
            by = name if options.annotators == "shuffled" else None
            labels |= labels_of_annotators(votes, split, problems, where, by)
        rows.add(image, 0, image, labels)
    add_each(problems, "image_without_label", sorted(images - seen), lambda n: f"{folder / n}")


def sets(options: FerPlusOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
FER2013Train/       at least one of the three
  label.csv         name,"(0, 0, 48, 48)",ten counts of votes
  fer0000000.png
FER2013Valid/
FER2013Test/
"""

DATABASE = Database(
    name="ferplus",
    title="FER+: FER2013's 48 x 48 grey faces with ten annotators' votes",
    layout=TREE,
    obtain="labels: https://github.com/microsoft/FERPlus; pictures: fer2013.csv of the 2013 Kaggle challenge",
    terms="labels: MIT; pictures: those of FER2013, from a web search, for research, their owners'",
    options=FerPlusOptions,
    read=read,
    crop="whole",
    sets=sets,
)
