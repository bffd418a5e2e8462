"""Errors that a user can cause. The command line prints their message and exits with status 2."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

MAX_QUOTED = 80
"""Characters of bad text that a message shows."""


LONGEST_MESSAGE = 300
"""Characters of what a library says of it."""


def shortened(text: str, length: int = MAX_QUOTED) -> str:
    """A text's beginning, where it is longer than `length`."""
    return text if len(text) <= length else f"{text[:length]}..."


def quoted(value: object) -> str:
    """A bad value as messages show it: its beginning where it is long."""
    text = value[:MAX_QUOTED] if isinstance(value, str) else value
    try:
        shown = repr(text)
    except ValueError:  # Python writes no number of thousands of digits
        shown = f"a number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
    is_cut = len(shown) > MAX_QUOTED + 2 or (isinstance(value, str) and len(value) > MAX_QUOTED)
    return f"{shown[: MAX_QUOTED + 1]}..." if is_cut else shown


def wrong_values(error: ValidationError) -> list[str]:
    """What is wrong with values, one line a key, in the order of the keys."""
    lines = []
    for each in error.errors(include_url=False):
        key = shortened(".".join(map(str, each["loc"])))
        lines.append(f"{key}: {shortened(each['msg'], LONGEST_MESSAGE)}, found {quoted(each['input'])}")
    return lines


class UserError(Exception):
    """Wrong use or bad data: the message alone must be enough to mend it. `status` is the command's exit status."""

    status = 2


class Interrupted(UserError):
    """Work that was stopped before its end and can be continued.

    Args:
        message: what is kept, and how to go on.
        status: of the process, 128 and the number of the signal.
    """

    status = 130

    def __init__(self, message: str, status: int = status) -> None:
        super().__init__(message)
        self.status = status


class WorkerFault(UserError):
    """A fault of this software in a worker process: its own traceback is the message."""

    status = 1


class DivergedError(UserError, ValueError):
    """Training, or a network, whose numbers are no numbers any more."""


class ConfigurationError(UserError, ValueError):
    """A recipe, an override or an option that cannot be used."""


class MissingInputError(UserError, FileNotFoundError):
    """A file or folder that was asked for is not there."""


class StoreError(UserError, ValueError):
    """A store that is incomplete, damaged or does not hold what is asked of it."""


class StorageError(UserError, OSError):
    """A bucket or another remote folder that refuses, or cannot be reached."""


class BadDataError(UserError, ValueError):
    """Data of which more is broken than a user allows."""


class DatabaseFormatError(UserError, ValueError):
    """A database file that does not have the format of its database.

    Args:
        file: the offending file.
        line: its 1-based line, or None where lines have no meaning (an image, a missing folder).
        found: what is there.
        expected: what the format asks for.
    """

    def __init__(self, file: Path | str, line: int | None, found: str, expected: str) -> None:
        where = f"{file}:{line}" if line is not None else str(file)
        super().__init__(f"{where}: found {found}, expected {expected}")
        self.file, self.line, self.found, self.expected = str(file), line, found, expected

    def __reduce__(self) -> tuple[type, tuple[str, int | None, str, str]]:
        # an error that another process cannot read is not told from a process that died
        return type(self), (self.file, self.line, self.found, self.expected)
