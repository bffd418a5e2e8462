"""Databases with several annotators, labels of clips, and people: prepared and read back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from dense_labels import dense

from abaw_ray.blocks.annotators import LabelSource, write_annotator
from abaw_ray.blocks.labels import Labels
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.errors import DatabaseFormatError, StoreError
from abaw_ray.evaluation.corrections import add_corrections
from abaw_ray.evaluation.frames import evaluation_frames
from abaw_ray.inference.label import splits_of_answers
from abaw_ray.preprocess.plan import Source
from abaw_ray.preprocess.prepare import prepare_sources
from abaw_ray.spaces import LabelSpace, Split

NONE, TRAIN, VALIDATION, TEST = Split
SIZE = 24
CONFIG = PrepareConfig(image_size=SIZE, block_rows=8)
FACE = LabelSpace(name="face", kind="multiclass", names=("calm", "tense"))
CLIP = LabelSpace(name="clip", kind="multiclass", names=("dull", "gay", "grim"), level="clip")
WHO = LabelSpace(name="subject", kind="multiclass", open=True)
TONES = LabelSpace(name="tones", kind="multilabel", names=("warm", "dark"), level="clip")
PEOPLE = {"a": "Bo", "b": "Ann", "c": None, "d": "Cy"}
"""Video -> who is on it; d has no image."""


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 90, np.uint8))


def films(root: Path, split: Split = VALIDATION) -> Source:
    """Four videos of three frames; frame 1 of a cannot be read. X and Y label faces, too."""
    rows = RowBuilder((FACE, CLIP, WHO))
    for video, person in PEOPLE.items():
        for frame in range(3 if video != "d" else 0):
            if (video, frame) != ("a", 1):
                picture(root / f"{video}/{frame}.png")
            labels = {("face", "X"): (FACE.one_hot(frame % 2), TRAIN)} if video == "a" else {}
            labels |= {("face", "Y"): ([0.25, 0.75], TRAIN)} if frame == 2 else {}
            labels |= {("face", ""): (FACE.one_hot(0), split if video == "b" else TRAIN)}
            labels |= {("subject", ""): (person, TRAIN)} if person else {}
            rows.add(video, frame, f"{video}/{frame}.png", labels, subject=person)
    rows.add_unseen("d", 1, {"subject": ("Cy", TRAIN)})
    rows.label_clip("a", {"clip": (CLIP.one_hot(2), TRAIN)})
    rows.label_clip("c", {("clip", "X"): (CLIP.one_hot(0), TEST)})
    rows.label_clip("d", {"clip": ([np.nan] * 3, TEST)})
    table, unseen = rows.table(), rows.unseen()
    videos = videos_table(dict.fromkeys(PEOPLE, 3), table, unseen)
    sets = [SetMember("faces", ("face",)), SetMember("clips", ("clip", "subject"))]
    found = LabelTable((FACE, CLIP, WHO), table, Problems(), unseen, videos, clips=rows.clips())
    return source("films", root, found, sequential=True, sets=lambda _: tuple(sets))


def photos(root: Path) -> Source:
    """Photos of two faces each, labelled whole but for the last one."""
    rows = RowBuilder((TONES, WHO))
    for photo in ("p", "q", "r"):
        picture(root / f"{photo}.png")
        for face, person in enumerate(("Ann", None)):
            rows.add(photo, face, f"{photo}.png", {"subject": (person, TEST if person is None else TRAIN)})
    rows.label_clip("q", {"tones": ([1, np.nan], TRAIN)})
    rows.label_clip("p", {"tones": ([0, 1], VALIDATION)})
    return source("photos", root, LabelTable((TONES, WHO), rows.table(), Problems(), clips=rows.clips()))


def source(
    name: str,
    root: Path,
    table: LabelTable,
    sequential: bool = False,
    sets: Callable[[Options], tuple[SetMember, ...]] = lambda _: (),
) -> Source:
    database = Database(name, name, "", Options, lambda *_: table, "whole", sets, sequential)
    return Source(database, root, Options(), table)


@pytest.fixture(scope="module")
def store(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("kinds")
    prepare_sources(CONFIG, 0, folder / "store", [films(folder / "films"), photos(folder / "photos")])
    return Store(folder / "store")


def test_labels_by_annotator(store: Store) -> None:
    assert store.index.video(np.arange(14)) == [*"aa", *"bbb", *"ccc", *"ppqqrr"]
    assert store.index.frame.tolist() == [0, 2, 0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1]
    files = {(f.space, f.annotator, f.unseen): (f.form, f.num_rows) for f in store.manifest.labels}
    assert files == {
        ("clip", "", False): ("classes", 2),
        ("clip", "X", False): ("classes", 1),
        ("face", "", False): ("classes", 8),
        ("face", "", True): ("classes", 1),
        ("face", "X", False): ("classes", 2),
        ("face", "X", True): ("classes", 1),
        ("face", "Y", False): ("vectors", 3),
        ("subject", "", False): ("classes", 11),
        ("subject", "", True): ("classes", 2),
        ("tones", "", False): ("attributes", 2),
    }
    vectors, splits = dense(store.label_sets["face", "X"])
    assert np.flatnonzero(splits).tolist() == [0, 1]
    assert vectors[:2].tolist() == [[1, 0], [1, 0]]
    vectors, splits = dense(store.label_sets["face", "Y"])
    assert np.flatnonzero(splits).tolist() == [1, 4, 7]
    assert vectors[1].tolist() == [0.25, 0.75]
    # the frame whose image cannot be read keeps all that was said of it; none is a label of everybody
    unseen = store.unseen
    assert list(zip(unseen.video.tolist(), unseen.frame.tolist(), strict=True)) == [(0, 1), (3, 1)]
    assert dense(unseen.label_sets["face", "X"])[0].tolist() == [[0, 1], [0, 0]]
    assert dense(unseen.labels("face"))[1].tolist() == [TRAIN, NONE]
    counts = store.manifest.databases[0].labels
    assert counts["face"] == {"train": 5, "validation": 3}
    assert counts["face@Y"] == {"train": 3}
    assert counts["clip"] == {"train": 1, "test": 1}
    assert store.manifest.databases[0].classes["clip@X"] == {"test": {"dull": 1, "gay": 0, "grim": 0}}
    assert store.sets["faces"].rows.tolist() == [0, 1, 5, 6, 7]


def test_labels_of_clips_hold_for_their_frames(store: Store) -> None:
    assert store.videos.names == [*"abcd", *"pqr"]
    assert store.videos.num_frames.tolist() == [3, 3, 3, 3, 2, 2, 2]
    clip = store.labels("clip")
    vectors, splits = clip.of_clips(np.arange(4))
    np.testing.assert_array_equal(vectors, [[0, 0, 1], [0] * 3, [0] * 3, [np.nan] * 3])
    assert splits.tolist() == [TRAIN, NONE, NONE, TEST]
    vectors, splits = dense(clip)
    assert vectors[:2].tolist() == [[0, 0, 1]] * 2
    assert not vectors[2:].any()
    assert splits.tolist() == [TRAIN] * 2 + [NONE] * 12
    assert clip.clips_with(TEST).tolist() == [3]
    assert clip.rows_with(TEST).tolist() == []
    assert store.sets["clips"].rows.tolist() == [0, 1]
    assert dense(store.label_sets["clip", "X"])[1].tolist() == [NONE] * 5 + [TEST] * 3 + [NONE] * 6
    # also of frames without an image
    assert dense(store.unseen.labels("clip"))[1].tolist() == [TRAIN, TEST]
    vectors, splits = dense(store.labels("tones"))
    np.testing.assert_array_equal(vectors[8:], [[0, 1], [0, 1], [1, np.nan], [1, np.nan], [0, 0], [0, 0]])
    assert splits[8:].tolist() == [VALIDATION, VALIDATION, TRAIN, TRAIN, NONE, NONE]
    frames = evaluation_frames(store, ["tones"], VALIDATION)
    assert (frames.names, frames.row.tolist()) == (["p", "p"], [8, 9])


def test_people_are_classes_by_name(store: Store) -> None:
    assert store.spaces["subject"].names == ("Ann", "Bo", "Cy")
    assert [d.spaces[-1].names for d in store.manifest.databases] == [("Ann", "Bo", "Cy"), ("Ann",)]
    assert store.index.subject(np.array([0, 2, 5])) == ["Bo", "Ann", None]
    vectors, splits = store.labels("subject").of(np.array([0, 2, 5, 8, 9]))
    nan = np.nan  # Bo and Cy are none of the photos'; of the last face the name is not published
    np.testing.assert_array_equal(vectors, [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, nan, nan], [nan] * 3])
    assert splits.tolist() == [TRAIN, TRAIN, NONE, TRAIN, TEST]
    assert dense(store.unseen.labels("subject"))[0].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_other_labels_of_clips_and_people_write_no_block(store: Store, tmp_path: Path) -> None:
    root = store.path.parent
    before = {path: path.read_bytes() for path in (store.path / "blocks").rglob("*.arrow")}
    changed = films(root / "films")
    rows = changed.table.rows
    names = ["Di" if name == "Bo" else name for name in rows["subject_name"].to_pylist()]
    rows = rows.set_column(rows.schema.get_field_index("subject_name"), "subject_name", [names])
    changed = replace(changed, table=replace(changed.table, rows=rows, clips=None))
    sources = [changed, photos(root / "photos")]
    manifest = prepare_sources(CONFIG, 0, store.path, sources)
    assert (manifest.num_blocks_written, manifest.num_blocks_skipped) == (0, len(before))
    assert {path: path.read_bytes() for path in (store.path / "blocks").rglob("*.arrow")} == before
    opened = Store(store.path)
    assert opened.index.subject(np.array([0])) == ["Di"]
    assert not (store.path / "labels/clip.arrow").exists()
    assert not dense(opened.labels("clip"))[1].any()
    again = prepare_sources(CONFIG, 0, store.path, [films(root / "films"), photos(root / "photos")])
    assert again.content_hash == store.manifest.content_hash


def test_labels_of_clips_leak_as_others_do(store: Store, tmp_path: Path) -> None:
    """Video a trains by the label of its clip alone, so that its validation labels of faces go; b and c keep theirs."""
    config = CONFIG.model_copy(update={"exclude_leaking_videos": True})
    folder = store.path.parent
    table = films(folder / "films", VALIDATION).table
    splits = [VALIDATION if s == TRAIN else s for s in table.rows["face_split"].to_pylist()]
    rows = table.rows.set_column(
        table.rows.schema.get_field_index("face_split"), "face_split", [np.array(splits, np.int8)]
    )
    nobody = np.zeros(rows.num_rows, np.int8)
    for name in ("subject_split", "face@X_split", "face@Y_split"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, [nobody])
    changed = source("films", folder / "films", replace(table, rows=rows), sequential=True)
    manifest = prepare_sources(config, 0, tmp_path / "store", [changed])
    assert manifest.databases[0].num_leaking_videos == 1
    opened = Store(tmp_path / "store")
    assert opened.index.video(opened.rows_with("face", VALIDATION)) == [*"bbb", *"ccc"]


def test_a_damaged_label_file_is_named(store: Store) -> None:
    path = store.path / "labels/face@Y.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(StoreError, match=r"labels/face@Y\.arrow: damaged, found the hash"):
        Store(store.path)
    path.write_bytes(whole)
    assert Store(store.path).manifest == Manifest.load(store.path)


def test_labels_are_added_to_clips_and_photos(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "store")
    assert splits_of_answers(store, "clip")[:4].tolist() == [TRAIN, VALIDATION, TRAIN, TEST]
    # faces of a photo by themselves: of who is not known, of which photo is validated
    assert splits_of_answers(store, "face")[8:].tolist() == [VALIDATION, TEST, TRAIN, TEST, TRAIN, TEST]
    source = LabelSource(kind="run", name="run", sha256="a")
    labels = {
        "clip": Labels(np.array([0, 3, 5]), np.eye(3, dtype=np.float32), np.array([TRAIN, TEST, TRAIN], np.int8)),
        "tones": Labels(np.array([1, 6]), np.array([[1, 0], [0, np.nan]], np.float32), np.array([TRAIN] * 2, np.int8)),
    }
    write_annotator(Store(tmp_path / "store"), "machine", source, labels)
    found = Store(tmp_path / "store")
    vectors, splits = dense(found.label_sets["clip", "machine"])
    assert splits.tolist() == [TRAIN] * 2 + [NONE] * 8 + [TRAIN] * 2 + [NONE] * 2
    assert vectors[[0, 10]].tolist() == [[1, 0, 0], [0, 0, 1]]
    # d has no image
    np.testing.assert_array_equal(found.unseen.label_sets["clip", "machine"].of(np.array([1]))[0], [[0, 1, 0]])
    vectors, _ = found.label_sets["tones", "machine"].of_clips(np.arange(7))
    np.testing.assert_array_equal(vectors[[1, 6]], [[1, 0], [0, np.nan]])
    (tmp_path / "doubts.csv").write_text(
        "database,video,frame,task,name,label,corrected\n"
        "films,a,,clip,,grim,gay\nphotos,q,,tones,warm,1,0\nphotos,p,,tones,dark,1,-\n"
    )
    add_corrections(tmp_path / "store", tmp_path / "doubts.csv", "clean")
    found = Store(tmp_path / "store")
    vectors, splits = found.label_sets["clip", "clean"].of_clips(np.arange(4))
    np.testing.assert_array_equal(vectors, [[0, 1, 0], [0] * 3, [0] * 3, [np.nan] * 3])
    assert splits.tolist() == [TRAIN, NONE, NONE, TEST]
    vectors, _ = found.label_sets["tones", "clean"].of_clips(np.array([4, 5]))
    np.testing.assert_array_equal(vectors, [[0, np.nan], [0, np.nan]])
    (tmp_path / "doubts.csv").write_text(
        "database,video,frame,task,name,label,corrected\nfilms,a,,clip,,grim,gay\nfilms,z,,clip,,grim,gay\n"
    )
    with pytest.raises(DatabaseFormatError, match=r"doubts\.csv:3: found the video 'z', expected a video of films"):
        add_corrections(tmp_path / "store", tmp_path / "doubts.csv", "other")
