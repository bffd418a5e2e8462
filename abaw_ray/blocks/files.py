"""Files of a store: written whole or not at all, one record batch each, hashed."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from abaw_ray.disk import TEMPORARY, move, to_disk, write_errors_named
from abaw_ray.errors import MAX_QUOTED, StoreError, quoted
from abaw_ray.storage import AnyPath, local_folder

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
NUMBER = (int, float)

HASH_CHUNK = 1 << 20
LONGEST_NAME, HASH_LETTERS = 255, 16


@contextmanager
def atomic_path(path: AnyPath) -> Iterator[Path]:
    """A temporary file, of this machine, that becomes `path` when the block ends without an error.

    Raises:
        StorageError: the disk is full, or cannot be written, or renames no files.
    """
    if not isinstance(path, Path):
        with local_folder(path.parent) as folder:
            yield folder / path.name
        return
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    with write_errors_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as written:
                to_disk(written.fileno())
            move(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def part_of_name(text: str, safe: str, num_others: int) -> str:
    """A part of a file's name that stands for any text, one for one: escaped, and cut where it is too long.

    Args:
        text: any; letters of most alphabets take six or nine bytes each.
        safe: characters that stay as they are beside ASCII's letters and digits and `_.-~`.
        num_others: bytes of the name's other parts.
    """
    part, room = quote(text, safe=safe), LONGEST_NAME - num_others
    if len(part) <= room:
        return part
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_LETTERS]
    return f"{part[: room - HASH_LETTERS - 1]}~{digest}"


def write_text(path: AnyPath, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: AnyPath, values: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_json(path: AnyPath, remedy: str = "") -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: of the file.
        remedy: what mends it, for the message.

    Raises:
        StoreError: it cannot be read, or holds anything else, as after its machine died; the message says what.
    """
    with damage_named(path):
        content = path.read_bytes()
    return parse_json(content, str(path), remedy)


def stated(values: Mapping[str, Any], key: str, kind: type[T] | tuple[type[T], ...], path: AnyPath) -> T:
    """The value of a key in what a JSON file holds.

    Raises:
        StoreError: there is none, or one of another kind; the message names the file.
    """
    value = values.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise StoreError(f"{path}: found {quoted(value)} under {key}, expected {kinds}")
    return value


def parse_json(content: bytes, where: str, remedy: str = "") -> dict[str, Any]:
    """The object that is written as JSON.

    Args:
        content: the text.
        where: it is from, for messages.
        remedy: as of `read_json`.

    Raises:
        StoreError: it is anything else.
    """
    expected = "expected a JSON object, written whole" + (f"; {remedy}" if remedy else "")
    if not content.strip():
        raise StoreError(f"{where}: found no text, {expected}")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        begin = content[:MAX_QUOTED].decode(errors="backslashreplace")
        raise StoreError(f"{where}: found {begin!r} ({str(error)[:MAX_QUOTED]}), {expected}") from None
    if not isinstance(values, dict):
        raise StoreError(f"{where}: found a JSON {type(values).__name__}, {expected}")
    return values


def require_hash(path: AnyPath, found: str, stated: str, remedy: str) -> None:
    """Refuses a JSON file that says of its own contents that they have another hash than they have.

    Raises:
        StoreError: it does.
    """
    if found != stated:
        raise StoreError(f"{path}: damaged, found the content hash {found[:12]}, stated is {stated[:12]}; {remedy}")


def json_sha256(values: Mapping[str, Any]) -> str:
    """Hash of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_table(path: AnyPath, table: pa.Table) -> str:
    """Writes a table atomically as an Arrow IPC file of one record batch; returns the file's hash.

    What is hashed is what is handed to the disk: the file is not read again.
    """
    batches = compact(table).to_batches()
    assert len(batches) <= 1, "a table of combined chunks is one batch"
    with atomic_path(path) as temporary, _HashedFile(temporary) as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema))
        return file.digest.hexdigest()


class _HashedFile(io.FileIO):
    """A new file whose bytes are hashed in the order in which they are written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x")
        self.digest = hashlib.sha256()

    def write(self, content: Buffer) -> int:
        """All of `content`."""
        rest = memoryview(content).cast("B")
        num_bytes = len(rest)
        while len(rest):
            num_written = super().write(rest)
            assert num_written, "a file on a disk takes some of it, or raises"
            self.digest.update(rest[:num_written])
            rest = rest[num_written:]
        return num_bytes


def compact(table: pa.Table) -> pa.Table:
    """A copy in one chunk whose buffers hold its rows and nothing else.

    Of a part of a larger table, Arrow would write neighbouring values as padding: the same rows, other bytes.
    """
    return table.combine_chunks().take(pa.array(np.arange(table.num_rows)))


def map_batch(path: Path) -> pa.RecordBatch:
    """The record batch of a file, memory-mapped: nothing is read before it is used.

    Raises:
        StoreError: not there, or not a whole Arrow IPC file of one record batch.
    """
    return map_file(path)[0]


def describe_file(path: AnyPath) -> tuple[dict[bytes, bytes], int]:
    """Schema metadata and number of rows of a file, of which little more than that is read.

    Raises:
        StoreError: as `map_batch`.
    """
    if isinstance(path, Path):
        batch = map_batch(path)
    else:
        with damage_named(path), path.open_file() as file:
            first_column = pa.ipc.IpcReadOptions(included_fields=[0])
            batch = pa.ipc.open_file(file, options=first_column).get_batch(0)
    return batch.schema.metadata or {}, batch.num_rows


def map_file(path: Path) -> tuple[pa.RecordBatch, int]:
    """As `map_batch`, and the address that the file's first byte is mapped at."""
    with damage_named(path):
        content = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(content)
        if reader.num_record_batches != 1:
            raise StoreError(f"{path}: {reader.num_record_batches} record batches, expected 1")
        batch = reader.get_batch(0)
        batch.validate()
        return batch, content.address


@contextmanager
def damage_named(path: AnyPath) -> Iterator[None]:
    """Makes a StoreError that names the file of what goes wrong when a damaged one is read."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None


def map_columns(path: Path, schema: pa.Schema) -> pa.RecordBatch:
    """As `map_batch`, of a file that must have the columns of `schema`.

    Raises:
        StoreError: not there, not whole or with other columns.
    """
    with damage_named(path):
        batch = map_batch(path)
        if not batch.schema.equals(schema):
            raise StoreError(f"{path}: found columns {batch.schema.names}, expected {schema.names}")
        batch.validate(full=True)  # Arrow believes places in dictionaries, and ends a process that has others
        return batch


def mapped_array(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A column of numbers (n,) as it lies in the file."""
    return batch.column(name).to_numpy(zero_copy_only=True)


def sha256_of(path: AnyPath) -> str:
    """Hash of a file's bytes.

    Raises:
        StoreError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(path) if isinstance(path, Path) else path.chunks():
            digest.update(chunk)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(HASH_CHUNK):
            yield chunk
