"""Where the files of a database's rows may lie."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.below import is_below
from abaw_ray.databases.base import Options
from abaw_ray.databases.reading.names import printable
from abaw_ray.databases.schemas import source_columns
from abaw_ray.errors import DatabaseFormatError, quoted
from abaw_ray.streams.base import Stream

SUSPECT = r"^/|(^|/)\.\.(/|$)|\x00"
"""In paths that are to be looked at one by one: of millions, few or all."""


def require_paths_below(root: Path, options: Options, rows: pa.Table, streams: tuple[Stream, ...]) -> None:
    """Refuses rows whose files lie neither below the database's root nor below a folder that an option names.

    Label files come from others: what they name is read, and copied into the store. Links in the folders are followed.

    Args:
        root: of the database.
        options: of its adapter.
        rows: of `row_schema`.
        streams: that rows have beside their faces.

    Raises:
        DatabaseFormatError: a path leads elsewhere.
    """
    roots = [root, *(root / value for _, value in options if isinstance(value, Path))]
    columns = ["image", *(source_columns(stream.name)[0] for stream in streams)]
    for column in columns:
        paths = pc.unique(rows[column])
        for path in paths.filter(pc.match_substring_regex(paths, SUSPECT)).to_pylist():
            if path is not None and not any(is_below(path, folder) for folder in roots):
                expected = "a path below the root, or below an option's folder, without .."
                raise DatabaseFormatError(root, None, f"a row of {quoted(printable(path))}", expected)
