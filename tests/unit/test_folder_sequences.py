"""Frames of sequences in a folder of pictures: their order, and splits that divide neither a sequence nor a subject."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_layouts import images, lengths, read, read_table
from serial import prepare_here

from abaw_ray.blocks.reader import Store
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Problems
from abaw_ray.databases.folder import FolderOptions
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.sequences import frames_of_sequences
from abaw_ray.errors import ConfigurationError, DatabaseFormatError
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import Split

SEQUENCES = r"(?P<sequence>S\d+_\d+)_(?P<frame>\d+)"
SUBJECTS = r"(?P<subject>S\d+)_"


def ck_plus(root: Path, subjects: int = 12, sequences: int = 3) -> Path:
    """The last three frames of every sequence, named and numbered as in CK+48."""
    for who in range(subjects):
        for number in range(sequences):
            names = [f"S{who:03d}_{number + 1:03d}_{9 + who + frame:08d}.png" for frame in range(3)]
            images(root / ("anger", "fear", "happy")[number % 3], *names)
    return root


def test_frames_of_a_sequence_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    images(tmp_path / "anger", *(f"S005_001_{n:08d}.png" for n in (9, 10, 12)), "S005_002_7.png", "S005_002_10.png")
    images(tmp_path / "fear", "S005_001_00000013.png", "odd.png")
    table = read_table("folder", tmp_path, sequence_pattern=SEQUENCES)
    rows = table.rows.to_pylist()
    found = defaultdict(list)
    for row in rows:
        found[row["video"]].append((row["frame"], row["image"]))
    assert found["S005_001"] == [
        (0, "anger/S005_001_00000009.png"),
        (1, "anger/S005_001_00000010.png"),
        (3, "anger/S005_001_00000012.png"),
        (4, "fear/S005_001_00000013.png"),
    ], "gaps stay, and a sequence may go on in another class"
    assert found["S005_002"] == [(0, "anger/S005_002_7.png"), (3, "anger/S005_002_10.png")]
    assert found["fear/odd.png"] == [(0, "fear/odd.png")]
    assert lengths(table) == {"S005_001": 5, "S005_002": 4, "fear/odd.png": 1}
    assert table.problems.counts == {"path_without_sequence": 1}
    assert table.sequential


def test_folders_can_be_sequences(tmp_path: Path) -> None:
    for person in ("ann", "bob"):
        images(tmp_path / "train" / "anger" / person / "1", "img2.png", "img10.png", "img1.png")
    rows, problems = read("folder", tmp_path, sequence_pattern=r"(?P<sequence>\w+/\d+)/img(?P<frame>\d+)\.png$")
    assert [(row["video"], row["frame"]) for row in rows] == [
        (f"{who}/1", number) for who in ("ann", "bob") for number in (0, 1, 9)
    ]
    assert not problems.counts


def test_without_a_pattern_pictures_are_photos(tmp_path: Path) -> None:
    table = read_table("folder", ck_plus(tmp_path, 2))
    assert not table.sequential
    assert table.videos.num_rows == 0
    assert all(row["video"] == row["image"] and row["frame"] == 0 for row in table.rows.to_pylist())


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"sequence_pattern": SEQUENCES}, "video"),
        ({"sequence_pattern": SEQUENCES, "by": "sequence"}, "video"),
        ({"sequence_pattern": SEQUENCES, "subject_pattern": SUBJECTS}, "subject_name"),
        ({"subject_pattern": SUBJECTS}, "subject_name"),
        ({"sequence_pattern": SEQUENCES, "subject_pattern": SUBJECTS, "by": "sequence"}, "video"),
    ],
)
def test_a_drawn_split_divides_no_sequence_and_no_subject(
    tmp_path: Path, options: dict[str, object], kept: str
) -> None:
    rows, _ = read("folder", ck_plus(tmp_path), validation_fraction=0.4, **options)
    splits = defaultdict(set)
    for row in rows:
        splits[row[kept]].add(row["expression_split"])
    assert all(len(of_one) == 1 for of_one in splits.values())
    assert set().union(*splits.values()) == {Split.TRAIN, Split.VALIDATION}
    if kept == "subject_name":
        assert len(splits) == 12


@given(st.integers(0, 99), st.floats(0.05, 0.95))
def test_whatever_is_drawn_keeps_what_is_one(seed: int, fraction: float) -> None:
    options = FolderOptions(sequence_pattern=SEQUENCES, subject_pattern=SUBJECTS, validation_fraction=fraction)
    assert options.keeps_subjects
    paths = [f"a/S{who:03d}_{n}_{frame}.png" for who in range(3) for n in range(2) for frame in (seed + 4, seed + 5)]
    frames = frames_of_sequences(Path("root"), paths, SEQUENCES, Problems())
    assert [frame for _, frame in frames] == [0, 1] * 6
    assert len({sequence for sequence, _ in frames}) == 6
    assert all(re.fullmatch(r"S\d+_\d", sequence) for sequence, _ in frames)


WRONG = {
    "a frame twice": (
        ["train/anger/S1_1_05.png", "train/anger/S1_1_5.png"],
        r"frame 5 of 'S1_1', as train/anger/S1",
    ),
    "two splits": (["train/anger/S1_1_1.png", "val/anger/S1_1_2.png"], r"found validation, expected train, as tr"),
    "a number": (["train/anger/S1_1_9999999999.png"], r"S1_1_9999999999\.png: found '9999999999', expected the number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_sequences_that_cannot_be_are_refused(tmp_path: Path, what: str) -> None:
    names, message = WRONG[what]
    for name in names:
        images(tmp_path / Path(name).parent, Path(name).name)
    with pytest.raises(DatabaseFormatError, match=message):
        read("folder", tmp_path, sequence_pattern=r"(?P<sequence>S\d+_\d+)_(?P<frame>\d+)")


def test_a_sequence_is_of_one_subject(tmp_path: Path) -> None:
    images(tmp_path / "anger", "ann_1_1.png", "bob_1_2.png")
    patterns = {"sequence_pattern": r"_(?P<sequence>\d)_(?P<frame>\d)", "subject_pattern": r"(?P<subject>[a-z]+)_\d"}
    with pytest.raises(DatabaseFormatError, match=r"bob_1_2\.png: found bob, expected ann, as anger/ann_1_1"):
        read("folder", tmp_path, **patterns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_pattern": r"(?P<sequence>S\d+)"}, "expected a group named frame"),
        ({"sequence_pattern": r"S\d+"}, "expected a group named sequence and frame"),
        ({"sequence_pattern": "("}, "no regular expression"),
        ({"by": "sequence"}, "by: found sequence, expected a sequence_pattern beside it"),
        ({"sequence_pattern": SEQUENCES, "by": "path"}, "by: found path, which divides sequences"),
        ({"sequence_pattern": r"(?P<sequence>x)(?P<frame>y)"}, "sequence_pattern: .*matches none of 18 paths"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read("folder", ck_plus(tmp_path, 2), **options)


def test_a_store_has_the_sequences_as_videos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    root = ck_plus(tmp_path / "pictures", 4, 2)
    for path in root.rglob("*.png"):
        cv2.imwrite(str(path), rng.integers(0, 255, (20, 20, 3), np.uint8))
    patterns = {"sequence_pattern": SEQUENCES, "subject_pattern": SUBJECTS}
    database, options, table = read_database("folder", root, {**patterns, "validation_fraction": 0.5})
    prepare_here(PrepareConfig(image_size=16), tmp_path / "store", [Source(database, root, options, table)])
    store = Store(tmp_path / "store")
    assert store.videos.names == [f"S{who:03d}_{number:03d}" for who in range(4) for number in (1, 2)]
    assert store.index.frame.tolist() == [0, 1, 2] * 8
    assert (store.videos.stop - store.videos.start == 3).all()
