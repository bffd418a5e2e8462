"""EMOTIC's annotations, person by person: the structures of `Annotations.mat`, and the tables made from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from abaw_ray.below import is_below
from abaw_ray.databases.reading.literals import parse_list
from abaw_ray.databases.reading.matlab import Struct, listed, numbers, read_mat
from abaw_ray.databases.reading.parsing import csv_rows
from abaw_ray.errors import DatabaseFormatError, quoted
from abaw_ray.spaces import SPLIT_NAMES, Split

SPLITS = ("train", "val", "test")
"""Variables of the file of structures, and names of the tables."""
DIMENSIONS = ("valence", "arousal", "dominance")
COLUMNS = ("Folder", "Filename", "Image Size", "BBox", "Categorical_Labels", "Continuous_Labels")
TABLE = f"a header with {', '.join(COLUMNS)}"
CELLS = "an image size of 2 numbers, a box of 4, a list of categories, and 3 values, as literals of Python"


@dataclass(frozen=True)
class Opinion:
    """What an annotator, or all of them together, says of a person: categories, and valence, arousal and dominance;
    empty where there are none."""

    categories: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Person:
    """A person in a picture.

    Args:
        file, line: of the annotations; None: lines have no meaning.
        entry: the person's place in the file, for people.
        picture: path below the folder of pictures.
        split: of the picture.
        size: the picture's two sides, as stored.
        box: left, top, right, bottom in pixels, as stored.
        said: the labels.
        annotators: what each of several says, where they are known.
    """

    file: Path
    line: int | None
    entry: str
    picture: str
    split: Split
    size: tuple[float, float]
    box: tuple[float, ...]
    said: Opinion
    annotators: tuple[Opinion, ...] = ()

    def wrong(self, found: str, expected: str) -> DatabaseFormatError:
        """The error of something in the person's annotations."""
        return DatabaseFormatError(self.file, self.line, f"{self.entry}: {found}" if self.entry else found, expected)


def people_of_mat(file: Path) -> Iterator[Person]:
    """The people of `Annotations.mat`; what has no array of its own is a field by name, at any depth of nesting.

    Raises:
        DatabaseFormatError: another file, or another field; the message names the entry.
    """
    for name, pictures in read_mat(file, SPLITS).items():
        for number, picture in enumerate(listed(pictures), 1):
            entry = f"{name}({number})"
            if not isinstance(picture, dict):
                raise DatabaseFormatError(file, None, f"{entry}: {quoted(picture)}", "a structure with a field person")
            path = _path(file, entry, picture)
            size = _numbers(file, f"{entry}.image_size", picture.get("image_size"), 2)
            if not all(map(math.isfinite, size)):
                raise DatabaseFormatError(file, None, f"{entry}.image_size: {quoted(size)}", "2 numbers of pixels")
            for place, person in enumerate(listed(_field(file, entry, picture, "person")), 1):
                where = f"{entry}.person({place})"
                if not isinstance(person, dict):
                    raise DatabaseFormatError(file, None, f"{where}: {quoted(person)}", "a structure with body_bbox")
                box = _numbers(file, f"{where}.body_bbox", person.get("body_bbox"), 4)
                said, each = _opinions(file, where, person)
                yield Person(file, None, where, path, SPLIT_NAMES[name], (size[0], size[1]), tuple(box), said, each)


def people_of_table(file: Path, split: Split) -> Iterator[Person]:
    """The people of a table with a header, lists in which are literals of Python.

    Raises:
        DatabaseFormatError: another header, or a cell that is none of these.
    """
    rows = csv_rows(file, None, "as many fields as the header has")
    _, header = next(rows, (1, []))
    if not set(COLUMNS) <= set(header):
        raise DatabaseFormatError(file, 1, quoted(",".join(header)), TABLE)
    for line, fields in rows:
        cells = dict(zip(header, fields, strict=True))
        size, box, values = (
            parse_list(cells[name], float, file, line, CELLS) for name in ("Image Size", "BBox", "Continuous_Labels")
        )
        categories = parse_list(cells["Categorical_Labels"], str, file, line, CELLS)
        if (len(size), len(box)) != (2, 4) or len(values) not in (0, len(DIMENSIONS)):
            raise DatabaseFormatError(file, line, f"{len(size)}, {len(box)} and {len(values)} numbers", CELLS)
        if not all(map(math.isfinite, size)):
            raise DatabaseFormatError(
                file, line, f"an image size of {quoted(cells['Image Size'])}", "2 numbers of pixels"
            )
        path = _below(file, line, f"{cells['Folder']}/{cells['Filename']}")
        said = Opinion(tuple(categories), tuple(values))
        yield Person(file, line, "", path, split, (size[0], size[1]), tuple(box), said)


def _opinions(file: Path, where: str, person: Struct) -> tuple[Opinion, tuple[Opinion, ...]]:
    """What all annotators together say of a person, and each of them if there may be several."""
    categories = [
        _texts(file, f"{where}.annotations_categories", part)
        for part in _of_annotators(_field(file, where, person, "annotations_categories"), "categories")
    ]
    values = [
        _values(file, f"{where}.annotations_continuous", part)
        for part in _of_annotators(_field(file, where, person, "annotations_continuous"), None)
    ]
    count = max(len(categories), len(values))
    categories += [()] * (count - len(categories))
    values += [()] * (count - len(values))
    each = tuple(Opinion(*both) for both in zip(categories, values, strict=True))
    union = tuple(dict.fromkeys(name for part in categories for name in part))
    known = [part for part in values if part and not any(map(math.isnan, part))]
    mean = tuple(sum(column) / len(known) for column in zip(*known, strict=True))
    if "combined_categories" in person:
        union = _texts(file, f"{where}.combined_categories", person["combined_categories"])
    if "combined_continuous" in person:
        parts = listed(person["combined_continuous"])
        mean = _values(file, f"{where}.combined_continuous", parts[0]) if len(parts) == 1 else mean
    has_several = count > 1 or "combined_categories" in person
    return Opinion(union, mean), each if has_several else ()


def _of_annotators(value: Any, field: str | None) -> list[Any]:
    """The part of each annotator: elements of an array of structures, or all of it where one has no array."""
    parts = listed(value)
    if parts and not any(isinstance(part, dict) for part in parts):
        return [value]
    return [part.get(field, []) if field is not None and isinstance(part, dict) else part for part in parts]


def _texts(file: Path, where: str, value: Any) -> tuple[str, ...]:
    found = listed(value)
    if not all(isinstance(text, str) for text in found):
        raise DatabaseFormatError(file, None, f"{where}: {quoted(value)}", "names of categories")
    return tuple(found)


def _values(file: Path, where: str, value: Any) -> tuple[float, ...]:
    """Valence, arousal and dominance, whatever the order of the fields; empty where there are none."""
    if isinstance(value, dict) and set(DIMENSIONS) <= value.keys():
        value = [value[name] for name in DIMENSIONS]
    try:
        found = numbers(value)
    except (TypeError, ValueError):
        found = None
    if found is None or len(found) not in (0, len(DIMENSIONS)):
        raise DatabaseFormatError(file, None, f"{where}: {quoted(value)}", ", ".join(DIMENSIONS))
    return tuple(found)


def _numbers(file: Path, where: str, value: Any, count: int) -> Sequence[float]:
    try:
        found = numbers(value)
    except (TypeError, ValueError):
        found = []
    if len(found) != count:
        raise DatabaseFormatError(file, None, f"{where}: {quoted(value)}", f"{count} numbers")
    return found


def _field(file: Path, where: str, struct: Struct, name: str) -> Any:
    if name not in struct:
        raise DatabaseFormatError(file, None, f"{where} with {', '.join(struct)}", f"a field {name}")
    return struct[name]


def _path(file: Path, entry: str, picture: Struct) -> str:
    parts = [_field(file, entry, picture, name) for name in ("folder", "filename")]
    if not all(isinstance(part, str) and part for part in parts):
        raise DatabaseFormatError(file, None, f"{entry}: folder and filename {quoted(parts)}", "texts")
    return _below(file, None, "/".join(parts))


def _below(file: Path, line: int | None, path: str) -> str:
    """A path that leads to nothing above the folder of pictures."""
    if not is_below(path):
        raise DatabaseFormatError(file, line, quoted(path), "a path below the folder of pictures")
    return PurePosixPath(path).as_posix()
