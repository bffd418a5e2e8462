"""Stores and checkpoints whose hashes fit and whose contents do not: refused by file, where Arrow ended the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from checkpoints import make_checkpoint
from safetensors.torch import save
from stores import make_store

from abaw_ray.blocks.files import map_batch, write_table, write_text
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store, label_file, set_path
from abaw_ray.blocks.writer import read_block
from abaw_ray.errors import StoreError
from abaw_ray.models import checkpoint
from abaw_ray.training.resume import restore


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store", people=3).path


def rewrite(store: Path, file: Path, key: str, column: str, change: Callable[[pa.Array], pa.Array]) -> None:
    """Changes a column of a file, and every hash that tells of it; `key` is the manifest's, of a list its first."""
    table = pa.table(map_batch(file)).combine_chunks()
    place = table.schema.get_field_index(column)
    changed = change(table[column].combine_chunks())
    sha256 = write_table(file, _in_place(table, place, changed))
    manifest = Manifest.load(store)
    value = getattr(manifest, key)
    if isinstance(value, list):
        changed_entries = [value[0].model_copy(update={"sha256": sha256}), *value[1:]]
        manifest = manifest.model_copy(update={key: changed_entries})
    else:
        manifest = manifest.model_copy(update={key: sha256})
    manifest.model_copy(update={"content_hash": manifest.hash()}).save(store)


def _in_place(table: pa.Table, place: int, column: pa.Array) -> pa.Table:
    columns = [column if number == place else table.column(number) for number in range(table.num_columns)]
    return pa.table(columns, schema=table.schema)


def numbers(kind: pa.DataType, place: int, value: int) -> Callable[[pa.Array], pa.Array]:
    def change(column: pa.Array) -> pa.Array:
        found = column.to_numpy().copy()
        found[place] = value
        return pa.array(found, kind)

    return change


@pytest.mark.parametrize(
    ("column", "kind", "place", "value"),
    [
        ("database", pa.int8(), -1, 9),
        ("database", pa.int8(), 0, -1),
        ("database", pa.int8(), 0, 1),
        ("block", pa.int32(), -1, 99),
        ("block", pa.int32(), 0, 2),
        ("row", pa.int32(), 0, 7),
        ("row", pa.int32(), 3, -2),
    ],
)
def test_an_index_with_places_that_are_none(
    store: Path, column: str, kind: pa.DataType, place: int, value: int
) -> None:
    rewrite(store, store / "index.arrow", "index_sha256", column, numbers(kind, place, value))
    with pytest.raises(StoreError, match=r"index\.arrow: found "):
        Store(store)


@pytest.mark.parametrize("column", ["video", "subject"])
@pytest.mark.parametrize("code", [1_000_000, -5])
def test_names_beyond_their_dictionary(store: Path, column: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(names: pa.DictionaryArray) -> pa.DictionaryArray:
        codes = names.indices.to_numpy().copy()
        codes[2] = code
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names.dictionary, safe=False)

    monkeypatch.setattr("abaw_ray.blocks.files.compact", lambda table: table)  # which Arrow would not survive
    rewrite(store, store / "index.arrow", "index_sha256", column, change)
    with pytest.raises(StoreError, match=r"index\.arrow: cannot be read"):
        Store(store)


@pytest.mark.parametrize(("column", "kind", "value"), [("row", pa.int64(), 10**9), ("split", pa.int8(), 9)])
def test_labels_of_rows_and_splits_that_are_none(store: Path, column: str, kind: pa.DataType, value: int) -> None:
    first = Manifest.load(store).labels[0]
    rewrite(store, label_file(store, first).path, "labels", column, numbers(kind, -1, value))
    with pytest.raises(StoreError, match=rf"labels of {first.space}"):
        Store(store)


def test_training_sets_of_rows_that_are_none(store: Path) -> None:
    name = Manifest.load(store).sets[0].name
    rewrite(store, set_path(store, name), "sets", "row", numbers(pa.int64(), 0, 25))
    with pytest.raises(StoreError, match=rf"{name}\.arrow: found rows from 25"):
        Store(store)


def test_frames_of_videos_that_are_none(store: Path) -> None:
    rewrite(store, store / "unseen.arrow", "unseen_sha256", "video", numbers(pa.int32(), 0, 77))
    with pytest.raises(StoreError, match=r"unseen\.arrow: found videos"):
        Store(store)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("blocks", 0, "path"), "../../etc/passwd"),
        (("blocks", 0, "path"), "/etc/passwd"),
        (("sets", 0, "name"), "../x"),
        (("sets", 0, "tasks"), []),
        (("sets", 0, "tasks"), ["nothing"]),
        (("labels", 0, "space"), "nothing"),
        (("num_images",), 10**30),
        (("seed",), "x"),
    ],
)
def test_a_manifest_that_leads_elsewhere(store: Path, key: tuple, value: object) -> None:
    values = json.loads((store / "manifest.json").read_text())
    place = values
    for part in key[:-1]:
        place = place[part]
    place[key[-1]] = value
    write_text(store / "manifest.json", json.dumps(values))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        Store(store)


def test_a_block_with_other_notes_than_ours_is_made_anew(store: Path) -> None:
    file = next((store / "blocks").rglob("*.arrow"))
    table = pa.table(map_batch(file))
    for notes in (b"no JSON", b"[1]", b'{"a": 1}', b"\xff"):
        write_table(file, table.replace_schema_metadata({b"abaw_ray": notes}))
        assert read_block(file.parent, file.name) is None


@pytest.mark.parametrize("content", [b"", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{}", save({"a": torch.zeros(3)})])
def test_weights_of_another_network_or_none(tmp_path: Path, content: bytes) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    replace_file(folder, checkpoint.WEIGHTS, content)
    with pytest.raises(StoreError, match=r"model\.safetensors: "):
        checkpoint.load(folder).network(torch.device("cpu"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02cos\nsystem\n.", b"\x80\x02]."])
def test_states_of_no_training(tmp_path: Path, content: bytes) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    replace_file(folder, checkpoint.OPTIMIZER, content)
    network = checkpoint.load(folder).network(torch.device("cpu"))
    with pytest.raises(StoreError, match=r"optimizer\.pt: "):
        restore(folder, network, torch.optim.Adam(network.parameters()))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Another content of a checkpoint's file, and a description that fits it."""
    (folder / name).write_bytes(content)
    described = checkpoint.read_description(folder)
    described.save(folder, described.files | {name: checkpoint.sha256_of(folder / name)})
