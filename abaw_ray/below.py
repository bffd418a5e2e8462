"""Names and paths that files hold: they lead to nothing outside of the folder that they are of.

A store, a checkpoint or a database may come from a stranger. By their text alone: where a link in a folder leads is a
matter of who made it.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator


def is_below(path: str, root: str | os.PathLike[str] | None = None) -> bool:
    """Whether a path leads to something below its folder.

    Args:
        path: as a file holds it, relative to its folder, or absolute.
        root: the folder; None: absolute paths lead out of it.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute():
        return root is not None and _is_plain(parts) and parts.is_relative_to(os.path.abspath(root))  # noqa: PTH100
    return _is_plain(parts)


def _is_plain(parts: PurePosixPath) -> bool:
    return bool(parts.parts) and ".." not in parts.parts and "\0" not in str(parts)


def is_name(text: str) -> bool:
    """Whether a text is the name of something in a folder itself."""
    return is_below(text) and "/" not in text


def _path(text: str) -> str:
    if not is_below(text):
        raise ValueError("expected a path below its folder")
    return text


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("expected a name in its folder")
    return text


BelowFolder = Annotated[str, AfterValidator(_path)]
"""A field of a description: a path below the folder that it is of."""

InFolder = Annotated[str, AfterValidator(_name)]
"""The same: a name in that folder."""
