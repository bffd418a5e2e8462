"""Whether files still are what was written: their hashes, computed by several threads, once a process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from abaw_ray.blocks.cache import local_file
from abaw_ray.blocks.files import sha256_of
from abaw_ray.errors import StoreError
from abaw_ray.storage import AnyPath
from abaw_ray.threads import num_threads

logger = logging.getLogger(__name__)

SAID_FROM = 1 << 30
"""Bytes from which on it takes so long that people are told."""

_whole: dict[tuple[Path, str], tuple[int, int]] = {}
"""Size and time of the last change of the files of this machine that had the hash."""


class Expected(NamedTuple):
    """A file, and the hash that was written down with it."""

    path: AnyPath
    sha256: str


class Damage(NamedTuple):
    """A file, and what is wrong with it."""

    path: AnyPath
    found: str


def find_damage(files: Sequence[Expected], progress: Callable[[int, int], None] | None = None) -> list[Damage]:
    """Those of `files` that are not there, cannot be read or have another hash, in their order.

    Args:
        files: of this machine, or remote.
        progress: called with the number of files done and in all.
    """
    damages: list[Damage] = []
    with ThreadPoolExecutor(num_threads()) as threads:
        for done, damage in enumerate(threads.map(_damage, files), 1):
            if damage is not None:
                damages.append(damage)
            if progress is not None:
                progress(done, len(files))
    return damages


def require_whole(files: Sequence[Expected], remedy: str) -> None:
    """Refuses damaged files of this machine; remote ones are compared when they are fetched.

    Args:
        files: to look at; those that this process has found whole, and that did not change, are not read again.
        remedy: what mends one, for the message.

    Raises:
        StoreError: some are damaged.
    """
    waiting = [(path, sha256) for path, sha256 in files if isinstance(path, Path) and not _known_whole(path, sha256)]
    num_bytes = sum(path.stat().st_size for path, _ in waiting if path.is_file())
    if num_bytes >= SAID_FROM:
        logger.info("checking the hashes of %s files, %.1f GB", f"{len(waiting):,}", num_bytes / 1e9)
    damages = find_damage([Expected(*file) for file in waiting])
    if damages:
        more = f" ({len(damages)} files are)" if len(damages) > 1 else ""
        raise StoreError(f"{damages[0].path}: damaged{more}, {damages[0].found}; {remedy}")


def whole_file(path: AnyPath, sha256: str, remedy: str) -> Path:
    """A file of this machine with the contents of `path`, which have that hash.

    Args:
        path: of the file.
        sha256: its hash.
        remedy: what mends it, for the message.

    Raises:
        StoreError: it is damaged.
    """
    require_whole([Expected(path, sha256)], remedy)
    return local_file(path, sha256)


def _damage(file: Expected) -> Damage | None:
    path, sha256 = file
    if not path.is_file():
        return Damage(path, "it is not there")
    look = _look(path) if isinstance(path, Path) else None
    try:
        found = sha256_of(path)
    except StoreError as error:
        return Damage(path, str(error).removeprefix(f"{path}: "))
    if found != sha256:
        return Damage(path, f"found the hash {found[:12]}, expected {sha256[:12]}")
    if isinstance(path, Path) and look is not None:
        _whole[path, sha256] = look
    return None


def _known_whole(path: Path, sha256: str) -> bool:
    look = _whole.get((path, sha256))
    return look is not None and path.is_file() and look == _look(path)


def _look(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
