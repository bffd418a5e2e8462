"""Names of files that are not UTF-8: text in stores, opened again as the bytes that they are, and shown escaped.

Python gives a byte that is no UTF-8 as a surrogate (U+DC80 to U+DCFF), which no file of text and no table can hold. In
stores it is a character of the private area (U+F780 to U+F7FF) instead, one for one.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

LAST_TWO_PARTS = r"^/.*/([^/]+/[^/]+)$"
FIRST_SURROGATE, FIRST_STORED = 0xDC80, 0xF780
_TO_STORE = {FIRST_SURROGATE + i: FIRST_STORED + i for i in range(128)}
_TO_FILE = {stored: surrogate for surrogate, stored in _TO_STORE.items()}


def stored_name(name: str) -> str:
    """A file's name or path as tables hold it."""
    return name if name.isascii() else name.translate(_TO_STORE)


def file_name(stored: str) -> str:
    """The inverse of `stored_name`."""
    return stored if stored.isascii() else stored.translate(_TO_FILE)


def printable(text: str) -> str:
    """Text that may hold names, on one line: bytes that are no UTF-8 and control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in file_name(text))


def portable(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Paths of files without what differs from machine to machine: of an absolute path, its last two parts."""
    return pc.replace_substring_regex(paths, LAST_TWO_PARTS, r"\1")
