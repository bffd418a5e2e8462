"""What the adapters share: reading native files with exact places in errors, and building label tables."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.databases.base import MAX_EXAMPLES, Problems
from abaw_ray.databases.reading.names import file_name, stored_name
from abaw_ray.databases.schemas import row_schema, unseen_schema, videos_schema
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import LabelSpace, Split

LARGEST_NUMBER = float(np.finfo(np.float32).max)
LARGEST_INTEGER = int(np.iinfo(np.int32).max)


def require_folder(folder: Path, layout: str) -> Path:
    """`folder`, which must be one; `layout` tells the user what the whole database should look like."""
    if not folder.is_dir():
        raise MissingInputError(f"no folder {folder}; expected layout: {layout}")
    return folder


def require_file(file: Path, layout: str) -> Path:
    """`file`, which must be one; `layout` tells the user what the whole database should look like."""
    if not file.is_file():
        raise MissingInputError(f"no file {file}; expected layout: {layout}")
    return file


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, without hidden entries (as `.DS_Store` or `._00001.jpg`)."""
    with os.scandir(folder) as found:
        return sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)


def read_lines(file: Path) -> list[str]:
    """The lines of a text file without line ends, a byte order mark or blank lines at its end."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"a byte that is not text ({error.reason})"
        raise DatabaseFormatError(file, line_of_bad_byte(file), found, "UTF-8 text") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def line_of_bad_byte(file: Path) -> int:
    """The first line of a file with bytes that are no UTF-8; text is decoded in parts of many lines."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def csv_rows(file: Path, num_fields: int | None, expected: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row of a comma-separated file.

    Args:
        file: in UTF-8.
        num_fields: that each row must have; None: as many as the first.
        expected: what a row should be, for people.

    Raises:
        DatabaseFormatError: another number of fields, a blank line before others, a quote without an end (which would
            take the rows after it with it), or bytes that are no text.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        blank, last = None, 0
        try:
            for row in reader:
                first, last = last + 1, reader.line_num
                if not "".join(row).strip() and len(row) < 2:
                    blank = blank or first
                    continue
                if blank:  # blank lines are harmless at the end only
                    raise DatabaseFormatError(file, blank, "a blank line", expected)
                num_fields = num_fields or len(row)
                if len(row) != num_fields:
                    raise DatabaseFormatError(file, reader.line_num, f"{len(row)} fields", expected)
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            line = line_of_bad_byte(file) if isinstance(error, UnicodeDecodeError) else last + 1
            raise DatabaseFormatError(file, line, f"unreadable text ({error})", expected) from None


def is_plain(text: str) -> bool:
    """Whether numbers in it are written as other programs write and read them: Python takes `1_0` for 10, and digits of
    any script."""
    return text.isascii() and "_" not in text


def number_of(text: str) -> float:
    """The number that a text is; NaN where it is none."""
    try:
        return float(text) if is_plain(text) else math.nan
    except ValueError:
        return math.nan


def parse_number(text: str, file: Path, line: int, expected: str) -> float:
    """A number that a float32 holds, or DatabaseFormatError."""
    number = number_of(text)
    if not abs(number) <= LARGEST_NUMBER:
        raise DatabaseFormatError(file, line, quoted(text), expected)
    return number


def parse_integer(text: str, file: Path, line: int | None, expected: str) -> int:
    """An integer that an int32 holds, or DatabaseFormatError."""
    try:
        number = int(text) if is_plain(text) else None
    except ValueError:
        number = None
    if number is None or abs(number) > LARGEST_INTEGER:
        raise DatabaseFormatError(file, line, quoted(text), expected)
    return number


def parse_numbers(file: Path, lines: Sequence[str], first_line: int, num_fields: int, expected: str) -> np.ndarray:
    """Numbers (lines, num_fields) float64, which a float32 holds, of comma-separated lines from `first_line` on."""
    try:
        numbers = np.array([[float(t) for t in line.split(",")] for line in lines]).reshape(-1, num_fields)
    except ValueError:
        numbers = np.empty((0, num_fields))
    are_plain = len(numbers) == len(lines) and all(map(is_plain, lines))
    if are_plain and (np.abs(numbers) <= LARGEST_NUMBER).all():
        return numbers
    for number, line in enumerate(lines, first_line):
        fields = line.split(",")
        if len(fields) != num_fields:
            raise DatabaseFormatError(file, number, quoted(line), expected)
        for text in fields:
            parse_number(text, file, number, expected)
    raise AssertionError(f"{file}: numbers read one by one but not together")


def add_each(problems: Problems, reason: str, items: Sequence[Any] | np.ndarray, where: Callable[[Any], str]) -> None:
    """Counts every one of `items`, and describes only as many as are kept as examples."""
    for item in items[:MAX_EXAMPLES]:
        problems.add(reason, where(item))
    problems.add(reason, count=max(len(items) - MAX_EXAMPLES, 0))


def is_kind(kind: Callable[[], bool]) -> bool:
    """Whether an entry of a folder is of a kind: not, if that cannot be told, as of a link to itself."""
    try:
        return kind()
    except OSError:
        return False


def note_others(problems: Problems, folder: Path, known: Iterable[str]) -> None:
    """Counts what a folder holds besides the entries of `known` names: what nobody asks for is not read."""
    names = set(known)
    for entry in entries(folder):
        if entry.name not in names:
            problems.add("unexpected_folder" if is_kind(entry.is_dir) else "unexpected_file", entry.path)


def split_by_name(name: str, validation_fraction: float, seed: int, test_fraction: float = 0.0) -> Split:
    """VALIDATION for about `validation_fraction` of all names, TEST for `test_fraction`, TRAIN for the others.

    A hash of seed and name decides, so a photo keeps its split whatever other photos come or go.
    """
    digest = hashlib.sha256(f"{seed}:{stored_name(name)}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big")
    if drawn < validation_fraction * 2**64:
        return Split.VALIDATION
    return Split.TEST if drawn >= (1 - test_fraction) * 2**64 else Split.TRAIN


def rows_table(
    spaces: Sequence[LabelSpace],
    videos: Sequence[str],
    frames: Sequence[int] | np.ndarray,
    images: Sequence[str],
    labels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    geometry: pa.ListArray | None = None,
) -> pa.Table:
    """A table of `row_schema` from whole columns, in the order given, of faces of nobody named.

    Args:
        spaces: of the labels.
        videos: (rows,).
        frames: (rows,).
        images: (rows,).
        labels: space -> label vectors (rows, size) and `Split` values (rows,). In spaces not named there is no label.
        geometry: (rows,) lists of float32; None: empty lists.
    """
    num_rows = len(videos)
    if geometry is None:
        geometry = pa.ListArray.from_arrays(np.zeros(num_rows + 1, np.int32), pa.array([], pa.float32()))
    columns = [
        pa.array([stored_name(v) for v in videos], pa.string()),
        pa.array(frames, pa.int32()),
        pa.array([stored_name(i) for i in images], pa.string()),
        geometry,
        pa.nulls(num_rows, pa.string()),
    ]
    return pa.table([*columns, *_label_columns(spaces, num_rows, labels)], schema=row_schema(spaces))


def unseen_table(
    spaces: Sequence[LabelSpace],
    videos: Sequence[str],
    frames: Sequence[int] | np.ndarray,
    labels: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> pa.Table:
    """A table of `unseen_schema`, as `rows_table` makes one of `row_schema`."""
    columns = [pa.array([stored_name(v) for v in videos], pa.string()), pa.array(frames, pa.int32())]
    return pa.table([*columns, *_label_columns(spaces, len(videos), labels)], schema=unseen_schema(spaces))


def videos_table(num_frames: Mapping[str, int], *tables: pa.Table) -> pa.Table:
    """A table of `videos_schema`: the videos that occur in `tables`, sorted, with their numbers of frames."""
    names = sorted({name for table in tables for name in pc.unique(table["video"]).to_pylist()})
    columns = [pa.array(names, pa.string()), pa.array([num_frames[file_name(name)] for name in names], pa.int32())]
    return pa.table(columns, schema=videos_schema())


def _label_columns(
    spaces: Sequence[LabelSpace], num_rows: int, labels: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> list[pa.Array]:
    """The columns of `label_fields`."""
    columns = []
    for space in spaces:
        vectors, splits = labels.get(space.name, (np.zeros((num_rows, space.size)), np.zeros(num_rows)))
        flat = np.ascontiguousarray(vectors, np.float32).reshape(-1)
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), space.size))
        columns.append(pa.array(np.asarray(splits, np.int8)))
    return columns
