"""Reads a database by name: options checked, adapter called, an empty result refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abaw_ray.config import parse_options
from abaw_ray.databases import database
from abaw_ray.databases.base import Database, LabelTable, Options, Problems
from abaw_ray.databases.reading.names import printable
from abaw_ray.errors import DatabaseFormatError, MissingInputError, UserError


def read_database(name: str, root: Path | str, options: Mapping[str, Any]) -> tuple[Database, Options, LabelTable]:
    """The database called `name`, its checked options and the label table under `root`.

    Raises:
        ConfigurationError: an unknown database, an unknown option or a value an option cannot have.
        MissingInputError: the root or a part of it is not there, or no row of it can be used.
        DatabaseFormatError: a file is not in the database's format, or cannot be read.
    """
    found = database(name)
    checked = parse_options(found.options, options, f"options of {found.name}")
    try:
        table = found.read(Path(root), checked)
    except UserError:  # some of them are OSErrors, too
        raise
    except OSError as error:
        place, problem = error.filename or root, error.strerror or str(error)
        raise DatabaseFormatError(printable(str(place)), None, problem, "a file or folder that can be read") from None
    if table.rows.num_rows == 0:
        raise MissingInputError(f"{name}: no usable row under {root}; {_summary(table.problems)}")
    return found, checked, table


def _summary(problems: Problems) -> str:
    if not problems.counts:
        return "nothing was left out either"
    return "left out: " + "; ".join(
        f"{reason} {count}" + (f" (first: {problems.examples[reason][0]})" if problems.examples[reason] else "")
        for reason, count in sorted(problems.counts.items())
    )
