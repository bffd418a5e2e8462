"""Tables of the faces of people in pictures, one line a person: by a detector (`inference.find_faces`), or by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from abaw_ray.databases.reading.names import stored_name
from abaw_ray.databases.reading.parsing import csv_rows, parse_integer, parse_number, read_lines
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted

PICTURE, PERSON, CONFIDENCE = "picture", "person", "confidence"
FACE = ("left", "top", "right", "bottom")
BODY = tuple(f"person_{side}" for side in FACE)
HEADER = f"{PICTURE}, {', '.join(FACE)}, and {PERSON} or {', '.join(BODY)}"
NEAR = 1.0
"""Pixels by which a person's box may differ from the one of the annotations."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class FaceOfPerson:
    """A line of a table.

    Args:
        picture: path.
        person: number of the person among those annotated in the picture, from 0.
        box: of the face; None: none was found.
        confidence: of the detector, from 0 to 1.
    """

    picture: str
    person: int
    box: Box | None
    confidence: float | None = None


def table_of_faces(faces: Iterable[FaceOfPerson]) -> str:
    """The text of a table, which `FaceBoxes.read` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([PICTURE, PERSON, *FACE, CONFIDENCE])
    for face in faces:
        sides = [""] * len(FACE) if face.box is None else [f"{side:.1f}" for side in face.box]
        sure = "" if face.confidence is None else f"{face.confidence:.3f}"
        writer.writerow([face.picture, face.person, *sides, sure])
    return text.getvalue()


@dataclass(frozen=True)
class _Line:
    number: int
    face: Box | None


class FaceBoxes:
    """The face of each person that a table has one of; what it was asked for is remembered.

    Args:
        file: of the table.
        by_number: picture and number of the person -> line.
        by_body: picture -> a person's box -> line.
    """

    def __init__(
        self, file: Path, by_number: dict[tuple[str, int], _Line], by_body: dict[str, dict[Box, _Line]]
    ) -> None:
        self._file, self._by_number, self._by_body = file, by_number, by_body
        self._asked: set[int] = set()

    @classmethod
    def read(cls, file: Path, folder: str = "") -> FaceBoxes:
        """Reads a table.

        Columns are `picture`, a path; `person`, a number from 0 among the people annotated in the picture, or the box
        that these have, `person_left`, `person_top`, `person_right`, `person_bottom`; and `left`, `top`, `right`,
        `bottom` of the face in pixels, all empty where it is not known. Others are not read.

        Args:
            file: of comma-separated values, with a header.
            folder: with which paths may begin or not.

        Raises:
            MissingInputError: there is no such file.
            DatabaseFormatError: another header, a cell that is no number, an empty box, or a person named twice.
        """
        if not file.is_file():
            raise MissingInputError(f"no file {file}; expected a table with {HEADER}, as find-faces writes it")
        header = next(csv.reader(read_lines(file)[:1]), [])
        is_numbered = PERSON in header
        if not {PICTURE, *FACE} <= set(header) or not (is_numbered or set(BODY) <= set(header)):
            raise DatabaseFormatError(file, 1, quoted(",".join(header)), f"a header with {HEADER}")
        rows = csv_rows(file, len(header), f"{len(header)} fields")
        next(rows)
        by_number: dict[tuple[str, int], _Line] = {}
        by_body: dict[str, dict[Box, _Line]] = {}
        for number, fields in rows:
            cells = dict(zip(header, fields, strict=True))
            picture = stored_name(PurePosixPath(cells[PICTURE]).as_posix().removeprefix(folder))
            face = parse_box(file, number, cells, FACE) if any(cells[side].strip() for side in FACE) else None
            if is_numbered:
                person = parse_integer(cells[PERSON], file, number, "the number of a person, from 0")
                first = by_number.setdefault((picture, person), _Line(number, face))
            else:
                body = parse_box(file, number, cells, BODY)
                first = by_body.setdefault(picture, {}).setdefault(body, _Line(number, face))
            if first.number != number:
                raise DatabaseFormatError(
                    file, number, f"a person of {quoted(picture)} again", f"one line a person, as {first.number}"
                )
        return cls(file, by_number, by_body)

    def of(self, picture: str, person: int, body: Iterable[float]) -> Box | None:
        """The face of a person; None: it is not known.

        Args:
            picture: path, without the folder that the table was read with.
            person: number among those annotated in the picture.
            body: left, top, right, bottom of the person, as annotated.
        """
        picture, found = stored_name(picture), None
        if self._by_number:
            found = self._by_number.get((picture, person))
        elif lines := self._by_body.get(picture):
            off = {own: float(np.abs(np.subtract(own, tuple(body))).max()) for own in lines}
            nearest = min(off, key=off.__getitem__)
            found = lines[nearest] if off[nearest] <= NEAR else None
        if found is None:
            return None
        self._asked.add(found.number)
        return found.face

    def unasked(self) -> list[str]:
        """The lines of people that nobody asked for."""
        by_body = (line for of_picture in self._by_body.values() for line in of_picture.values())
        lines = [*self._by_number.values(), *by_body]
        return [f"{self._file}:{line.number}" for line in lines if line.number not in self._asked]


def parse_box(file: Path, line: int, cells: Mapping[str, str], names: tuple[str, ...]) -> Box:
    """The box in a line's cells of the columns `names`, or DatabaseFormatError."""
    expected = f"{', '.join(names)} in pixels, with left < right and top < bottom"
    left, top, right, bottom = (parse_number(cells[name], file, line, expected) for name in names)
    if not (left < right and top < bottom):
        raise DatabaseFormatError(file, line, f"{left:g}, {top:g}, {right:g}, {bottom:g}", expected)
    return left, top, right, bottom
