"""FER2013: 48 x 48 grey faces in one csv file, with one label each, or with the votes of FER+.

The two files are read as the Kaggle challenge and the FER+ repository publish them: `emotion,pixels,Usage`, and line by
line in the same order `Usage,Image name` and ten counts of votes. Their usages must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from abaw_ray.databases.base import Database, LabelTable, Problems, RowBuilder, SetMember
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading.parsing import csv_rows, note_others, parse_integer, require_file, require_folder
from abaw_ray.databases.reading.pixel_table import COLUMNS, Picture, read_table
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.databases.reading.votes import NATIVE, AnnotatorOptions, label_of, labels_of_annotators
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import DatabaseFormatError, quoted
from abaw_ray.spaces import Split

TABLE, VOTES = "fer2013.csv", "fer2013new.csv"
LAYOUT = f"{TABLE} with the header {','.join(COLUMNS)}; for the votes of FER+ {VOTES} beside it"
SPLITS = {"Training": Split.TRAIN, "PublicTest": Split.VALIDATION, "PrivateTest": Split.TEST}
SPACES = (EXPRESSION,)
CLASSES = EXPRESSION.places(("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"))
"""Place in the space by native class id."""
VOTES_HEADER = ("Usage", "Image name", *NATIVE)
EXPECTED_VOTES = f"12 fields: {','.join(VOTES_HEADER)}"


class Fer2013Options(AnnotatorOptions):
    """Which labels a face has."""

    labels: Literal["emotion", "majority", "distribution"] = "emotion"
    """emotion: FER2013's own. Of FER+, majority: the class with most votes. distribution: the votes for our seven
    classes, scaled to sum 1."""


def read(root: Path, options: Fer2013Options) -> LabelTable:
    """One row a face: `image` is the csv file, `frame` the place among its faces from 0, `video` both.

    With votes, a face whose majority is outside the seven classes is left out.
    """
    require_folder(root, LAYOUT)
    require_file(root / TABLE, LAYOUT)
    needs_votes = options.annotators or options.labels != "emotion"
    if needs_votes:
        require_file(root / VOTES, LAYOUT)
    rows, problems = RowBuilder(SPACES), Problems()
    note_others(problems, root, (TABLE, VOTES))
    for picture, votes in _faces_with_votes(root) if needs_votes else _faces(root):
        labels = _labels(root, picture, votes, options, problems)
        if labels:
            rows.add(f"{TABLE}/{picture.number:05d}", picture.number, TABLE, labels)
    return LabelTable(SPACES, rows.table(), problems)


def _faces(root: Path) -> Iterator[tuple[Picture, np.ndarray]]:
    """Every picture, and no votes (0,)."""
    for picture in read_table(root / TABLE):
        if picture.usage not in SPLITS:
            raise DatabaseFormatError(root / TABLE, picture.line, quoted(picture.usage), f"one of {', '.join(SPLITS)}")
        yield picture, np.empty(0, np.int64)


def _faces_with_votes(root: Path) -> Iterator[tuple[Picture, np.ndarray]]:
    """Every picture, and its votes (10,) by native class of FER+."""
    file, lines = root / VOTES, csv_rows(root / VOTES, len(VOTES_HEADER), EXPECTED_VOTES)
    _, header = next(lines, (1, []))
    if [name.strip().lower() for name in header] != [name.lower() for name in VOTES_HEADER]:
        raise DatabaseFormatError(file, 1, quoted(",".join(header)), f"the header {','.join(VOTES_HEADER)}")
    for picture, _ in _faces(root):
        line, fields = next(lines, (picture.line, []))
        if not fields:
            raise DatabaseFormatError(file, line, "no votes", f"votes for line {picture.line} of {TABLE}")
        usage, _, *texts = fields
        if usage.strip() != picture.usage:
            expected = f"{picture.usage}, as in line {picture.line} of {TABLE}"
            raise DatabaseFormatError(file, line, quoted(usage), expected)
        yield picture, np.array([parse_integer(text, file, line, EXPECTED_VOTES) for text in texts])
    for line, _ in lines:
        raise DatabaseFormatError(file, line, "votes", f"the end, as {TABLE} has no picture for them")


def _labels(
    root: Path, picture: Picture, votes: np.ndarray, options: Fer2013Options, problems: Problems
) -> dict[LabelKey, Label]:
    """The labels of a face; none, and counted, where it is left out."""
    split = SPLITS[picture.usage]
    emotion = parse_integer(picture.emotion, root / TABLE, picture.line, "a class number as 1st field")
    where = f"{root / VOTES}:{picture.line}: votes {' '.join(map(str, votes.tolist()))}"
    if options.labels != "emotion":
        reason, label = label_of(votes, options.labels)
    elif 0 <= emotion < len(CLASSES):
        reason, label = "", EXPRESSION.one_hot(CLASSES[emotion])
    else:
        reason, where = "label_out_of_range", f"{root / TABLE}:{picture.line}: emotion {emotion}"
    if reason:
        problems.add(reason, where)
        return {}
    labels: dict[LabelKey, Label] = {(EXPRESSION.name, ""): (label, split)}
    if options.annotators:
        by = str(picture.number) if options.annotators == "shuffled" else None
        labels |= labels_of_annotators(votes, split, problems, where, by)
    return labels


def sets(options: Fer2013Options) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
fer2013.csv         emotion,pixels,Usage
fer2013new.csv      votes of FER+, line by line: needed for labels=majority, labels=distribution and annotators=true
"""

DATABASE = Database(
    name="fer2013",
    title="FER2013: 35,887 grey faces of 48 x 48 pixels in a csv file, seven expressions or FER+'s votes",
    layout=TREE,
    obtain="fer2013.csv of the 2013 Kaggle challenge; votes: https://github.com/microsoft/FERPlus",
    terms="the rules of the 2013 Kaggle challenge; pictures from a web search, their owners'; votes of FER+: MIT",
    options=Fer2013Options,
    read=read,
    crop="whole",
    sets=sets,
)
