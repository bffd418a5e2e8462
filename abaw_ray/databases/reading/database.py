"""Reads a database by name: options checked, adapter called, an empty result refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from abaw_ray.databases import database
from abaw_ray.databases.base import Database, LabelTable, Options, Problems
from abaw_ray.errors import ConfigurationError, MissingInputError, wrong_values


def read_database(name: str, root: Path | str, options: Mapping[str, Any]) -> tuple[Database, Options, LabelTable]:
    """The database called `name`, its checked options and the label table under `root`.

    Raises:
        ConfigurationError: an unknown database, an unknown option or a value an option cannot have.
        MissingInputError: the root or a part of it is not there, or no row of it can be used.
        DatabaseFormatError: a file is not in the database's format.
    """
    found = database(name)
    checked = parse_options(found, options)
    table = found.read(Path(root), checked)
    if table.rows.num_rows == 0:
        raise MissingInputError(f"{name}: no usable row under {root}; {_summary(table.problems)}")
    return found, checked, table


def parse_options(found: Database, options: Mapping[str, Any]) -> Options:
    """Validates `options`; the message of a ConfigurationError names the key."""
    try:
        return found.options.model_validate(dict(options))
    except ValidationError as error:
        lines = [f"  {line}" for line in wrong_values(error)]
        known = ", ".join(found.options.model_fields) or "none"
        raise ConfigurationError(
            "\n".join([f"options of {found.name} cannot be used:", *lines, f"  known options: {known}"])
        ) from None


def _summary(problems: Problems) -> str:
    if not problems.counts:
        return "nothing was left out either"
    return "left out: " + "; ".join(
        f"{reason} {count}" + (f" (first: {problems.examples[reason][0]})" if problems.examples[reason] else "")
        for reason, count in sorted(problems.counts.items())
    )
