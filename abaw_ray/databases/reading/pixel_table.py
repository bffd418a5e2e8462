"""Pictures in a table of text: a line each, `emotion,pixels,Usage`, its pixels 48 x 48 numbers with blanks between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from abaw_ray.errors import DatabaseFormatError, quoted

SUFFIX = ".csv"
SIDE, BRIGHTEST = 48, 255
COLUMNS = ("emotion", "pixels", "Usage")
EXPECTED = f"3 fields: {','.join(COLUMNS)}"
EXPECTED_PIXELS = f"{SIDE * SIDE} pixels, each a number from 0 to 255, with blanks between"
FIRST_LINE = 2
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Picture(NamedTuple):
    """A line of a table.

    Args:
        number: of the line among those with pictures, from 0.
        emotion: its text.
        usage: its text.
        pixels: (48, 48) uint8 grey.
    """

    number: int
    emotion: str
    usage: str
    pixels: np.ndarray

    @property
    def line(self) -> int:
        """Of the file, from 1."""
        return self.number + FIRST_LINE


def read_table(file: Path) -> Iterator[Picture]:
    """Every picture of a table, one line in memory at a time.

    Raises:
        DatabaseFormatError: a line that is none of a picture.
    """
    with file.open("rb") as stream:
        header = next(stream, b"").removeprefix(BYTE_ORDER_MARK)
        if [field.lower() for field in _fields(header)] != [column.lower().encode() for column in COLUMNS]:
            raise DatabaseFormatError(file, 1, quoted(_text(header)), f"the header {','.join(COLUMNS)}")
        blank = None
        for number, raw in enumerate(stream):
            line = number + FIRST_LINE
            if not raw.strip():
                blank = blank or line
                continue
            if blank:  # blank lines are harmless at the end only
                raise DatabaseFormatError(file, blank, "a blank line", EXPECTED)
            fields = _fields(raw)
            if len(fields) != len(COLUMNS):
                raise DatabaseFormatError(file, line, f"{len(fields)} fields", EXPECTED)
            emotion, pixels, usage = fields
            try:
                picture = _grey(pixels)
            except ValueError as error:
                raise DatabaseFormatError(file, line, str(error), EXPECTED_PIXELS) from None
            yield Picture(number, _text(emotion), _text(usage), picture)


def read_pictures(file: Path, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture (48, 48, 3) uint8 RGB of those of the lines `numbers`, from 0, that can be read.

    Raises:
        FileNotFoundError: no such file.
    """
    status = file.stat()
    starts = _line_starts(file, status.st_mtime_ns, status.st_size)
    with file.open("rb") as stream:
        for number in numbers:
            if number + 1 >= len(starts):
                return
            stream.seek(starts[number + 1])
            fields = _fields(stream.readline())
            if len(fields) == len(COLUMNS):
                try:
                    grey = _grey(fields[1])
                except ValueError:
                    continue
                yield number, np.repeat(grey[:, :, None], 3, axis=2)


@lru_cache(4)  # every block of a table has pictures of it
def _line_starts(file: Path, _changed: int, _size: int) -> np.ndarray:
    """First byte of each line of a file."""
    with file.open("rb") as stream:
        lengths = [len(raw) for raw in stream]
    return np.cumsum([0, *lengths])[:-1]


def _fields(raw: bytes) -> list[bytes]:
    return [field.strip().strip(b'"') for field in raw.split(b",")]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").strip()


def _grey(text: bytes) -> np.ndarray:
    """Pixels (48, 48) uint8.

    Raises:
        ValueError: a wrong number of them, or one that is none.
    """
    if text.replace(b" ", b"").isdigit():
        grey = np.fromstring(
            text, np.int64, sep=" "
        )  # ten times faster than int; of too many digits, the greatest int64
        if len(grey) == SIDE * SIDE and grey.max() <= BRIGHTEST:
            return grey.astype(np.uint8).reshape(SIDE, SIDE)
    numbers = text.split()
    if len(numbers) != SIDE * SIDE:
        raise ValueError(f"{len(numbers)} pixels")
    raise ValueError(quoted(_text(next((number for number in numbers if not _is_pixel(number)), text))))


def _is_pixel(number: bytes) -> bool:
    return number.isdigit() and len(number.lstrip(b"0")) <= len(str(BRIGHTEST)) and int(number) <= BRIGHTEST
