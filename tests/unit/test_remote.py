"""Stores behind s3://: paths, the node's cache, what is fetched and how often."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from dense_labels import vectors
from object_store import ObjectStore
from stores import BLOCK_ROWS, Made, make_store

from abaw_ray.blocks.annotators import LabelSource, write_annotator
from abaw_ray.blocks.cache import NodeCache, local_file, node_cache
from abaw_ray.blocks.files import sha256_of, write_table, write_text
from abaw_ray.blocks.labels import Labels
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.check import check_place
from abaw_ray.errors import ConfigurationError, MissingInputError, StorageError, StoreError
from abaw_ray.spaces import Split
from abaw_ray.storage import RemotePath, as_path, files_below, local_folder, remove_tree

READ_ALL = """
import sys, numpy as np
from abaw_ray.blocks.reader import Store
store = Store(sys.argv[1])
print(int(store.images(np.arange(len(store.index))).astype(np.int64).sum()))
"""


@pytest.fixture
def remote(object_store: ObjectStore, tmp_path: Path) -> tuple[Made, str]:
    """A store on this machine and the URI of its copy."""
    made = make_store(tmp_path / "store")
    place = as_path(object_store.uri(f"{tmp_path.name}/store"))
    for name in files_below(made.path):
        (place / name).upload(made.path / name)
    return made, str(place)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeCache]:
    """A cache of this test's own."""
    monkeypatch.setenv("ABAW_RAY_CACHE", str(tmp_path / "cache"))
    node_cache.cache_clear()
    yield node_cache()
    node_cache.cache_clear()


def key_of(uri: str, name: str) -> str:
    return uri.partition("?")[0].removeprefix("s3://bucket/") + "/" + name


def block_keys(uri: str) -> list[str]:
    return [key_of(uri, f"{BLOCKS}/{b.path}") for b in Manifest.load(as_path(uri)).blocks]


def test_a_path_behind_a_uri_is_used_like_one_of_this_machine(object_store, tmp_path):
    folder = as_path(object_store.uri(tmp_path.name)) / "a folder"
    assert not folder.exists()
    assert list(folder.iterdir()) == []
    folder.mkdir()
    (folder / "b.json").write_text("é")
    (folder / "c/d.json").write_bytes(b"1")
    assert (folder / "b.json").read_text() == "é"
    assert folder.is_dir()
    assert (folder / "b.json").is_file()
    assert [path.name for path in folder.iterdir()] == ["b.json", "c"]
    assert [path.name for path in folder.glob("*.json")] == ["b.json"]
    assert files_below(folder) == {"b.json", "c/d.json"}
    assert (folder / "c/d.json").relative_to(folder).as_posix() == "c/d.json"
    assert (folder / "c").parent == folder
    assert pickle.loads(pickle.dumps(folder / "b.json")).read_text() == "é"
    (folder / "b.json").replace(folder / "e.json")
    (folder / "e.json").unlink()
    (folder / "e.json").unlink(missing_ok=True)
    assert files_below(folder) == {"c/d.json"}
    remove_tree(folder)
    assert files_below(folder) == set()


def test_typed_places(tmp_path):
    assert as_path("a/b") == Path("a/b")
    assert as_path(f"file://{tmp_path}") == tmp_path
    with pytest.raises(ConfigurationError, match="nosuch://x"):
        as_path("nosuch://x/y")


def test_a_folder_is_sent_when_it_is_complete(object_store, tmp_path):
    folder = as_path(object_store.uri(tmp_path.name)) / "results"

    def interrupted() -> None:
        with local_folder(folder) as local:
            (local / "a.txt").write_text("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files_below(folder) == set()
    with local_folder(folder) as local:
        (local / "b").mkdir()
        (local / "b" / "c.txt").write_text("c")
    assert (folder / "b/c.txt").read_text() == "c"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the network is gone"), MemoryError()])
@pytest.mark.parametrize("num_mib", [0, 16])
def test_what_is_cut_off_on_its_way_leaves_what_was_there(object_store, tmp_path, monkeypatch, error, num_mib):
    folder, source = as_path(object_store.uri(f"{tmp_path.name}/folder")), tmp_path / "file"
    source.write_bytes(b"new" + bytes(20 << 20))
    (folder / "old").write_bytes(b"old")

    def cut_off(here, stream, size):
        stream.write(here.read(num_mib << 20))
        raise error

    monkeypatch.setattr(shutil, "copyfileobj", cut_off)
    for name in ("old", "new"):
        with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
            (folder / name).upload(source)
    assert files_below(folder) == {"old"}
    assert (folder / "old").read_bytes() == b"old"


def test_a_bucket_that_is_not_there_is_named(object_store):
    place = as_path(object_store.uri("x").replace("bucket/", "nosuchbucket/", 1).replace("true", "false"))
    with pytest.raises(StorageError, match="nosuchbucket"):
        (place / "a").write_text("a")
    with pytest.raises(MissingInputError, match="no store s3://nosuchbucket"):
        Store(str(place))


def test_a_remote_store_gives_what_the_local_one_gives(remote, cache):
    made, uri = remote
    store, local = Store(uri), Store(made.path)
    rows = np.random.default_rng(0).integers(0, len(local.index), 100)
    np.testing.assert_array_equal(store.images(rows), local.images(rows))
    np.testing.assert_array_equal(vectors(store.labels("expression")), vectors(local.labels("expression")))
    assert store.videos.names == local.videos.names
    assert {name: s.rows.tolist() for name, s in store.sets.items()} == {
        name: s.rows.tolist() for name, s in local.sets.items()
    }
    store.verify()


def test_tables_written_to_a_uri_are_those_written_here(object_store, tmp_path):
    table = pa.table({"a": [1, 2, 3]})
    there, here = as_path(object_store.uri(tmp_path.name)) / "t.arrow", tmp_path / "t.arrow"
    assert write_table(there, table) == write_table(here, table) == sha256_of(there) == sha256_of(here)
    assert there.read_bytes() == here.read_bytes()


def test_processes_of_a_node_fetch_a_block_once(object_store, remote, tmp_path):
    made, uri = remote
    environment = os.environ | {"ABAW_RAY_CACHE": str(tmp_path / "shared")}
    command = [sys.executable, "-c", READ_ALL, uri]
    readers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    outputs = {reader.communicate(timeout=600)[0] for reader in readers}
    assert outputs == {f"{int(made.images.astype(np.int64).sum())}\n".encode()}
    sizes = {key: (made.path / key.partition("/store/")[2]).stat().st_size for key in block_keys(uri)}
    assert {key: object_store.sent[key] for key in sizes} == sizes


@pytest.mark.parametrize("times", [1, 2])
def test_a_block_damaged_on_its_way_is_fetched_again(object_store, remote, cache, caplog, times):
    made, uri = remote
    key = block_keys(uri)[2]
    object_store.damaged[key] = times
    store = Store(uri)
    if times == 1:
        with caplog.at_level(logging.WARNING):
            np.testing.assert_array_equal(store.images(np.arange(len(store.index))), made.images)
        assert "fetching it again" in caplog.text
        assert object_store.sent[key] == 2 * (made.path / key.partition("/store/")[2]).stat().st_size
    else:
        with pytest.raises(StoreError, match=r"face/b/video-00002.arrow.*found the hash"):
            store.images(np.arange(len(store.index)))


def test_a_cached_file_that_was_changed_is_fetched_again(object_store, remote, cache, caplog):
    made, uri = remote
    store = Store(uri)
    rows = np.arange(len(store.index))
    store.images(rows)
    block = store.manifest.blocks[1]
    (cache.folder / block.sha256).write_bytes(b"cut")
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(Store(uri).images(rows), made.images)
    assert f"{block.sha256} was changed" in caplog.text


def test_a_file_of_unknown_hash_is_fetched_when_it_is_another(object_store, cache, tmp_path):
    file = as_path(object_store.uri(tmp_path.name)) / "weights"
    write_text(file, "old")
    assert local_file(file).read_text() == local_file(file).read_text() == "old"
    assert object_store.sent[f"{tmp_path.name}/weights"] == 3
    write_text(file, "newer")
    assert local_file(file).read_text() == "newer"


def test_the_cache_keeps_to_its_size_and_to_what_was_asked_for_last(object_store, tmp_path):
    folder = as_path(object_store.uri(tmp_path.name))
    (tmp_path / "cache").mkdir()
    cache = NodeCache(tmp_path / "cache", 350)
    for number in range(6):
        write_text(folder / str(number), str(number) * 100)
    for number in (0, 1, 2, 0, 3):
        cache.fetch(folder / str(number))
    kept = {f.read_text()[0] for f in cache.folder.iterdir() if f.suffix == ""}
    assert kept == {"0", "2", "3"}, "1 was asked for longest ago"
    for number in (4, 5):
        cache.fetch(folder / str(number))
    assert sum(f.stat().st_size for f in cache.folder.iterdir() if f.suffix == "") <= 350


def test_what_a_process_that_died_left_in_the_cache_is_removed_when_it_is_old(object_store, tmp_path):
    folder, cache = as_path(object_store.uri(tmp_path.name)), NodeCache(tmp_path, 10**6)
    write_text(folder / "a", "a")
    parts = [f".unfinished-{'a' * 32}", "0" * 64]
    for name in (*parts, "thesis.tex"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".unfinished-new").touch()
    fetched = cache.fetch(folder / "a").name
    found = {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert found == {"thesis.tex", ".unfinished-new", fetched, f"{fetched}.json"}


def test_a_cache_is_shared_with_users_whose_files_cannot_be_changed(object_store, tmp_path, monkeypatch):
    """The system refuses what it refuses in a folder of many users; root, who may run this, it would refuse nothing."""
    folder = as_path(object_store.uri(tmp_path.name))
    (tmp_path / "cache").mkdir()
    for number in range(4):
        write_text(folder / str(number), str(number) * 100)
    theirs = NodeCache(tmp_path / "cache", 250)
    theirs.fetch(folder / "0")
    their_files = {str(path) for path in theirs.folder.iterdir()}

    def refusing(name):
        function = getattr(os, name)

        def call(path, *arguments, **options):
            reads = name == "open" and not arguments[0] & os.O_ACCMODE
            if str(path) in their_files and not reads:
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *arguments, **options)

        return call

    for name in ("open", "utime", "unlink"):
        monkeypatch.setattr(os, name, refusing(name))
    ours = NodeCache(tmp_path / "cache", 250)
    for number in (0, 1, 2, 3, 0):
        assert ours.fetch(folder / str(number)).read_text() == str(number) * 100
    assert object_store.sent[f"{tmp_path.name}/0"] == 100
    kept = {path.read_text()[0] for path in ours.folder.iterdir() if path.suffix == ""}
    assert kept == {"0", "3"}, "theirs stays, and ours makes room"


def test_a_store_larger_than_the_cache_is_read(object_store, remote, tmp_path, monkeypatch):
    made, uri = remote
    (tmp_path / "small").mkdir()
    small = NodeCache(tmp_path / "small", 3 * (made.path / "index.arrow").stat().st_size)
    monkeypatch.setattr("abaw_ray.blocks.cache.node_cache", lambda: small)
    store = Store(uri)
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(0, sum(BLOCK_ROWS), 4)
        np.testing.assert_array_equal(store.images(rows), made.images[rows])


def test_blocks_that_made_room_for_others_are_fetched_ahead_again(object_store, remote, cache):
    _, uri = remote
    store, keys = Store(uri), block_keys(uri)
    every = np.arange(len(keys))
    store.fetch(every)
    files = [cache.folder / block.sha256 for block in store.manifest.blocks]
    for file in files[1:]:
        file.unlink()
    store.fetch(every)
    assert all(file.is_file() for file in files)
    assert object_store.sent[keys[0]] == files[0].stat().st_size
    assert object_store.sent[keys[1]] == 2 * files[1].stat().st_size


def test_a_block_that_is_open_is_not_fetched_again(object_store, remote, cache):
    made, uri = remote
    store, rows = Store(uri), np.arange(sum(BLOCK_ROWS))
    store.images(rows)
    before = object_store.sent.copy()
    for block in store.manifest.blocks:
        (cache.folder / block.sha256).unlink()
    np.testing.assert_array_equal(store.images(rows), made.images)
    assert object_store.sent == before


def test_a_store_is_opened_with_one_listing_of_its_blocks(object_store, remote, cache):
    _, uri = remote
    object_store.listed.clear()
    Store(uri)
    assert {object_store.listed[key] for key in block_keys(uri)} == {1}


@pytest.mark.parametrize("text", ["much", "1GB"])
def test_a_size_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("ABAW_RAY_CACHE_GIB", text)
    node_cache.cache_clear()
    with pytest.raises(ConfigurationError, match=f"ABAW_RAY_CACHE_GIB: found '{text}'"):
        node_cache()
    node_cache.cache_clear()


def test_an_incomplete_remote_store_names_what_is_missing(remote, cache):
    _, uri = remote
    store = as_path(uri)
    (store / "blocks/face/a/video-00000.arrow").unlink()
    with pytest.raises(StoreError, match=r"blocks/face/a/video-00000.arrow.*missing"):
        Store(uri)
    manifest = json.loads((store / "manifest.json").read_text())
    write_text(store / "manifest.json", json.dumps(manifest | {"version": 1}))
    with pytest.raises(StoreError, match="store of version 1, expected 4"):
        Store(uri)
    assert isinstance(store, RemotePath)


def test_an_annotator_is_added_to_a_store_in_a_bucket(remote: tuple[Made, str], cache: NodeCache) -> None:
    store = Store(as_path(remote[1]))
    values = np.eye(store.spaces["expression"].size, dtype=np.float32)[[2]]
    labels = {"expression": Labels(np.array([3]), values, np.array([Split.TRAIN], np.int8))}
    write_annotator(store, "machine", LabelSource(kind="run", name="run", sha256="a"), labels)
    found = Store(as_path(remote[1])).label_sets["expression", "machine"]
    assert found.of(np.array([3]))[0].argmax() == 2
    assert check_place(as_path(remote[1])).ok
