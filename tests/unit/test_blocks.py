"""A store written and read back: images, index, sets, damage and incompleteness."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from dense_labels import splits, vectors
from faces import face_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper import TASKS
from stores import (
    BLOCK_ROWS,
    SIZE,
    Made,
    database_entry,
    encode,
    index_part,
    label_columns,
    make_store,
    smooth_images,
    unseen_frames,
    videos_of,
)

from abaw_ray.blocks import row_readers as block_images
from abaw_ray.blocks.files import atomic_path, write_table
from abaw_ray.blocks.index import Index, read_index, write_index
from abaw_ray.blocks.manifest import BlockEntry, Manifest, begin_store, store_held
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS, INDEX, MANIFEST, UNSEEN, VIDEOS
from abaw_ray.blocks.videos import in_order, read_unseen, read_videos, write_unseen, write_videos
from abaw_ray.blocks.writer import BlockMetadata, read_block, write_block
from abaw_ray.databases.schemas import split_column
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.spaces import Split

TABLES = [
    *("index.arrow", "videos.arrow", "unseen.arrow"),
    *("labels/expression.arrow", "labels/unseen/valence_arousal.arrow"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def own(made: Made, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made.path, tmp_path / "copy"))


def test_ids_of_images_are_of_their_names_alone(made: Made, tmp_path: Path) -> None:
    store = Store(made.path)
    rows = np.array([24, 0, 3, 3])
    digests = [blake2b(name, digest_size=8).digest() for name in (b"b/video 3", b"a/video 0", b"a/video 0")]
    golden = 0x9E3779B97F4A7C15
    first, second, third = (
        (int.from_bytes(digest, "little") + frame * golden) % 2**64
        for digest, frame in zip(digests, (4, 0, 3), strict=True)
    )
    assert store.image_ids(rows).tolist() == [first, second, third, third]
    assert len(np.unique(store.image_ids(np.arange(len(store.index))))) == len(store.index)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, sum(BLOCK_ROWS) - 1), max_size=60))
def test_raw_images_in_any_order_with_repeats(made: Made, rows: list[int]) -> None:
    chosen = np.array(rows, np.int64)
    assert np.array_equal(Store(made.path).images(chosen), made.images[chosen])


@pytest.mark.parametrize("most", [1, 3])
def test_long_runs_are_read_in_parts(made: Made, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(block_images, "MAX_BUFFERS", most)
    for rows in (np.arange(25), np.arange(25)[::-1], np.tile([8, 10, 9], 5)):
        assert np.array_equal(Store(made.path).images(rows), made.images[rows])


@pytest.mark.parametrize("seed", [0, 1])
def test_jpeg_images(tmp_path: Path, seed: int) -> None:
    made = make_store(tmp_path, "jpeg")
    rows = np.random.default_rng(seed).integers(0, len(made.images), 60)
    found = Store(tmp_path).images(rows)
    exact = [
        cv2.cvtColor(cv2.imdecode(np.frombuffer(encode(i), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        for i in made.images[rows]
    ]
    assert np.array_equal(found, exact)
    assert np.abs(found.astype(int) - made.images[rows].astype(int)).mean() < 6


def open_blocks(store: Path) -> int:
    """Files of the store that this process has open, and memory maps of them."""
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    maps = Path("/proc/self/maps").read_text()
    return sum(str(store / BLOCKS) in link for link in links) + maps.count(str(store / BLOCKS))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_open_files_are_bounded_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_images, "MAX_OPEN_FILES", 2)
    made = make_store(tmp_path)
    store = Store(tmp_path)
    for rows in (np.arange(25), np.arange(25)[::-1], np.array([24, 0, 24, 0])):
        assert np.array_equal(store.images(rows), made.images[rows])
        assert open_blocks(tmp_path) == 2
    del store
    assert open_blocks(tmp_path) == 0


def test_two_threads_read_at_once(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_images, "MAX_OPEN_FILES", 1)  # every read closes the file of the other thread
    store = Store(made.path)
    wrong: list[object] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(200):
                rows = rng.integers(0, len(made.images), 10)
                if not np.array_equal(store.images(rows), made.images[rows]):
                    wrong.append(rows)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_index_is_mapped_not_copied(made: Made) -> None:
    store = Store(made.path)
    index = store.index
    views = [index.database, index.frame, index.block, index.row, *(s.rows for s in store.sets.values())]
    views += [store.unseen.video, store.unseen.frame]
    for labels in (*store.label_sets.values(), *store.unseen.label_sets.values()):
        views += labels.labels
    assert not any(view.flags.owndata or view.flags.writeable for view in views)
    assert len(index) == sum(BLOCK_ROWS)
    assert vectors(store.labels("expression")).shape == (25, 7)
    assert vectors(store.labels("valence_arousal")).dtype == np.float32
    assert index.database.tolist() == [0] * 8 + [1] * 17
    assert index.video(np.array([24, 0, 7])) == ["video 3", "video 0", "video 1"]
    assert index.frame[7:10].tolist() == [0, 0, 1]


def test_videos_and_their_rows(made: Made) -> None:
    store = Store(made.path)
    videos = store.videos
    assert store.sequential.tolist() == [True, True]
    assert len(videos) == 5
    assert videos.names == ["video 0", "video 1", "no image", "video 2", "video 3"]
    assert videos.database.tolist() == [0, 0, 1, 1, 1]
    assert videos.num_frames.tolist() == [10, 1, 4, 12, 6]
    rows = [range(start, stop) for start, stop in zip(videos.start.tolist(), videos.stop.tolist(), strict=True)]
    assert [list(r) for r in rows] == [[*range(7)], [7], [], [*range(8, 20)], [*range(20, 25)]]
    assert [a.dtype for a in (videos.database, videos.num_frames, videos.start, videos.stop)] == [
        np.int8,
        np.int32,
        np.int64,
        np.int64,
    ]


def test_frames_without_an_image_come_back_in_order(made: Made) -> None:
    unseen = Store(made.path).unseen
    assert len(unseen) == 5
    assert list(zip(unseen.video.tolist(), unseen.frame.tolist(), strict=True)) == [
        (0, 8),
        (0, 9),
        (2, 1),
        (2, 2),
        (4, 5),
    ]
    written = pa.concat_tables(made.unseen).take([1, 0, 3, 4, 2])
    for task in TASKS:
        assert vectors(unseen.labels(task)).tolist() == written[task].to_pylist()
        assert splits(unseen.labels(task)).tolist() == written[split_column(task)].to_pylist()


def index_of(path: Path, databases: list[list[str]]) -> Index:
    """An index of the video of every row, database by database."""
    parts = []
    for videos in databases:
        columns = {"video": pa.array(videos, pa.string()), "frame": pa.array(range(len(videos)), pa.int32())}
        parts.append(index_part([pa.table(columns)], np.zeros(len(videos), np.int32), np.arange(len(videos))))
    write_index(path / INDEX, parts)
    return read_index(path / INDEX)


def test_videos_of_one_name_in_several_databases(tmp_path: Path) -> None:
    index = index_of(tmp_path, [["a", "a", "b"], ["b", "a", "b"], [], ["b", "a", "a"]])
    write_videos(tmp_path / VIDEOS, [videos_of(v) for v in ({"a": 2, "b": 3}, {}, {"a": 1}, {"a": 3, "b": 1, "c": 1})])
    videos = read_videos(tmp_path / VIDEOS, index, np.array([True, False, True, True]))
    places = zip(videos.names, videos.database.tolist(), videos.start.tolist(), videos.stop.tolist(), strict=True)
    assert list(places) == [
        ("a", 0, 0, 2),
        ("b", 0, 2, 3),
        ("a", 2, 0, 0),
        ("a", 3, 7, 9),
        ("b", 3, 6, 7),
        ("c", 3, 0, 0),
    ]


def test_videos_that_are_not_those_of_the_index(tmp_path: Path) -> None:
    write_videos(tmp_path / VIDEOS, [videos_of({"a": 2, "c": 2})])
    for rows in (["a", "b"], ["a", "c", "a"]):
        with pytest.raises(StoreError, match=r"videos\.arrow: not the videos of the store's index"):
            read_videos(tmp_path / VIDEOS, index_of(tmp_path, [rows]), np.array([True]))
    with pytest.raises(StoreError, match=r"index\.arrow: found columns"):
        read_videos(tmp_path / INDEX, index_of(tmp_path, [["a"]]), np.array([True]))
    with pytest.raises(StoreError, match=r"videos\.arrow: found columns"):
        read_unseen(tmp_path / VIDEOS)


def test_a_store_of_photos_has_no_videos(tmp_path: Path) -> None:
    index = index_of(tmp_path, [["p", "q"]])
    none = videos_of({})
    write_videos(tmp_path / VIDEOS, [none])
    write_unseen(tmp_path / UNSEEN, [in_order(unseen_frames(np.random.default_rng(0), []), none)], [none])
    assert len(read_videos(tmp_path / VIDEOS, index, np.array([False]))) == 0
    assert [len(column) for column in read_unseen(tmp_path / UNSEEN)] == [0, 0]


def test_rows_by_split(made: Made) -> None:
    store = Store(made.path)
    train = store.rows_with("expression", Split.TRAIN)
    put = {task: made.rows[split_column(task)].to_numpy() for task in TASKS}
    assert train.tolist() == np.flatnonzero(put["expression"] == 1).tolist()
    any_task = (put["expression"] == 2) | (put["valence_arousal"] == 2) | (put["action_units"] == 2)
    assert store.validation_rows().tolist() == np.flatnonzero(any_task).tolist()
    assert train.dtype == store.validation_rows().dtype == np.int64


def test_sets_come_in_the_order_of_the_paper(made: Made) -> None:
    store = Store(made.path)
    assert list(store.sets) == ["mixed_expr", "mixed_va", "expr_va"]
    assert store.sets["mixed_expr"].tasks == ("expression",)
    assert store.sets["mixed_expr"].rows.tolist() == [4, 5, 6, 24]
    assert store.databases == ["a", "b"]
    assert store.image_size == SIZE


def flip_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["blocks/face/b/video-00002.arrow", *TABLES, "sets/mixed_va.arrow"],
)
def test_verify_names_the_damaged_file(own: Path, name: str) -> None:
    Store(own).verify()
    flip_byte(own / name, (own / name).stat().st_size // 2)
    with pytest.raises(StoreError, match=name):
        Store(own).verify()


def test_verify_finds_a_changed_manifest(own: Path) -> None:
    path = own / MANIFEST
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(StoreError, match="content hash"):
        Store(own).verify()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def replace_by_other(path: Path) -> None:
    shutil.copy(path.with_name("video-00003.arrow"), path)


@pytest.mark.parametrize("spoil", [truncate, replace_by_other])
def test_reading_a_block_that_is_not_whole(own: Path, spoil: Callable[[Path], None]) -> None:
    spoil(own / BLOCKS / "face/b/video-00002.arrow")
    store = Store(own)
    with pytest.raises(StoreError, match=r"video-00002\.arrow"):
        store.images(np.arange(25))


def test_a_block_that_shrinks_while_it_is_read(own: Path) -> None:
    store = Store(own)
    store.images(np.arange(25))
    os.truncate(own / BLOCKS / "face/b/video-00002.arrow", 2000)
    with pytest.raises(StoreError, match=r"found \d+ bytes"):
        store.images(np.arange(25))


@pytest.mark.parametrize(
    "name",
    ["blocks/face/a/video-00001.arrow", *TABLES, "sets/expr_va.arrow"],
)
def test_a_store_without_a_file_is_refused(own: Path, name: str) -> None:
    (own / name).unlink()
    with pytest.raises(StoreError, match=name):
        Store(own)


def test_folders_that_are_no_store(own: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="abaw-ray prepare"):
        Store(tmp_path / "none")
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreError, match="not a store"):
        Store(tmp_path / "other")
    begin_store(own)
    with pytest.raises(StoreError, match="unfinished"):
        Store(own)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"version": 4', '"version": 3', "store of version 3, expected 4; `abaw-ray prepare .*makes it anew"),
        ('"version": 4', '"version": 5', "version 4: version.*new folder"),
        ('"Neutral"', '"Calm"', "damaged, found the content hash"),
        ("{", "", "not a manifest"),
    ],
)
def test_a_manifest_of_another_version(own: Path, before: str, after: str, message: str) -> None:
    path = own / MANIFEST
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(StoreError, match=message):
        Store(own)


def test_only_a_store_or_an_empty_folder_is_written_to(own: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert recorded_in(tmp_path / "photos") == {}
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(ConfigurationError, match="not empty and not a store"):
        recorded_in(tmp_path / "photos")
    with pytest.raises(ConfigurationError, match="not a folder"):
        recorded_in(tmp_path / "photos" / "a.jpg")
    recorded = recorded_in(own)
    assert len(recorded) == len(BLOCK_ROWS)
    begin_store(own)
    begin_store(own)
    assert recorded_in(own) == recorded
    begin_store(tmp_path / "new")
    assert recorded_in(tmp_path / "new") == {}


def recorded_in(store: Path) -> Mapping[str, BlockEntry]:
    with store_held(store) as recorded:
        return recorded


def test_content_hash_leaves_out_what_differs_from_machine_to_machine(made: Made) -> None:
    manifest = Manifest.load(made.path)
    elsewhere = manifest.model_copy(
        update={
            "sources": {"a": {"root": "/elsewhere"}},
            "databases": [database_entry("a", "/elsewhere/label.csv:3"), database_entry("b")],
        }
    )
    assert elsewhere.hash() == manifest.content_hash
    other = manifest.model_copy(update={"databases": [database_entry("a", count=3), database_entry("b")]})
    assert other.hash() != manifest.content_hash


def test_rows_without_an_image_are_left_out_of_a_block_and_remembered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = smooth_images(4, rng)
    columns = {"video": pa.array(["v"] * 4), "frame": pa.array(range(4), pa.int32())} | label_columns(rng, 4)
    columns["image"] = pa.FixedSizeListArray.from_arrays(pa.array(pictures.reshape(-1)), SIZE * SIZE * 3)
    problems = {"missing_image": {"count": 2, "examples": ["x.jpg", "y.jpg"]}}
    metadata = BlockMetadata("plan", [1, 2], problems)
    written = write_block(tmp_path, "a.arrow", pa.table(columns), metadata, face_field(SIZE))
    found = read_block(tmp_path, "a.arrow")
    assert found is not None
    assert (found.num_rows, found.metadata) == (written.num_rows, written.metadata) == (2, metadata)
    assert found.problems().to_dict() == problems
    assert pa.ipc.open_file(tmp_path / "a.arrow").read_all()["frame"].to_pylist() == [0, 3]
    assert read_block(tmp_path, "none.arrow") is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert list(target.parent.iterdir()) == []


def test_the_same_rows_are_the_same_bytes_whatever_table_they_are_a_part_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long = pa.table(
        {"video": ["a", "b", "c", "d"], "frame": pa.array([7, 1, 2, 8], pa.int32())} | label_columns(rng, 4)
    )
    part = long.slice(1, 2)
    write_table(tmp_path / "part.arrow", part)
    write_table(tmp_path / "copy.arrow", pa.Table.from_pylist(part.to_pylist(), schema=part.schema))
    assert (tmp_path / "part.arrow").read_bytes() == (tmp_path / "copy.arrow").read_bytes()


def test_reading_needs_neither_ray_nor_torch() -> None:
    code = "import sys, abaw_ray.blocks.reader; print({'ray', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("at_once", [1, 100, SIZE * SIZE * 3, 2000])
@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_files_that_give_less_than_they_are_asked_for_are_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, at_once: int
) -> None:
    made = make_store(tmp_path, encoding=encoding)
    rows = np.random.default_rng(0).permutation(sum(BLOCK_ROWS))
    expected, preadv = Store(made.path).images(rows), os.preadv

    def some(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        buffer = next(buffer for buffer in buffers if buffer.nbytes)
        return preadv(descriptor, [buffer.cast("B")[:at_once]], offset)

    monkeypatch.setattr(os, "preadv", some)
    np.testing.assert_array_equal(Store(made.path).images(rows), expected)
