"""Which sequence a picture is a frame of, from its path: `S005_001_00000011.png` is of S005_001."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each, parse_integer
from abaw_ray.databases.reading.subjects import with_groups
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, quoted

SEQUENCE, FRAME = "sequence", "frame"
EXAMPLE = r"(?P<sequence>S\d+_\d+)_(?P<frame>\d+)"
UNMATCHED = "path_without_sequence"
"""Reason that a path is counted by which does not match."""

SequencePattern = Annotated[str, AfterValidator(lambda pattern: with_groups(pattern, [SEQUENCE, FRAME], EXAMPLE))]
"""A regular expression with groups named `sequence` and `frame`, which is looked for in a path relative to the root."""


def frames_of_sequences(root: Path, paths: Iterable[str], pattern: str, problems: Problems) -> list[tuple[str, int]]:
    """The sequence of each path, and the number of its frame, counted from the sequence's first one that there is.

    A path that does not match is a sequence of its own, and counted.

    Args:
        root: folder of the paths, for errors.
        paths: relative to it, with `/`.
        pattern: a `SequencePattern`.
        problems: takes up the paths that do not match.

    Raises:
        ConfigurationError: there are paths, and none matches.
        DatabaseFormatError: a frame that is no number, or two pictures of one frame.
    """
    search, named = re.compile(pattern).search, list(paths)
    found: list[tuple[str, int]] = []
    pictures: dict[tuple[str, int], str] = {}
    without = []
    for path in named:
        match = search(path)
        if match is None or not match[SEQUENCE]:
            without.append(path)
            frame = path, 0
        else:
            frame = match[SEQUENCE], parse_integer(match[FRAME] or "", root / path, None, "the number of a frame")
        if (first := pictures.setdefault(frame, path)) != path:
            shown = f"frame {frame[1]} of {quoted(frame[0])}, as {first}"
            raise DatabaseFormatError(root / path, None, shown, "one picture a frame, or a pattern that tells more")
        found.append(frame)
    if named and len(without) == len(named):
        raise ConfigurationError(
            f"sequence_pattern: {quoted(pattern)} matches none of {len(named)} paths, as {quoted(named[0])}"
        )
    add_each(problems, UNMATCHED, without, str)
    first_of: dict[str, int] = {}
    for sequence, number in found:
        first_of[sequence] = min(number, first_of.get(sequence, number))
    return [(sequence, number - first_of[sequence]) for sequence, number in found]
