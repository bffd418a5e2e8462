"""Lists that a table holds as literals of Python, as `['Peace', 'Esteem']` and `[7.0, 4.0, 6.0]`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from abaw_ray.errors import DatabaseFormatError, quoted

LONGEST = 10_000
"""Characters of one that is read."""
NAN = re.compile(r"\bnan\b", re.IGNORECASE)


def parse_list(text: str, of: type[str] | type[float], file: Path, line: int, expected: str) -> list[Any]:
    """The strings or numbers of a list. Numbers that are `nan` are NaN; nothing is evaluated.

    Raises:
        DatabaseFormatError: not such a list.
    """
    found: Any = None
    if len(text) <= LONGEST:
        try:
            found = ast.literal_eval(NAN.sub("None", text) if of is float else text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            found = None
    if not isinstance(found, list | tuple):
        raise DatabaseFormatError(file, line, quoted(text), expected)
    if of is str and all(isinstance(each, str) for each in found):
        return list(found)
    if of is float and all(each is None or _is_number(each) for each in found):
        return [float("nan") if each is None else float(each) for each in found]
    raise DatabaseFormatError(file, line, quoted(text), expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300
