"""Files of remote folders on this node: each is fetched once a node, checked, and kept until others need the room.

The cache is a folder, `ABAW_RAY_CACHE` (default: `abaw-ray` in the user's cache folder), of at most
`ABAW_RAY_CACHE_GIB` (default: half of what was free on its disk). It is shared by all processes of the node, of one job
or of several, and of several users who trust each other where all of them may write to it. A file is named after the
hash of its contents; `<hash>.json` says how it looked when it was fetched, and when it was last asked for. A file that
was changed on the disk since then is fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from abaw_ray.blocks.files import atomic_path, write_text
from abaw_ray.disk import NOT_OFFERED, TEMPORARY, write_errors_named
from abaw_ray.errors import ConfigurationError, StoreError, quoted
from abaw_ray.storage import AnyPath, RemotePath

logger = logging.getLogger(__name__)

FOLDER, GIB = "ABAW_RAY_CACHE", "ABAW_RAY_CACHE_GIB"
NUM_ATTEMPTS = 2
FILLED = 0.95
"""Part of the limit that is left filled when room is made, so that it is not made for every file."""
NUM_NEIGHBOURS = 16
"""Processes of a node that may fetch at the same time."""
LEFT_SECONDS = 24 * 3600
"""Age from which on what was not fetched to its end is that of a process that died."""
HASH = re.compile("[0-9a-f]{64}")
"""In hexadecimal, as files that were fetched are called; a description of a stranger may hold anything."""
RECORD = ".json"
LOCK = ".lock"


def local_file(path: AnyPath, sha256: str | None = None) -> Path:
    """A file of this machine with the contents of `path`: the very file, or one of the node's cache.

    Args:
        path: of the file.
        sha256: hash of its contents; None: what was fetched of a file counts as long as its size and time are the same.

    Raises:
        StoreError: it has not that hash.
        FileNotFoundError: it is not there.
    """
    return path if isinstance(path, Path) else node_cache().fetch(path, sha256)


def is_local(path: AnyPath, sha256: str) -> bool:
    """Whether `local_file` would give that file without fetching it."""
    return isinstance(path, Path) or node_cache().holds(sha256)


def cache_folder() -> Path:
    """The folder of the cache; it need not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(FOLDER) or Path(base) / "abaw-ray").expanduser()


@lru_cache(1)
def node_cache() -> NodeCache:
    """The cache that this process uses.

    Raises:
        ConfigurationError: `ABAW_RAY_CACHE_GIB` is not a number of GiB.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    text = os.environ.get(GIB)
    try:
        limit = int(float(text) * 2**30) if text else _default_limit(folder)
    except ValueError:
        raise ConfigurationError(f"{GIB}: found {text!r}, expected a number of GiB") from None
    return NodeCache(folder, limit)


class NodeCache:
    """A cache.

    Args:
        folder: its files.
        limit: bytes that they may take; the file that was asked for last stays even if it is larger.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._room = 0
        """Bytes that this process may fetch before it looks again at what all of the node's have fetched."""

    def fetch(self, path: RemotePath, sha256: str | None = None) -> Path:
        """See `local_file`."""
        if sha256 is not None and not HASH.fullmatch(sha256):
            raise StoreError(f"{path}: found the hash {quoted(sha256)}, expected 64 digits from 0 to f")
        file = self.folder / (sha256 or _version(path))
        if self._is_whole(file):
            return file
        with self._locked(file.name[:2]):
            if not self._is_whole(file):  # another process may have fetched it meanwhile
                self._download(path, file, sha256)
        self._room -= file.stat().st_size
        if self._room < 0:
            self._make_room(file)
        return file

    def holds(self, sha256: str) -> bool:
        """Whether a file with that hash was fetched and has not made room for others."""
        return (self.folder / sha256).exists()

    def _is_whole(self, file: Path) -> bool:
        """Whether the file is as it was fetched; if it is, notes that it was asked for."""
        record = file.with_name(file.name + RECORD)
        try:
            if json.loads(record.read_text()) != _look(file):
                logger.warning("%s was changed since it was fetched: fetching it again", file)
                return False
            with suppress(PermissionError):  # another user fetched it
                os.utime(record)
        except (FileNotFoundError, ValueError):
            return False
        return True

    def _download(self, path: RemotePath, file: Path, sha256: str | None) -> None:
        for attempt in range(1, NUM_ATTEMPTS + 1):
            digest, num_bytes = hashlib.sha256(), 0
            with atomic_path(file) as temporary, temporary.open("wb") as out:
                for chunk in path.chunks():
                    out.write(chunk)
                    digest.update(chunk)
                    num_bytes += len(chunk)
            if sha256 is None or digest.hexdigest() == sha256:
                logger.info("fetched %s: %d bytes", path, num_bytes)
                write_text(file.with_name(file.name + RECORD), json.dumps(_look(file)))
                return
            file.unlink()
            found = f"found the hash {digest.hexdigest()[:12]} in {num_bytes} bytes, expected {sha256[:12]}"
            if attempt < NUM_ATTEMPTS:
                logger.warning("%s: %s: fetching it again", path, found)
        raise StoreError(f"{path}: {found}, {NUM_ATTEMPTS} times; it is damaged: prepare the store again")

    def _make_room(self, newest: Path) -> None:
        """Removes what was asked for longest ago; processes that have such a file open keep it until they close it."""
        with self._locked("room"):
            self._remove_leftovers()
            asked = {record: found.st_mtime for record in self.folder.glob(f"*{RECORD}") if (found := _stat(record))}
            records = sorted(asked, key=lambda record: asked[record])
            files = [record.with_name(record.name.removesuffix(RECORD)) for record in records]
            sizes = {file: found.st_size for file in files if (found := _stat(file))}
            kept = sum(sizes.values())
            wanted = self.limit if kept <= self.limit else int(self.limit * FILLED)
            for record, file in zip(records, files, strict=True):
                if kept <= wanted:
                    break
                if file != newest:
                    with suppress(PermissionError):  # another user's, who may remove it alone
                        record.unlink(missing_ok=True)
                        file.unlink(missing_ok=True)
                        kept -= sizes.get(file, 0)
            self._room = (self.limit - kept) // NUM_NEIGHBOURS

    def _remove_leftovers(self) -> None:
        """Removes what processes that died have left: parts of files, and files without a record."""
        names = {path.name for path in self.folder.iterdir()}
        for name in names:
            is_part = name.startswith(TEMPORARY) or (HASH.fullmatch(name) and name + RECORD not in names)
            with suppress(PermissionError, FileNotFoundError):
                if is_part and time.time() - (self.folder / name).stat().st_mtime > LEFT_SECONDS:
                    (self.folder / name).unlink()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """One process of the node at a time; the lock of a process that dies is free."""
        file = self.folder / f"{name}{LOCK}"
        with write_errors_named(file):
            try:
                lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except PermissionError:
                lock = os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # another user's
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:  # without locks a file may be fetched twice
                if error.errno not in NOT_OFFERED:
                    raise
            yield
        finally:
            os.close(lock)


def _stat(file: Path) -> os.stat_result | None:
    """None: it is not there, as where another process has just removed it."""
    with suppress(FileNotFoundError):
        return file.stat()
    return None


def _look(file: Path) -> dict[str, int]:
    found = file.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _version(path: RemotePath) -> str:
    """Stands for the contents of a file whose hash is not known."""
    info = path.info()
    return hashlib.sha256(f"{path}\n{info.size}\n{info.mtime_ns}".encode()).hexdigest()


def _default_limit(folder: Path) -> int:
    kept = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return (shutil.disk_usage(folder).free + kept) // 2
