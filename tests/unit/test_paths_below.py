"""Paths and names that come out of files lead to nothing outside of the folder that they are of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from checkpoints import make_checkpoint
from native_layouts import images, read_database
from pydantic import ValidationError
from stores import make_store
from test_database_heu import clip as write_clip
from test_database_heu import manifest as write_manifest
from test_database_table import MOOD, table

from abaw_ray.below import is_below, is_name
from abaw_ray.blocks.cache import NodeCache
from abaw_ray.blocks.computed import ComputedBlock
from abaw_ray.blocks.files import json_sha256
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import MANIFEST
from abaw_ray.competition.write_entry import write_tracks
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import LabelTable, Options
from abaw_ray.databases.schemas import source_columns
from abaw_ray.errors import DatabaseFormatError, StoreError, quoted
from abaw_ray.inference import predict_job
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.plan import Source, plan_database
from abaw_ray.storage import RemotePath, as_path
from abaw_ray.streams.base import Stream

OUT = ["../x", "../../x.jpg", "a/../../x", "a/..", "..", "/etc/passwd", "a\0b", "", "."]
"""Paths that lead out, or to no file at all."""


@pytest.mark.parametrize("path", OUT)
def test_paths_that_lead_out_are_known(path):
    assert not is_below(path)
    assert not is_name(path)


@pytest.mark.parametrize("path", ["x", "...", "..x", "x..", "a b/é.jpg", "a//b", "./a", "~/x", "C:\\x"])
def test_other_names_are_let_through(path):
    assert is_below(path)
    assert is_name(path) == ("/" not in path)


def test_absolute_paths_are_below_the_folder_that_they_begin_with(tmp_path, monkeypatch):
    assert is_below(f"{tmp_path}/a/1.jpg", tmp_path)
    assert not is_below(f"{tmp_path}x/1.jpg", tmp_path)
    assert not is_below(f"{tmp_path}/a/../../1.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert is_below(f"{tmp_path}/data/1.jpg", "data")


# --- databases


@pytest.mark.parametrize("path", ["../secret/1.jpg", "a/../../secret/1.jpg", "{outside}/1.jpg"])
def test_a_table_names_no_picture_outside_of_its_root(tmp_path, path):
    images(tmp_path / "secret", "1.jpg")
    path = path.format(outside=tmp_path / "secret")
    file = table(tmp_path / "root", MOOD, "path,mood", "a/1.jpg,calm", f"{path},tense")
    with pytest.raises(DatabaseFormatError, match=r"expected a path below .*/root without \.\.") as error:
        read_database("table", tmp_path / "root", {})
    assert (error.value.file, error.value.line) == (str(file), 3)
    assert quoted(path) in error.value.found


def test_a_table_may_name_pictures_below_its_root_by_absolute_paths(tmp_path):
    images(tmp_path, "a/1.jpg")
    table(tmp_path, MOOD, "path,mood", f"{tmp_path}/a/1.jpg,calm")
    found = read_database("table", tmp_path, {})[2]
    assert found.rows["image"].to_pylist() == [f"{tmp_path}/a/1.jpg"]


@pytest.mark.parametrize("column", ["path_face_frames", "path_body", "path_audio"])
def test_a_manifest_of_clips_names_nothing_outside_of_its_folder(tmp_path, column):
    faces = write_clip(tmp_path, "a")
    cells = {"path_face_frames": faces, "path_body": "", "path_audio": ""} | {column: "../../outside"}
    file = write_manifest(tmp_path, "a,1,{path_face_frames},,{path_body},{path_audio},fear,ann,".format(**cells))
    with pytest.raises(DatabaseFormatError, match=r"'\.\./\.\./outside', expected paths below") as error:
        read_database("heu", tmp_path, {})
    assert (error.value.file, error.value.line) == (str(file), 2)


class _Elsewhere(Options):
    """An adapter's options, one of which is a folder."""

    faces: Path | None = None


def planned(root: Path, image: str, options: Options, sound: str | None = None) -> None:
    """Plans a database, of whatever adapter, with one row of an image and a sound."""
    table(root, MOOD, "path,mood", "a/1.jpg,calm")
    database, _, found = read_database("table", root, {})
    stream = Stream(name="voice", kind="vector", size=3, encoding="float32")
    names = source_columns(stream.name)
    rows = found.rows.set_column(2, "image", pa.array([image]))
    rows = rows.append_column(names[0], pa.array([sound])).append_column(
        names[1], pa.array([[]], pa.list_(pa.float32()))
    )
    plan_database(
        Source(database, root, options, LabelTable(found.spaces, rows, found.problems, streams=(stream,))),
        PrepareConfig(),
    )


@pytest.mark.parametrize(("image", "sound"), [("../x.jpg", None), ("a/1.jpg", "../../x.npy"), ("/x.jpg", None)])
def test_no_adapter_s_rows_are_cut_from_files_outside_of_the_database(tmp_path, image, sound):
    with pytest.raises(DatabaseFormatError, match="expected a path below the root, or below an option's folder"):
        planned(tmp_path, image, _Elsewhere(), sound)


def test_folders_that_an_option_names_may_lie_elsewhere(tmp_path):
    faces = tmp_path / "faces"
    planned(tmp_path / "root", f"{faces}/1.jpg", _Elsewhere(faces=faces), "a/1.npy")


# --- stores, and what is computed from them


def lying(store: Path, **changed: object) -> None:
    """Changes a manifest as a stranger can, who writes the hash that it then has."""
    values = json.loads((store / MANIFEST).read_text())
    for key, value in changed.items():
        first, _, second = key.partition("__")
        if second:
            values[first][0][second] = value
        else:
            values[first] = value
    values["content_hash"] = json_sha256(hashed(json.loads(json.dumps(values))))
    (store / MANIFEST).write_text(json.dumps(values))


def hashed(values: dict) -> dict:
    """What the content hash of a manifest is of."""
    kept = {key: value for key, value in values.items() if key not in ("content_hash", "sources")}
    for entry in (*kept["databases"], *kept["streams"]):
        entry["problems"] = {r: p["count"] for r, p in entry["problems"].items()}
    return kept


@pytest.mark.parametrize("key", ["blocks__path", "sets__name", "labels__space"])
@pytest.mark.parametrize("path", ["../../x", "/etc/passwd"])
def test_a_store_names_no_file_outside_of_it(tmp_path, key, path):
    made = make_store(tmp_path / "store")
    lying(made.path, **{key: path})
    with pytest.raises(
        StoreError, match=r"manifest\.json: not a manifest .*expected a (path below|name in) its folder"
    ):
        Store(made.path)


def test_the_folder_of_what_was_computed_names_no_file_outside_of_it():
    ComputedBlock(path="face/a/v-00000.arrow", num_rows=1, num_variants=1, sha256="")
    with pytest.raises(ValidationError, match="expected a path below its folder"):
        ComputedBlock(path="../../x", num_rows=1, num_variants=1, sha256="")


class _Remote:
    """A file of another machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"remote://{self.path}"

    def chunks(self) -> list[bytes]:
        return [b"planted"]


@pytest.mark.parametrize("sha256", ["../../written", "/tmp/written", "a" * 63, "A" * 64])
def test_what_is_fetched_is_called_by_nothing_but_a_hash(tmp_path, sha256):
    folder = tmp_path / "user" / "cache"
    folder.mkdir(parents=True)
    (tmp_path / "written").write_text("mine")
    source = cast(RemotePath, _Remote(tmp_path / "there"))
    with pytest.raises(StoreError, match="expected 64 digits from 0 to f"):
        NodeCache(folder, 1 << 20).fetch(source, sha256)
    assert (tmp_path / "written").read_text() == "mine"
    assert [*folder.iterdir()] == []


# --- checkpoints and runs


def test_a_checkpoint_names_no_file_outside_of_it(tmp_path):
    folder = make_checkpoint(tmp_path / "c")
    file = folder / checkpoint.DESCRIPTION
    values = json.loads(file.read_text())
    values["files"]["../../x"] = "0" * 64
    file.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="expected a name in its folder"):
        checkpoint.load(folder)


@pytest.mark.parametrize("best", ["../other", "/tmp/other", "a/b", ""])
def test_the_best_checkpoint_of_a_run_is_one_of_its_own(tmp_path, best):
    make_checkpoint(tmp_path / "other")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"best": best}))
    with pytest.raises(StoreError, match=r"run\.json: found .* as best, expected the name of a checkpoint"):
        checkpoint.load(run)


# --- what is written, or removed


@pytest.mark.parametrize("name", ["../mine.txt", "{folder}/mine.txt", 3])
def test_what_an_earlier_prediction_says_it_wrote_is_not_removed_elsewhere(tmp_path, name):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    files = [name.format(folder=tmp_path) if isinstance(name, str) else name]
    (out / predict_job.SUMMARY).write_text(json.dumps({"inputs": [{"files": files}]}))
    with pytest.raises(StoreError, match=r"predict\.json: found the file .*, expected a name in the folder"):
        predict_job._remove_earlier(out)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("track", ["../../mine", "/tmp/mine", "a/b"])
def test_tracks_of_a_store_are_files_of_the_entry(tmp_path, track):
    answers = {"expression": {track: np.zeros((2, 1))}}
    with pytest.raises(StoreError, match="found a track"):
        write_tracks(as_path(tmp_path / "deep" / "entry"), answers)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
