"""Where stores, runs and sweeps are: folders of this machine, or behind any URI that pyarrow opens, as s3://bucket/x."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from abaw_ray.credentials import has_secrets, without_secrets
from abaw_ray.disk import TEMPORARY, write_errors_named
from abaw_ray.errors import ConfigurationError, StorageError

CHUNK = 1 << 22
OBJECT_STORES = ("s3", "gcs", "abfs")
"""Their folders are nothing but the beginnings of names."""


class RemotePath:
    """A file or folder behind a URI, with the part of `pathlib.Path` that stores, runs and sweeps need.

    A query, as `?endpoint_override=localhost:9000`, stays with every path that is made from this one. What is written
    appears whole or not at all.

    Raises:
        ConfigurationError: a URI that pyarrow cannot open, or with a password or a key.
        StorageError: the other side refuses or is not there; every method can raise it.
    """

    def __init__(self, uri: str) -> None:
        if has_secrets(uri):
            raise ConfigurationError(
                f"{without_secrets(uri)}: found a password or a key, which would be written into runs and logs; give it"
                " by the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE;"
                " GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_KEY), or a file of credentials, on every node"
            )
        place, _, self._query = uri.partition("?")
        scheme, separator, rest = place.partition("://")
        self._place = scheme + separator + "/".join(part for part in rest.split("/") if part)
        parts = urlsplit(self._place)
        self._filesystem, root = _open(f"{parts.scheme}://{parts.netloc}", self._query)
        self._key = f"{root.rstrip('/')}{parts.path}" or "/"

    def __str__(self) -> str:
        return f"{self._place}?{self._query}" if self._query else self._place

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (str(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> RemotePath:
        return self._at(f"{self._place}/{name}")

    @property
    def name(self) -> str:
        return PurePosixPath(self._place).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self._place).stem

    @property
    def parent(self) -> RemotePath:
        return self._at(self._place.rpartition("/")[0])

    def resolve(self) -> RemotePath:
        return self

    absolute = expanduser = resolve

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        return PurePosixPath(self._place).relative_to(folder._place)

    def exists(self) -> bool:
        return self.info().type != fs.FileType.NotFound

    def is_file(self) -> bool:
        return self.info().type == fs.FileType.File

    def is_dir(self) -> bool:
        return self.info().type == fs.FileType.Directory

    def is_symlink(self) -> bool:
        return False

    def info(self) -> fs.FileInfo:
        """Type, size and time of the last change."""
        with self._named():
            return self._filesystem.get_file_info(self._key)

    def iterdir(self) -> Iterator[RemotePath]:
        """Files and folders in this folder, sorted."""
        return iter(sorted(self._listed(recursive=False)))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Those of `iterdir` whose name fits."""
        return (path for path in self.iterdir() if fnmatch.fnmatch(path.name, pattern))

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Files below this folder whose name fits, sorted; no folders."""
        files = self._listed(recursive=True, files_only=True)
        return iter(sorted(path for path in files if fnmatch.fnmatch(path.name, pattern)))

    def open_file(self) -> pa.NativeFile:
        """For reading at any place."""
        with self._named():
            return self._filesystem.open_input_file(self._key)

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, a part at a time."""
        with self._named(), self._filesystem.open_input_stream(self._key) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def read_bytes(self) -> bytes:
        return b"".join(self.chunks())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        with self._named(), self._written() as stream:
            stream.write(content)

    def write_text(self, content: str, encoding: str = "utf-8") -> None:
        self.write_bytes(content.encode(encoding))

    def upload(self, file: Path) -> None:
        """Becomes a copy of a file of this machine."""
        with file.open("rb") as source, self._named(), self._written() as stream:
            shutil.copyfileobj(source, stream, CHUNK)

    def replace(self, target: RemotePath) -> None:
        with self._named():
            self._filesystem.move(self._key, target._key)

    def unlink(self, missing_ok: bool = False) -> None:
        if missing_ok and not self.exists():
            return
        with self._named():
            self._filesystem.delete_file(self._key)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        if self._filesystem.type_name not in OBJECT_STORES:
            with self._named():
                self._filesystem.create_dir(self._key, recursive=True)

    def remove_tree(self) -> None:
        """Removes the folder and all below it."""
        with self._named():
            self._filesystem.delete_dir(self._key)

    def _at(self, place: str) -> RemotePath:
        return RemotePath(f"{place}?{self._query}" if self._query else place)

    def _listed(self, recursive: bool, files_only: bool = False) -> list[RemotePath]:
        with self._named():
            found = self._filesystem.get_file_info(
                fs.FileSelector(self._key, allow_not_found=True, recursive=recursive)
            )
        kept = [info.path for info in found if not files_only or info.type == fs.FileType.File]
        return [self / path[len(self._key) :].lstrip("/") for path in kept]

    @contextmanager
    def _written(self) -> Iterator[pa.NativeFile]:
        """A stream whose bytes become this file when the block ends without an error.

        A stream of pyarrow cannot be given up: it becomes a file with what it got, so it is one of another name.
        """
        self.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with self._filesystem.open_output_stream(temporary._key) as stream:
                yield stream
            temporary.replace(self)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name the URI."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(f"{self}: not there") from None
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"{self}: {error}") from None


AnyPath = Path | RemotePath
"""A place of this machine or another's."""


def as_path(place: str | Path | RemotePath) -> AnyPath:
    """The path of what a user typed.

    Raises:
        ConfigurationError: a URI that pyarrow cannot open.
    """
    if isinstance(place, str) and "://" in place:
        return Path(urlsplit(place).path) if place.startswith("file://") else RemotePath(place)
    return Path(place) if isinstance(place, str) else place


def remove_tree(path: AnyPath) -> None:
    """Removes a file, or a folder and all below it; nothing if it is not there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif isinstance(path, RemotePath):
        if path.exists():
            path.remove_tree()
    elif path.exists():
        shutil.rmtree(path)


def files_below(folder: AnyPath) -> set[str]:
    """Files below a folder, by their paths from it."""
    if isinstance(folder, RemotePath):
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def local_folder(folder: AnyPath) -> Iterator[Path]:
    """A folder of this machine to write to: the very one, or one whose files go there when the block ends.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    if isinstance(folder, Path):
        with write_errors_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        return
    with write_errors_named(folder), tempfile.TemporaryDirectory() as name:
        yield Path(name)
        for file in sorted(files_below(Path(name))):
            (folder / file).upload(Path(name) / file)


@lru_cache
def _open(root: str, query: str) -> tuple[fs.FileSystem, str]:
    """The file system at a URI without a path, and the key of its root."""
    try:
        return fs.FileSystem.from_uri(f"{root}?{query}" if query else root)
    except (pa.ArrowException, ValueError) as error:
        raise ConfigurationError(
            f"{root}: expected a URI that pyarrow opens, as s3://bucket/folder ({error})"
        ) from None
    except OSError as error:
        raise StorageError(f"{root}: {error}") from None
