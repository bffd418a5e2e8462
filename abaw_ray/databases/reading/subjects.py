"""Who a face is of, from the name of its file: `S010_004_00000017.png` is of S010."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each
from abaw_ray.errors import ConfigurationError, quoted

GROUP = "subject"
UNMATCHED = "path_without_subject"
"""Reason that a path is counted by which does not match."""


def with_groups(pattern: str, names: Sequence[str], example: str) -> str:
    """A regular expression that has groups of some names.

    Args:
        pattern: what is given.
        names: of the groups.
        example: of such an expression, for the error.

    Raises:
        ValueError: it is no regular expression, or lacks a group.
    """
    try:
        found = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression ({error})") from None
    lacking = [name for name in names if name not in found.groupindex]
    if lacking:
        raise ValueError(f"expected a group named {' and '.join(lacking)}, as in {example!r}, found {quoted(pattern)}")
    return pattern


SubjectPattern = Annotated[str, AfterValidator(lambda pattern: with_groups(pattern, [GROUP], r"(?P<subject>S\d+)_"))]
"""A regular expression with a group named `subject`, which is looked for in a path relative to the root."""


def subjects_of(paths: Iterable[str], pattern: str, problems: Problems) -> list[str | None]:
    """Who each path is of; None where it does not match, or nothing is in the group, which is counted.

    Args:
        paths: relative to the root, with `/`.
        pattern: a `SubjectPattern`.
        problems: takes up the paths that do not match.

    Raises:
        ConfigurationError: there are paths, and none matches.
    """
    search, named = re.compile(pattern).search, list(paths)
    found = [match[GROUP] or None if (match := search(path)) is not None else None for path in named]
    without = [path for path, subject in zip(named, found, strict=True) if subject is None]
    if named and len(without) == len(named):
        raise ConfigurationError(
            f"subject_pattern: {quoted(pattern)} matches none of {len(named)} paths, as {quoted(named[0])}"
        )
    add_each(problems, UNMATCHED, without, str)
    return found
