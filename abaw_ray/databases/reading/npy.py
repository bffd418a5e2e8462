"""Numbers in npy files of one number each, hundreds of thousands of them."""

from __future__ import annotations

import os
import re
from functools import lru_cache

import numpy as np

from abaw_ray.databases.reading.parsing import LARGEST_NUMBER, number_of
from abaw_ray.errors import DatabaseFormatError, quoted

MAGIC = b"\x93NUMPY"
LENGTH_BYTES = {1: 2, 2: 4}
"""Bytes of a header's length by version of the format."""
HEADER = re.compile(
    rb"""\{\s*'descr':\s*'([<>|=]?(?:[iu][1248]|f[248]|[US][1-9]\d{0,3}))',"""
    rb"""\s*'fortran_order':\s*(?:True|False),\s*'shape':\s*\((?:1,\s*)*1?\),?\s*\}\s*"""
)
"""Of an array of one number or text. It is not evaluated: other headers are of arrays that hold no number of ours."""
LARGEST_FILE = 1 << 16
LETTERS = {("U", "<"): "utf-32-le", ("U", ">"): "utf-32-be", ("S", "|"): "latin-1"}
"""How the letters of a text are written, by its kind and the order of its bytes; NumPy makes letters of any number."""


def read_number(file: str, expected: str) -> float:
    """The number in an npy file, whether it is one or the text of one; nothing in it is executed.

    Args:
        file: an array of one element.
        expected: what its number should be, for people.

    Raises:
        DatabaseFormatError: not a whole npy file of one number that a float32 holds.
    """
    try:
        handle = os.open(file, os.O_RDONLY)  # 900,000 files: pathlib and buffers cost more than reading
        try:
            content = os.read(handle, LARGEST_FILE)
        finally:
            os.close(handle)
    except OSError as error:
        raise DatabaseFormatError(file, None, error.strerror or "no file that can be read", expected) from None
    try:
        begin, start = _header(content)
        kind = _kind(content[begin:start])
    except ValueError as error:
        raise DatabaseFormatError(file, None, str(error), expected) from None
    if len(content) != start + kind.itemsize:
        raise DatabaseFormatError(file, None, f"{len(content) - start} bytes of data", f"{kind.itemsize} bytes")
    found: object
    letters = LETTERS.get((kind.kind, kind.str[0]))
    if letters is not None:
        found = content[start:].decode(letters, "replace").rstrip("\0")
        number = number_of(found)
    else:
        found = number = float(np.frombuffer(content, kind, 1, start)[0])
    if not abs(number) <= LARGEST_NUMBER:
        raise DatabaseFormatError(file, None, quoted(found), expected)
    return number


def _header(content: bytes) -> tuple[int, int]:
    """First byte of the header and first byte of the data."""
    if not content.startswith(MAGIC) or len(content) < len(MAGIC) + 2:
        raise ValueError("no npy file")
    length_bytes = LENGTH_BYTES.get(content[len(MAGIC)])
    if length_bytes is None:
        raise ValueError(f"npy format {content[len(MAGIC)]}")
    begin = len(MAGIC) + 2 + length_bytes
    return begin, begin + int.from_bytes(content[begin - length_bytes : begin], "little")


@lru_cache(256)
def _kind(header: bytes) -> np.dtype:
    """Type of the one element."""
    found = HEADER.fullmatch(header)
    if not found:
        raise ValueError(f"an array {quoted(header.decode('latin-1').strip())}")
    return np.dtype(found[1].decode())
