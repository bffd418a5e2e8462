"""File systems without renames, locks or fsync, as buckets that are mounted: what is written is right, or is refused at
once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from object_store import ObjectStore

from abaw_ray import disk, writer_lock
from abaw_ray.blocks import cache
from abaw_ray.blocks.files import write_text
from abaw_ray.errors import ConfigurationError, StorageError
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.storage import as_path


def refuse(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, when: Callable[..., bool] = lambda *_: True
) -> None:
    """A call of the system is refused, where `when` says so of its arguments."""
    call = getattr(os, name)

    def refused(*arguments: object, **options: object) -> object:
        if when(*arguments):
            raise OSError(number, os.strerror(number), *arguments[:1])
        return call(*arguments, **options)

    monkeypatch.setattr(os, name, refused)


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_folder_without_renames_is_refused_before_any_work(tmp_path, monkeypatch, number: int) -> None:
    refuse(monkeypatch, "replace", number)
    with pytest.raises(StorageError) as raised, OwnedFolder(tmp_path / "run", "a run").held():
        pytest.fail("what is done here could not be written")
    assert str(raised.value).startswith(
        f"{tmp_path}/run: its file system refuses to rename files ({os.strerror(number)})"
    )
    assert "choose a folder on a disk, or give a bucket by its address" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_renamed_leaves_nothing_and_is_told(tmp_path, monkeypatch) -> None:
    refuse(monkeypatch, "replace", errno.ENOSYS)
    with pytest.raises(StorageError, match="refuses to rename files"):
        write_text(tmp_path / "a.txt", "a")
    assert not list(tmp_path.iterdir())


def test_folders_are_moved_file_by_file_where_they_cannot_be_renamed(tmp_path, monkeypatch) -> None:
    for name in ("a.txt", "b/c.txt", "b/d/e.txt"):
        write_text(tmp_path / "old" / name, name)
    refuse(monkeypatch, "replace", errno.EMFILE, lambda source, _: Path(source).is_dir())
    disk.move_contents(tmp_path / "old", tmp_path / "new")
    files = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.txt")}
    assert files == {f"new/{name}": name for name in ("a.txt", "b/c.txt", "b/d/e.txt")}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_files_are_written_where_nothing_brings_them_to_the_disk(tmp_path, monkeypatch) -> None:
    refuse(monkeypatch, "fsync", errno.EINVAL)
    write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").read_text() == "a"
    refuse(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(StorageError, match="Input/output error"):
        write_text(tmp_path / "b.txt", "b")


def test_without_locks_two_writers_of_one_machine_see_each_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writer_lock.fcntl, "flock", no_locks)
    for name, seconds in {"SILENCE": 60.0, "PATIENCE": 0.1, "SETTLE": 0.1, "BEAT": 0.1}.items():
        monkeypatch.setattr(writer_lock, name, seconds)
    folder, by = OwnedFolder(tmp_path, "a run"), f"process {os.getpid()} on "
    with folder.held(), pytest.raises(ConfigurationError, match=by), folder.held():
        pytest.fail("two write")


def test_a_cache_without_locks_gives_every_file(object_store: ObjectStore, tmp_path, monkeypatch) -> None:
    """Several processes may fetch a file at a time then, and one may remove what another looks at."""
    monkeypatch.setattr(cache.fcntl, "flock", no_locks)
    files = [as_path(object_store.uri(f"{tmp_path.name}/{number}")) for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 1000)
    small = cache.NodeCache(tmp_path, limit=1500)
    for _ in range(2):
        assert [small.fetch(file).read_bytes() for file in files] == [bytes([number]) * 1000 for number in range(3)]
