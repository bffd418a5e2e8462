"""Where people are in pictures and videos: boxes that a table has, or that a detector of the user finds."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from abaw_ray.databases.reading.face_boxes import CONFIDENCE, PICTURE, parse_box
from abaw_ray.databases.reading.face_boxes import FACE as SIDES
from abaw_ray.databases.reading.names import file_name, stored_name
from abaw_ray.databases.reading.parsing import csv_rows, parse_integer, parse_number, read_lines
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError, quoted
from abaw_ray.inference.faces.base import Detector, Face
from abaw_ray.inference.footage import Shot
from abaw_ray.plugins import OBJECT_PATH, object_at

FRAME = "frame"
HEADER = f"a header with {PICTURE}, {', '.join(SIDES)} and, of videos, {FRAME}"


class Bodies(Protocol):
    """Finds people."""

    description: str

    def find(self, shot: Shot) -> list[Face]:
        """The people of a frame, the most certain first; boxes hold their bodies. Callable from several threads."""
        ...


def find_bodies(choice: str) -> Bodies:
    """Where people are.

    Args:
        choice: path of a table, as `GivenBodies.read` takes it; or `module:Class`, a detector whose boxes are people's.

    Raises:
        MissingInputError: there is no such table, or no such module on the path of Python.
        DatabaseFormatError: the table is damaged.
        ConfigurationError: neither of the two, or a class that cannot be made or has no `detect`.
    """
    if re.fullmatch(OBJECT_PATH, choice) and not Path(choice).exists():
        return DetectedBodies(choice)
    return GivenBodies.read(Path(choice).expanduser())


class DetectedBodies:
    """People that a detector of the user finds.

    Args:
        path: `module:Class`, as `faces.base.Detector` but of people; it is made without arguments.

    Raises:
        MissingInputError, ConfigurationError: as of `find_bodies`.
    """

    def __init__(self, path: str) -> None:
        try:
            made: Detector = object_at(path)()
        except ModuleNotFoundError as error:
            raise MissingInputError(f"people: no module {error.name} for {path}; put it on PYTHONPATH") from None
        except Exception as error:  # whatever somebody's code does
            raise ConfigurationError(f"people: {path} cannot be made: {type(error).__name__}: {error}") from error
        if not callable(getattr(made, "detect", None)):
            raise ConfigurationError(
                f"people: {path}: found {type(made).__name__}, expected a class with detect(image)"
            )
        self._detector = made
        self.description = str(getattr(made, "description", path))

    def find(self, shot: Shot) -> list[Face]:
        """See `Bodies`."""
        return self._detector.detect(shot.image)


class GivenBodies:
    """People whose boxes a table has.

    Args:
        file: of the table.
        boxes: picture or video, as `named` has it, and frame -> people.
        lines: the same names -> first line of each.
    """

    def __init__(self, file: Path, boxes: dict[tuple[str, int], list[Face]], lines: dict[str, int]) -> None:
        self.description = f"the boxes in {file}"
        self._file, self._boxes, self._lines = file, boxes, lines

    @classmethod
    def read(cls, file: Path) -> GivenBodies:
        """Reads a table, one line a person: `picture`, a path (or URI) as it was named for predictions, or relative to
        the table; `left`, `top`, `right`, `bottom` in pixels of the upright picture; of videos `frame`, from 0; and
        `confidence`, from 0 to 1, if it has one. Others are not read.

        Raises:
            MissingInputError: there is no such file.
            DatabaseFormatError: another header, a cell that is no number, or an empty box.
        """
        if not file.is_file():
            raise MissingInputError(
                f"people: no file {file}; expected a table with {HEADER}, or module:Class of a detector of people"
            )
        header = next(csv.reader(read_lines(file)[:1]), [])
        if not {PICTURE, *SIDES} <= set(header):
            raise DatabaseFormatError(file, 1, quoted(",".join(header)), HEADER)
        rows = csv_rows(file, len(header), f"{len(header)} fields")
        next(rows)
        boxes: dict[tuple[str, int], list[Face]] = {}
        lines: dict[str, int] = {}
        for number, fields in rows:
            cells = dict(zip(header, fields, strict=True))
            frame = parse_integer(cells[FRAME], file, number, "the number of a frame, from 0") if FRAME in cells else 0
            box = parse_box(file, number, cells, SIDES)
            sure = (
                parse_number(cells[CONFIDENCE], file, number, "a confidence from 0 to 1") if CONFIDENCE in cells else 1
            )
            name = named(cells[PICTURE], file.parent)
            lines.setdefault(name, number)
            boxes.setdefault((name, frame), []).append(Face(np.array(box), float(sure)))
        return cls(file, {place: sorted(own, key=lambda one: -one.confidence) for place, own in boxes.items()}, lines)

    def find(self, shot: Shot) -> list[Face]:
        """See `Bodies`."""
        return self._boxes.get((named(shot.source), shot.number), [])

    def of_others(self, sources: Iterable[str]) -> list[str]:
        """The first line of each picture or video that is none of `sources`."""
        known = {named(source) for source in sources}
        return [f"{self._file}:{line}" for name, line in self._lines.items() if name not in known]


def named(path: str, folder: Path | None = None) -> str:
    """One name for all paths of a file on this machine that differ in `.` and `..` alone; a URI stays as it is.

    Args:
        path: to name, as tables or inputs have it.
        folder: that it may be relative to, if there is a file; None: the working directory.
    """
    if "://" in path:
        return path
    place = Path(file_name(path))
    if folder is not None and (folder / place).exists():
        place = folder / place
    return stored_name(os.path.abspath(place))  # noqa: PTH100 as it is named, whatever links there are
