"""Blocks are written while the next ones are made: each is whole, and told of when it is on the disk."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from faces import face

from abaw_ray.blocks.files import map_batch, sha256_of, write_table
from abaw_ray.errors import StorageError, UserError
from abaw_ray.preprocess import dataflow
from abaw_ray.preprocess.dataflow import BLOCK, ERROR, RESULT, BlockTask, _make_blocks
from abaw_ray.streams.image import KIND
from abaw_ray.streams.kind import Cut, CutSettings

SIZE, ROWS, NUM_BLOCKS = 16, 20, 3
ALONE = {place: place for place in range(NUM_BLOCKS)}


@pytest.fixture
def plan(tmp_path: Path) -> tuple[pa.Table, list[BlockTask]]:
    rng, names = np.random.default_rng(0), [f"{n}.png" for n in range(ROWS * NUM_BLOCKS)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
    rows = pa.table(
        {
            "video": names,
            "frame": pa.array([0] * len(names), pa.int32()),
            "image": names,
            "geometry": pa.array([[]] * len(names), pa.list_(pa.float32())),
            BLOCK: pa.array(np.repeat(np.arange(NUM_BLOCKS, dtype=np.int32), ROWS)),
        }
    )
    tasks = [BlockTask(f"{n}.arrow", f"hash {n}", ROWS, tmp_path, face(SIZE), KIND, True) for n in range(NUM_BLOCKS)]
    return rows, tasks


def test_every_block_is_whole_when_it_is_told_of(tmp_path: Path, plan: tuple[pa.Table, list[BlockTask]]) -> None:
    rows, tasks = plan
    folder = tmp_path / "blocks"
    for number, told in enumerate(_make_blocks(rows, folder, tasks, CutSettings(), ALONE)):
        result = json.loads(told[RESULT][0].as_py())
        assert (told[BLOCK][0].as_py(), result["path"], told[ERROR][0].as_py()) == (number, f"{number}.arrow", "")
        assert sha256_of(folder / result["path"]) == result["sha256"]
        assert map_batch(folder / result["path"]).num_rows == ROWS
    assert sorted(file.name for file in folder.iterdir()) == [task.path for task in tasks]


def test_a_block_is_written_while_the_next_one_is_made(
    tmp_path: Path, plan: tuple[pa.Table, list[BlockTask]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, tasks = plan
    second_is_made, synced = threading.Event(), os.fsync

    def fsync(file: int) -> None:
        assert second_is_made.wait(30), "the first block waits for the second"
        synced(file)

    class Kind(type(KIND)):  # type: ignore[misc]
        def cut_together(self, *arguments: object) -> list[Cut]:
            second_is_made.set()
            return super().cut_together(*arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(os, "fsync", fsync)
    tasks[1] = BlockTask(**vars(tasks[1]) | {"kind": Kind()})
    assert len(list(_make_blocks(rows, tmp_path / "blocks", tasks, CutSettings(), ALONE))) == NUM_BLOCKS


def test_a_block_that_cannot_be_written_is_told_of_and_leaves_nothing(
    tmp_path: Path, plan: tuple[pa.Table, list[BlockTask]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, tasks = plan
    written = 0

    def write_block(*arguments: object) -> object:
        nonlocal written
        written += 1
        if written == 2:
            raise StorageError("full")
        return whole(*arguments)  # type: ignore[arg-type]

    whole = dataflow.write_block
    monkeypatch.setattr(dataflow, "write_block", write_block)
    told = list(_make_blocks(rows, tmp_path / "blocks", tasks, CutSettings(), ALONE))
    assert [row[ERROR][0].as_py() for row in told] == ["", "full", ""]
    assert sorted(file.name for file in (tmp_path / "blocks").iterdir()) == ["0.arrow", "2.arrow"]


def test_what_cannot_be_cut_out_is_told_of_in_its_place(tmp_path: Path, plan: tuple[pa.Table, list[BlockTask]]) -> None:
    rows, tasks = plan

    class Kind(type(KIND)):  # type: ignore[misc]
        def cut_together(self, *arguments: object) -> list[Cut]:
            raise UserError("no such thing")

    tasks[1] = BlockTask(**vars(tasks[1]) | {"kind": Kind()})
    told = list(_make_blocks(rows, tmp_path / "blocks", tasks, CutSettings(), ALONE))
    assert [row[ERROR][0].as_py() for row in told] == ["", "no such thing", ""]


def test_a_file_cut_short_by_the_disk_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageError, match="No space left"):
        write_table(tmp_path / "a.arrow", pa.table({"a": list(range(10_000))}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_rows", [0, 1, 200_000])
def test_the_hash_is_that_of_the_file(tmp_path: Path, num_rows: int) -> None:
    table = pa.table({"a": pa.array(range(num_rows), pa.int64()), "b": ["é"] * num_rows})
    assert write_table(tmp_path / "a.arrow", table) == sha256_of(tmp_path / "a.arrow")
    assert map_batch(tmp_path / "a.arrow").num_rows == num_rows
