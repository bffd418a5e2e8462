"""From generated pictures to a store with Ray Data, on real local clusters."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import ray
from dense_labels import dense
from films import film, scenes
from paper import EXPRESSION, EXPRESSIONS, SPACES

from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.config import PrepareConfig, Recipe
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.boxes import HEADER
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.preprocess.plan import Source
from abaw_ray.preprocess.prepare import prepare, prepare_sources
from abaw_ray.spaces import Split

NONE, TRAIN, VALIDATION, TEST = Split
SIZE = 24
CONFIG = PrepareConfig(image_size=SIZE, block_rows=8)
TRACKS = {"t1": (20, TRAIN, TRAIN), "t2": (11, TRAIN, VALIDATION), "t3": (5, VALIDATION, NONE)}
"""Video -> frames, split of expression, split of valence and arousal."""

NUM_FRAMES = {"t0": 4, "t1": 20, "t2": 11, "t3": 9}
"""Of the videos; t0 has no image at all."""

BOXES = ([4, 4, 44, 44], [50, 10, 90, 50], [20, 56, 60, 96])
COLOURS = ([200, 20, 20], [20, 200, 20], [20, 20, 200])
BAD_FRAME = 13  # of t1


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def frame_picture(video: str, frame: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(f"{video}/{frame}".encode()).digest()[:4], "big")
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def clips(root: Path, every: int = 3) -> Source:
    """Videos whose pictures have the stored size; one file of them is no picture, two frames have none."""
    rows = RowBuilder(SPACES)
    for video, (num_frames, expression, va) in TRACKS.items():
        for frame in range(num_frames):
            image = f"clips/{video}/{frame}.png"
            write_picture(root / image, frame_picture(video, frame))
            labels = {"expression": (EXPRESSION.one_hot(frame % 7), expression), "valence_arousal": ([0.5, -0.5], va)}
            rows.add(video, frame, image, {t: label for t, label in labels.items() if label[1]})
    (root / f"clips/t1/{BAD_FRAME}.png").write_bytes(b"no picture")
    for video, frame in (("t0", 2), ("t3", 6)):
        rows.add_unseen(video, frame, {"expression": (EXPRESSION.one_hot(frame), VALIDATION)})

    def sets(options: Options) -> tuple[SetMember, ...]:
        thinned = SetMember("mixed_expr", ("expression",), {"Neutral": 2, "Happiness": 2}, every)
        return thinned, SetMember("mixed_va", ("valence_arousal",))

    return video_source(root, rows, NUM_FRAMES, sets)


def video_source(
    root: Path, rows: RowBuilder, num_frames: dict[str, int], sets: Callable[[Options], tuple[SetMember, ...]]
) -> Source:
    database = Database("clips", "Generated clips", "", Options, lambda *_: None, "whole", sets, True)  # type: ignore
    table, unseen = rows.table(), rows.unseen()
    videos = videos_table(num_frames, table, unseen)
    return Source(database, root, Options(), LabelTable(SPACES, table, Problems(), unseen, videos))


def web(root: Path) -> Source:
    """Photos with three boxed faces of different colours; one box is empty, one photo is missing."""
    rows, problems = RowBuilder(SPACES), Problems()
    problems.add("label_out_of_range", f"{root}/list.txt:7")
    for photo in range(8):
        image = np.full((100, 100, 3), 90, np.uint8)
        for (left, top, right, bottom), colour in zip(BOXES, COLOURS, strict=True):
            image[top:bottom, left:right] = colour
        if photo != 5:
            write_picture(root / f"web/{photo}.png", image)
        for face, box in enumerate(BOXES):
            geometry = [9, 9, 3, 3] if (photo, face) == (2, 1) else box
            label = (EXPRESSION.one_hot(face + 1), VALIDATION if photo == 7 else TRAIN)
            rows.add(f"{photo}.png", face, f"web/{photo}.png", {"expression": label}, geometry)

    def sets(options: Options) -> tuple[SetMember, ...]:
        return (SetMember("mixed_expr", ("expression",)),)

    database = Database("web", "Generated photos", "", Options, lambda *_: None, "box", sets)  # type: ignore
    return Source(database, root, Options(), LabelTable(SPACES, rows.table(), problems))


def contents(store: Path) -> dict[str, bytes]:
    """Hash of every file but the manifest, which says where the databases lie."""
    files = [path for path in store.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).digest() for path in files}


@dataclass(frozen=True)
class Prepared:
    """A store, and another place for its databases than where it was made from."""

    store: Path
    manifest: Manifest
    root: Path

    def copy(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(self.store, tmp_path / "store"))

    def sources(self) -> list[Source]:
        return [web(self.root), clips(self.root)]


@pytest.fixture(scope="module")
def prepared(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepare")
    root = folder / "first"
    manifest = prepare_sources(CONFIG, 0, folder / "store", [clips(root), web(root)])
    return Prepared(folder / "store", manifest, folder / "other" / "place")


def test_the_number_of_cpus_changes_nothing(store: Path, databases: Path, recipe: Recipe, tmp_path: Path) -> None:
    """`store` was made on two CPUs; here another process makes it on a cluster of its own with one."""
    elsewhere = Path(shutil.copytree(databases, tmp_path / "other" / "place"))
    command = [sys.executable, "-m", "abaw_ray", "prepare", str(tmp_path / "one"), "--cpus", "1", "--json"]
    command += ["--set", f"prepare.image_size={recipe.prepare.image_size}"]
    for name in ("expw", "affectnet", "affwild2", "afew_va"):
        command += ["--database", f"{name}={elsewhere / name}"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert ran.returncode == 0, ran.stderr
    assert contents(tmp_path / "one") == contents(store)
    assert json.loads(ran.stdout)["content_hash"] == Manifest.load(store).content_hash


def test_the_place_of_the_databases_changes_nothing(prepared: Prepared, tmp_path: Path) -> None:
    manifest = prepare_sources(CONFIG, 0, tmp_path / "two", prepared.sources())
    assert contents(tmp_path / "two") == contents(prepared.store)
    assert manifest.content_hash == prepared.manifest.content_hash
    assert manifest.sources != prepared.manifest.sources
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (10, 0)
    assert Manifest.load(tmp_path / "two").content_hash == manifest.content_hash


def test_what_is_stored(prepared: Prepared) -> None:
    store = Store(prepared.store)
    store.verify()
    index = store.index
    assert [b.path for b in store.manifest.blocks] == [
        *(f"face/clips/t1-{n:05d}.arrow" for n in range(3)),
        *(f"face/clips/t2-{n:05d}.arrow" for n in range(2)),
        "face/clips/t3-00000.arrow",
        *(f"face/web/web-{n:05d}.arrow" for n in range(4)),  # two photos of three faces each
    ]
    # pictures that already had the stored size are the same, byte by byte
    rows = np.flatnonzero(index.database == 0)
    expected = [frame_picture(v, f) for v, f in zip(index.video(rows), index.frame[rows].tolist(), strict=True)]
    assert np.array_equal(store.images(rows), expected)
    assert len(rows) == sum(n for n, _, _ in TRACKS.values()) - 1
    # each face of a photo has its own crop and its own label
    faces = np.flatnonzero(index.database == 1)
    colours = store.images(faces).reshape(len(faces), -1, 3).mean(1)
    assert colours.tolist() == [COLOURS[f] for f in index.frame[faces]]
    assert store.labels("expression").of(faces)[0].argmax(1).tolist() == [f + 1 for f in index.frame[faces]]
    assert len(faces) == 8 * 3 - 4


def test_frames_without_an_image_are_stored(prepared: Prepared) -> None:
    store = Store(prepared.store)
    assert store.sequential.tolist() == [True, False]
    videos, unseen = store.videos, store.unseen
    assert dict(zip(videos.names, videos.num_frames.tolist(), strict=True)) == NUM_FRAMES
    rows = list(zip(videos.start.tolist(), videos.stop.tolist(), strict=True))
    assert rows[1:] == [(0, 19), (19, 30), (30, 35)]
    assert rows[0][0] == rows[0][1]
    # an image that is no picture counts as none; faces of photos are not frames
    assert list(zip(unseen.video.tolist(), unseen.frame.tolist(), strict=True)) == [(0, 2), (1, BAD_FRAME), (3, 6)]
    vectors, splits = dense(unseen.labels("expression"))
    assert vectors.argmax(1).tolist() == [2, BAD_FRAME % 7, 6]
    assert splits.tolist() == [VALIDATION, TRAIN, VALIDATION]
    vectors, splits = dense(unseen.labels("valence_arousal"))
    assert splits.tolist() == [NONE, TRAIN, NONE]
    assert vectors.tolist() == [[0, 0], [0.5, -0.5], [0, 0]]


def test_a_test_set_without_published_labels(cluster: None, tmp_path: Path) -> None:
    rows = RowBuilder(SPACES)
    unpublished = ([math.nan] * len(EXPRESSIONS), TEST)
    for frame in range(3):
        write_picture(tmp_path / f"a/{frame}.png", frame_picture("a", frame))
        va = {"valence_arousal": ([0.5, -0.5], TRAIN)} if frame else {}
        rows.add("a", frame, f"a/{frame}.png", {"expression": unpublished, **va})
        rows.add("unreadable", frame, f"gone/{frame}.png", {"expression": unpublished})
    source = video_source(tmp_path, rows, {"a": 3, "unreadable": 5}, lambda _: ())
    manifest = prepare_sources(CONFIG, 0, tmp_path / "store", [source])
    assert [b.path for b in manifest.blocks] == [
        "face/clips/a-00000.arrow",
        "face/clips/unreadable-00000.arrow",
    ]
    (entry,) = manifest.databases
    assert entry.labels == {"expression": {"test": 3}, "valence_arousal": {"train": 2}}
    assert entry.classes == {}
    store = Store(tmp_path / "store")
    store.verify()
    assert store.rows_with("expression", TEST).tolist() == [0, 1, 2]
    assert np.isnan(dense(store.labels("expression"))[0]).all()
    # all images of a video are lost, the video is not
    videos, unseen = store.videos, store.unseen
    assert (videos.names, videos.num_frames.tolist()) == (["a", "unreadable"], [3, 5])
    assert (videos.stop - videos.start).tolist() == [3, 0]
    assert (unseen.video.tolist(), unseen.frame.tolist()) == ([1, 1, 1], [0, 1, 2])
    vectors, splits = dense(unseen.labels("expression"))
    assert splits.tolist() == [TEST] * 3
    assert np.isnan(vectors).all()
    again = prepare_sources(CONFIG, 0, tmp_path / "store", [source])
    assert (again.num_blocks_written, again.content_hash) == (0, manifest.content_hash)


def test_what_was_left_out_is_in_the_manifest(prepared: Prepared) -> None:
    clips_entry, web_entry = Manifest.load(prepared.store).databases
    problems = {name: (p.count, p.examples) for name, p in (clips_entry.problems | web_entry.problems).items()}
    assert problems.pop("label_out_of_range")[0] == 1
    assert problems == {
        "unreadable_image": (1, [f"clips/t1/{BAD_FRAME}.png: not an image"]),
        "bad_geometry": (1, ["web/2.png: empty box 9, 9, 3, 3"]),
        "missing_image": (3, ["web/5.png"] * 3),
        # photos that are alike, but for an empty box
        "same_picture_in_two_splits": (
            3,
            [f"web web/0.png{face} and web web/7.png{face}" for face in ("", ", face 1", ", face 2")],
        ),
    }
    assert clips_entry.num_leaking_videos == 1
    assert clips_entry.labels == {
        "expression": {"train": 30, "validation": 5},
        "valence_arousal": {"train": 19, "validation": 11},
    }
    assert web_entry.classes["expression"]["validation"]["Anger"] == 1
    summary = prepared.manifest.summary()
    assert summary["num_images"] == 55
    assert summary["sets"]["mixed_va"] == {"tasks": ["valence_arousal"], "num_rows": {"clips": 19}}


def test_training_sets_join_train_labels_only(prepared: Prepared) -> None:
    store = Store(prepared.store)
    index = store.index
    assert list(store.sets) == ["mixed_expr", "mixed_va"]
    vectors, splits = dense(store.labels("expression"))
    train = np.flatnonzero((index.database == 0) & (splits == TRAIN))
    kept = train.tolist()
    for expression in (0, 4):
        kept = [r for i, r in enumerate(kept) if vectors[r].argmax() != expression or i % 2 == 0]
    own = [r for r in store.sets["mixed_expr"].rows.tolist() if index.database[r] == 0]
    assert own == kept[::3]
    shared = dict(
        zip(index.video(np.array(own)), store.labels("valence_arousal").splits_of(np.array(own)).tolist(), strict=True)
    )
    assert shared == {"t1": TRAIN, "t2": VALIDATION}
    assert len(store.rows_with("expression", VALIDATION)) == 5 + 3


def test_a_second_run_writes_nothing(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = prepared.copy(tmp_path)
    before = contents(store)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(ray.data, "from_arrow", None)  # not even a job is started
    manifest = prepare_sources(CONFIG, 0, store, prepared.sources(), progress=lambda *p: seen.append(p))
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (0, 10)
    assert manifest.content_hash == prepared.manifest.content_hash
    assert manifest.databases[0] == prepared.manifest.databases[0]  # with what was left out of finished blocks
    assert contents(store) == before
    assert seen == [(60, 60)]


def relabelled(source: Source) -> Source:
    """Every face another expression, in another split; half of them new labels of another task."""
    rows = source.table.rows
    classes = np.roll(rows["expression"].combine_chunks().flatten().to_numpy().reshape(-1, len(EXPRESSIONS)), 1, axis=1)
    splits = np.where(np.arange(rows.num_rows) % 2, np.int8(VALIDATION), np.int8(TRAIN))
    columns = {
        "expression": pa.FixedSizeListArray.from_arrays(pa.array(classes.reshape(-1)), classes.shape[1]),
        "expression_split": pa.array(splits),
        "action_units_split": pa.array(np.where(splits == TRAIN, np.int8(TRAIN), np.int8(NONE))),
    }
    for name, column in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return replace(source, table=replace(source.table, rows=rows))


@pytest.mark.parametrize("exclude", [False, True])
def test_other_labels_splits_and_tasks_write_no_block(prepared: Prepared, tmp_path: Path, exclude: bool) -> None:
    store = prepared.copy(tmp_path)
    before = {name: value for name, value in contents(store).items() if name.startswith(BLOCKS)}
    config = CONFIG.model_copy(update={"exclude_leaking_videos": exclude})
    manifest = prepare_sources(config, 0, store, [relabelled(source) for source in prepared.sources()])
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (0, 10)
    assert {name: value for name, value in contents(store).items() if name.startswith(BLOCKS)} == before
    assert manifest.content_hash != prepared.manifest.content_hash
    opened = Store(store)
    units, expressions = (dense(opened.labels(task))[1] for task in ("action_units", "expression"))
    assert (units == TRAIN).sum() == (expressions == TRAIN).sum()
    assert set(expressions) == ({TRAIN, NONE} if exclude else {TRAIN, VALIDATION})
    assert len(opened.index) == prepared.manifest.num_images


def test_databases_of_seven_and_of_eight_classes_share_a_store(prepared: Prepared, tmp_path: Path) -> None:
    eight = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Other")})
    source = web(prepared.root)
    rows = source.table.rows
    classes = np.zeros((rows.num_rows, 8), np.float32)
    classes[:, 7] = 1
    column = pa.FixedSizeListArray.from_arrays(pa.array(classes.reshape(-1)), 8)
    rows = rows.set_column(rows.schema.get_field_index("expression"), "expression", column)
    table = replace(source.table, rows=rows.select(rows.column_names[:7]), spaces=(eight,), unseen=None)
    prepare_sources(CONFIG, 0, tmp_path / "store", [clips(prepared.root), replace(source, table=table)])
    store = Store(tmp_path / "store")
    assert store.spaces["expression"] == eight
    assert [{s.name: s.size for s in d.spaces} for d in store.manifest.databases] == [
        {"expression": 7, "valence_arousal": 2, "action_units": 12},
        {"expression": 8},
    ]
    of_clips = store.index.database == 0
    labels, splits = dense(store.labels("expression"))
    labelled = splits > 0
    assert np.isnan(labels[of_clips & labelled, 7]).all()
    assert np.isfinite(labels[of_clips, :7]).all()
    assert (labels[~of_clips] == np.eye(8)[7]).all()
    assert np.isnan(dense(store.unseen.labels("expression"))[0][:, 7]).all()
    assert store.manifest.databases[1].classes["expression"]["train"]["Other"] == 20 - 3
    assert len(store.sets["mixed_expr"].rows)


def test_a_store_of_an_earlier_version_is_made_anew(prepared: Prepared, tmp_path: Path, caplog) -> None:
    store = prepared.copy(tmp_path)
    values = json.loads((store / "manifest.json").read_text()) | {"version": 2}
    (store / "manifest.json").write_text(json.dumps(values))
    (store / BLOCKS / "face").rename(store / BLOCKS / "clips")
    with pytest.raises(StoreError, match=r"version 2, expected 4; `abaw-ray prepare .*makes it anew"):
        Store(store)
    manifest = prepare_sources(CONFIG, 0, store, prepared.sources())
    assert "holds a store of version 2: its blocks are made anew" in caplog.text
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (10, 0)
    assert contents(store) == contents(prepared.store)


def test_a_run_goes_on_where_another_was_interrupted(prepared: Prepared, tmp_path: Path) -> None:
    store = tmp_path / "store"
    obstacle = store / BLOCKS / "face/clips/t1-00001.arrow"
    obstacle.mkdir(parents=True)  # a folder in a block's place makes its write fail
    (obstacle / "file").touch()
    (store / "unfinished.json").write_text("{}\n")
    with pytest.raises(Exception, match=r"t1-00001\.arrow"):
        prepare_sources(CONFIG, 0, store, prepared.sources())
    with pytest.raises(StoreError, match="unfinished"):
        Store(store)
    finished = {name for name in contents(store) if name.endswith(".arrow")}
    assert finished < set(contents(prepared.store))
    shutil.rmtree(obstacle)
    (store / BLOCKS / "face/clips/.unfinished-0123").write_bytes(b"half a file of a process that was killed")
    manifest = prepare_sources(CONFIG, 0, store, prepared.sources())
    assert contents(store) == contents(prepared.store)
    assert manifest.content_hash == prepared.manifest.content_hash
    assert manifest.num_blocks_skipped == len(finished)


def test_deleted_and_changed_blocks_are_made_again(prepared: Prepared, tmp_path: Path) -> None:
    store = prepared.copy(tmp_path)
    (store / BLOCKS / "face/clips/t1-00002.arrow").unlink()
    (store / BLOCKS / "face/clips/t3-00000.arrow").write_bytes(b"ARROW1")
    seen: list[tuple[int, int]] = []
    manifest = prepare_sources(CONFIG, 0, store, prepared.sources(), progress=lambda *p: seen.append(p))
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (2, 8)
    assert contents(store) == contents(prepared.store)
    assert seen[0] == (51, 60)
    assert seen[-1] == (60, 60)


def test_blocks_of_changed_pictures_are_made_again(prepared: Prepared, tmp_path: Path) -> None:
    store = prepared.copy(tmp_path)
    source = clips(tmp_path / "changed")
    write_picture(tmp_path / "changed/clips/t3/0.png", np.full((SIZE, SIZE, 3), 77, np.uint8))
    manifest = prepare_sources(CONFIG, 0, store, [source])
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (1, 5)
    changed = Store(store)
    (row,) = [r for r in changed.rows_with("expression", VALIDATION).tolist() if changed.index.frame[r] == 0]
    assert (changed.images(np.array([row])) == 77).all()
    changed.verify()


def test_damage_to_a_finished_block_stays_visible(prepared: Prepared, tmp_path: Path) -> None:
    store = prepared.copy(tmp_path)
    path = store / BLOCKS / "face/clips/t1-00000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    prepare_sources(CONFIG, 0, store, prepared.sources())
    with pytest.raises(StoreError, match=r"t1-00000\.arrow: damaged, found the hash .*--verify"):
        Store(store).verify()
    manifest = prepare_sources(CONFIG, 0, store, prepared.sources(), verify=True)
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (1, 9)
    assert contents(store) == contents(prepared.store)


def test_blocks_that_are_no_longer_wanted_go_and_other_files_stay(prepared: Prepared, tmp_path: Path) -> None:
    store = prepared.copy(tmp_path)
    (store / BLOCKS / "notes.txt").write_text("mine")
    sources = [clips(prepared.root, every=1)]
    manifest = prepare_sources(CONFIG, 0, store, sources)
    assert manifest.num_blocks_written == 0
    assert not (store / BLOCKS / "face" / "web").exists()
    assert (store / BLOCKS / "notes.txt").read_text() == "mine"
    assert len(Store(store).sets["mixed_expr"].rows) > len(Store(prepared.store).sets["mixed_expr"].rows) // 2
    Store(store).verify()


def test_jpeg(prepared: Prepared, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"encoding": "jpeg", "jpeg_quality": 98})
    prepare_sources(config, 0, tmp_path / "jpeg", [web(prepared.root)])
    store = Store(tmp_path / "jpeg")
    store.verify()
    rows = np.arange(store.manifest.num_images)[::-1]
    colours = store.images(rows).reshape(len(rows), -1, 3).mean(1)
    assert np.abs(colours - [COLOURS[f] for f in store.index.frame[rows]]).max() < 3


def test_faces_come_out_of_videos_in_segments(cluster: None, tmp_path: Path) -> None:
    root = tmp_path / "affwild2"
    frames = {name: scenes(np.random.default_rng(len(name)), count) for name, count in (("1-30", 30), ("2-60", 11))}
    boxes = {"1-30": (8, 6, 32, 30), "2-60_left": (0, 10, 24, 34), "2-60_right": (90, 40, 114, 64)}
    for name, pictures in frames.items():
        film(root / "videos" / f"{name}.mkv", pictures, codec="ffv1", pixels="bgr0")
    for name, box in boxes.items():
        split = "Validation_Set" if name == "2-60_right" else "Train_Set"
        count = len(frames[name.split("_")[0]])
        lines = {
            root / "EXPR_Set" / split / f"{name}.txt": [",".join(EXPRESSIONS), *(str(f % 7) for f in range(count))],
            root / "boxes" / f"{name}.csv": [HEADER, *(",".join(map(str, (f, *box))) for f in range(count))],
        }
        for path, text in lines.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(text) + "\n")
    options = {"root": str(root), "boxes": str(root / "boxes")}
    manifest = prepare(Recipe(prepare=CONFIG), tmp_path / "store", {"affwild2": options})
    assert len(manifest.blocks) > len(boxes), "a video is decoded by several tasks"
    store = Store(tmp_path / "store")
    images = iter(store.images(np.arange(len(store.index))))
    for name, (left, top, right, bottom) in boxes.items():
        for picture in frames[name.split("_")[0]]:
            np.testing.assert_array_equal(next(images), picture[top:bottom, left:right])
    assert next(images, None) is None


def test_prepare_reads_databases_by_name(prepared: Prepared, tmp_path: Path) -> None:
    photo = np.full((100, 100, 3), 90, np.uint8)
    lines = []
    for face, ((left, top, right, bottom), colour) in enumerate(zip(BOXES, COLOURS, strict=True)):
        photo[top:bottom, left:right] = colour
        lines.append(f"a.png {face} {top} {left} {right} {bottom} 9.5 {face}")
    write_picture(tmp_path / "expw/image/a.png", photo)
    (tmp_path / "expw/label.lst").write_text("\n".join(lines))
    recipe = Recipe(prepare=CONFIG)
    manifest = prepare(recipe, tmp_path / "store", {"expw": {"root": tmp_path / "expw", "validation_fraction": 0.0}})
    store = Store(tmp_path / "store")
    assert store.images(np.arange(3)).reshape(3, -1, 3).mean(1).tolist() == list(COLOURS)
    assert manifest.databases[0].options["validation_fraction"] == 0
    assert manifest.sources["expw"] == {"root": str(tmp_path / "expw")}


def test_what_cannot_be_prepared(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    with pytest.raises(ConfigurationError, match="not a store"):
        prepare(Recipe(), tmp_path / "photos", {"expw": {"root": tmp_path / "none"}})
    with pytest.raises(ConfigurationError, match="no root"):
        prepare(Recipe(), tmp_path / "store", {"expw": {}})
    with pytest.raises(ConfigurationError, match="no database"):
        prepare(Recipe(), tmp_path / "store", {})
    with pytest.raises(MissingInputError):
        prepare(Recipe(), tmp_path / "store", {"expw": {"root": tmp_path / "none"}})
    assert not (tmp_path / "store").exists()


def test_a_store_without_any_image_is_not_made(prepared: Prepared, tmp_path: Path) -> None:
    source = web(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(MissingInputError, match=r"missing_image 24 \(web/0\.png\)"):
        prepare_sources(CONFIG, 0, tmp_path / "store", [source])
