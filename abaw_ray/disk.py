"""Disks that cannot be written: full, over a quota, read-only, not ours. The user is told what, where and how much."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from abaw_ray.errors import StorageError, UserError

if TYPE_CHECKING:
    from abaw_ray.storage import AnyPath

TEMPORARY = ".unfinished-"
"""How the names of files begin that are being written."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
UNWRITABLE = FULL | {errno.EROFS, errno.EFBIG, errno.EIO}
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})
NOT_OFFERED = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK})
"""What file systems answer that have no locks, or cannot bring a file to the disk, as buckets that are mounted."""
NO_RENAMES = NOT_OFFERED | {errno.EPERM, errno.EXDEV, errno.EMFILE}
"""The same of renaming; EMFILE: of a folder with many files."""


@contextmanager
def write_errors_named(place: AnyPath) -> Iterator[None]:
    """Errors of a disk that cannot be written come out of the block as a StorageError.

    Args:
        place: what is written in the block, a file or a folder; an error that names a file is of that one. Of a remote
            place, the disk is that of temporary files, through which it is written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            raise
        here = place if isinstance(place, Path) else Path(tempfile.gettempdir())
        raise StorageError(_message(refused, here)) from None


def require_renames(folder: Path) -> None:
    """Refuses a folder where nothing can be written whole or not at all, before any work is done for it.

    Raises:
        StorageError: files in it cannot be renamed.
    """
    one, other = (folder / f"{TEMPORARY}{uuid.uuid4().hex}" for _ in range(2))
    try:
        one.touch()
        with suppress(FileNotFoundError):  # who holds the folder may have removed it
            move(one, other)
    finally:
        for file in (one, other):
            file.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Gives a file or folder another name, in place of a file of that name.

    Raises:
        StorageError: its file system does not do that.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in NO_RENAMES:
            raise
        what = "folders" if source.is_dir() else "files"
        raise StorageError(
            f"{target.parent}: its file system refuses to rename {what} ({error.strerror}), without which nothing can"
            " be written there whole or not at all; choose a folder on a disk, or give a bucket by its address, as"
            " s3://bucket/folder, instead of where it is mounted"
        ) from None


def move_contents(source: Path, target: Path) -> None:
    """Moves what is in a folder, file by file where the file system does not rename folders.

    Raises:
        StorageError: it does not rename files either.
    """
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        try:
            move(entry, target / entry.name)
        except StorageError:
            if not entry.is_dir():
                raise
            move_contents(entry, target / entry.name)
    source.rmdir()


def to_disk(descriptor: int) -> None:
    """Waits until an open file is on the disk, where the file system can say so."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise


def _refused(error: BaseException) -> OSError | None:
    """The disk's own error that `error` is or comes of, if it does."""
    if isinstance(error, OSError) and error.errno in NOT_ALLOWED and error.filename is not None:
        return error
    cause: BaseException | None = error
    while cause is not None:
        # errors of safetensors, and of other processes of Ray, hold the number in their text
        stated = re.search(r"\(os error (\d+)\)|\[Errno (\d+)\]", str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(stated[1] or stated[2]) if stated else None
        if number in UNWRITABLE:
            return OSError(number, os.strerror(number), getattr(cause, "filename", None))
        cause = cause.__cause__ or cause.__context__
    return None


def _message(error: OSError, place: Path) -> str:
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else place
    file = place if named.name.startswith(TEMPORARY) else named
    if error.errno not in FULL:
        return f"{file}: cannot be written ({error.strerror})"
    there = next(folder for folder in (file, *file.absolute().parents) if folder.exists())
    disk, files = shutil.disk_usage(there), os.statvfs(there)
    free = f"{_size(disk.free)} of {_size(disk.total)} are free there"
    if files.f_files and not files.f_favail:
        free += f", and none of its {files.f_files:,} files"
    return f"{file}: cannot be written ({error.strerror}); {free}. Make room, and run the same command again"


def _size(num_bytes: int) -> str:
    size, units = float(num_bytes), ["bytes", "KiB", "MiB", "GiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
