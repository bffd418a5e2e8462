"""Which frames are scored, and which picture each is predicted from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from dense_labels import labels_of
from paper import SPACES, TASKS

from abaw_ray.blocks.index import Index
from abaw_ray.blocks.videos import Unseen, Videos
from abaw_ray.databases.schemas import label_fields
from abaw_ray.errors import StoreError
from abaw_ray.evaluation.frames import evaluation_frames, gap_free
from abaw_ray.spaces import Split

# (video, frame, split of valence-arousal); the label of valence is frame / 100
PHOTOS = [("photo 0", 0, Split.VALIDATION), ("photo 1", 0, Split.TRAIN)]
PICTURED = [
    *[("train", frame, Split.TRAIN) for frame in (0, 1, 2, 3)],
    ("val", 2, Split.VALIDATION),
    ("val", 3, Split.NONE),
    ("val", 4, Split.VALIDATION),
    ("val", 7, Split.VALIDATION),
]
UNSEEN = [("faceless", 1, Split.VALIDATION), ("val", 0, Split.VALIDATION), ("val", 8, Split.VALIDATION)]
LENGTHS = {"faceless": 3, "train": 4, "val": 10}


def labels(rows: list[tuple[str, int, Split]]) -> pa.Table:
    vectors = {task: [[0.0] * size for _ in rows] for task, size in TASKS.items()}
    splits = {task: [0 for _ in rows] for task in TASKS}
    vectors["valence_arousal"] = [[frame / 100, 0] for _, frame, _ in rows]
    splits["valence_arousal"] = [int(split) for _, _, split in rows]
    columns = [column for task in TASKS for column in (vectors[task], splits[task])]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, label_fields(SPACES), strict=True)],
        schema=pa.schema(label_fields(SPACES)),
    )


@pytest.fixture
def store() -> Any:
    """A store of photos (database 0) and videos (database 1): nothing but what says where frames are."""
    rows = [*PHOTOS, *PICTURED]
    names = list(LENGTHS)
    index = Index(
        database=np.array([0] * len(PHOTOS) + [1] * len(PICTURED), np.int8),
        frame=np.array([frame for _, frame, _ in rows], np.int32),
        block=np.zeros(len(rows), np.int32),
        row=np.arange(len(rows), dtype=np.int32),
        videos=pa.array([video for video, _, _ in rows]).dictionary_encode(),
        subjects=pa.nulls(len(rows), pa.string()).dictionary_encode(),
    )
    return SimpleNamespace(
        path="store",
        spaces={space.name: space for space in SPACES},
        databases=["photos", "clips"],
        sequential=np.array([False, True]),
        index=index,
        labels=labels_of([labels(PHOTOS), labels(PICTURED)]).__getitem__,
        videos=Videos(
            np.ones(3, np.int8),
            names,
            np.array(list(LENGTHS.values()), np.int32),
            np.array([2, 2, 6]),
            np.array([2, 6, 10]),
        ),
        unseen=Unseen(
            np.array([names.index(video) for video, _, _ in UNSEEN], np.int32),
            np.array([frame for _, frame, _ in UNSEEN], np.int32),
            {(task, ""): found for task, found in labels_of([labels([]), labels(UNSEEN)]).items()},
        ),
    )


def test_every_frame_of_a_video_has_the_last_picture_before_it(store):
    frames = evaluation_frames(store, ["valence_arousal"], Split.VALIDATION)
    assert frames.names == ["val", "photo 0", "faceless"]
    assert frames.starts.tolist() == [0, 10, 11]
    assert frames.frame.tolist() == [*range(10), 0, 0, 1, 2]
    # rows 6-9 are the pictures of frames 2, 3, 4 and 7; row 0 is the photo
    assert frames.row.tolist() == [6, 6, 6, 7, 8, 8, 8, 9, 9, 9, 0, -1, -1, -1]
    assert np.flatnonzero(frames.seen).tolist() == [2, 3, 4, 7, 10]
    assert frames.video().tolist() == [0] * 10 + [1] + [2] * 3
    assert frames.num_pictured == 11
    assert frames.faceless == ["faceless"]


def test_labels_of_frames_without_a_picture_count(store):
    frames = evaluation_frames(store, ["valence_arousal"], Split.VALIDATION)
    valence = frames.labels(store, "valence_arousal", Split.VALIDATION)[:, 0]
    expected = [0.0, np.nan, 0.02, np.nan, 0.04, np.nan, np.nan, 0.07, 0.08, np.nan, 0.0, np.nan, 0.01, np.nan]
    np.testing.assert_allclose(valence, expected)
    assert np.isnan(frames.labels(store, "valence_arousal", Split.TRAIN)).all()
    assert np.isnan(frames.labels(store, "expression", Split.VALIDATION)).all()


def test_only_the_databases_that_are_wanted(store):
    frames = evaluation_frames(store, ["valence_arousal"], Split.VALIDATION, ["clips"])
    assert frames.names == ["val", "faceless"]
    photos = evaluation_frames(store, ["valence_arousal"], Split.VALIDATION, ["photos"])
    assert (photos.names, photos.faceless) == (["photo 0"], [])
    with pytest.raises(StoreError, match="no test labels of valence_arousal"):
        evaluation_frames(store, ["valence_arousal"], Split.TEST)
    with pytest.raises(StoreError, match="no validation labels of expression"):
        evaluation_frames(store, ["expression"], Split.VALIDATION)


def test_gap_free_windows_are_of_labelled_frames_of_videos(store):
    assert gap_free(store, "valence_arousal", Split.TRAIN, 2, 1, ["clips"]).tolist() == [[2, 3], [3, 4], [4, 5], [4, 5]]
    assert gap_free(store, "valence_arousal", Split.TRAIN, 2, 1, ["photos"]).tolist() == []
    # frame 3 has no validation label, so that 2 and 4 are not consecutive
    assert gap_free(store, "valence_arousal", Split.VALIDATION, 2, 2, ["clips"]).tolist() == []
