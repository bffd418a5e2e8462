"""ExpW, AFEW-VA, FER+: native files to rows, and every way in which they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_layouts import (
    afew_clip,
    class_of,
    expw,
    ferplus,
    images,
    landmarks,
    lengths,
    read,
    read_table,
    write,
)

from abaw_ray.databases import databases
from abaw_ray.databases.reading.parsing import split_by_name
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

NAMES = [
    "affectnet",
    "afew_va",
    "affwild2",
    "affwild2_abaw3",
    "affwild2_mtl",
    "emotic",
    "expw",
    "fer2013",
    "ferplus",
    "folder",
    "heu",
    "rafdb",
    "table",
]


@pytest.mark.parametrize("name", NAMES)
def test_missing_root_says_the_layout(tmp_path: Path, name: str) -> None:
    assert name in databases()
    with pytest.raises(MissingInputError, match="expected layout"):
        read(name, tmp_path / "nowhere")
    with pytest.raises(MissingInputError, match="expected layout"):
        read(name, tmp_path)


# --- ExpW

EXPW_LINES = [
    "two.jpg 0 10 20 60 50 90.5 3",
    "one.jpg 0 1 2 3 4 50 6",
    "two.jpg 1 11 70 99 61 12.0 0",
]


@pytest.mark.parametrize("label_list", ["label.lst", "label/label.lst"])
def test_expw_gives_every_face_its_own_box(tmp_path: Path, label_list: str) -> None:
    expw(tmp_path, EXPW_LINES, ["one.jpg", "two.jpg"], label_list)
    rows, problems = read("expw", tmp_path)
    assert [(r["video"], r["frame"], r["image"], class_of(r)) for r in rows] == [
        ("one.jpg", 0, "image/one.jpg", "Neutral"),
        ("two.jpg", 0, "image/two.jpg", "Happiness"),
        ("two.jpg", 1, "image/two.jpg", "Anger"),
    ]
    assert [r["geometry"] for r in rows] == [[2, 1, 3, 4], [20, 10, 60, 50], [70, 11, 99, 61]]  # left first
    assert {r["expression_split"] for r in rows} == {Split.TRAIN}
    assert "valence_arousal" not in rows[0], "the database has no such labels"
    assert not problems.counts


def test_expw_maps_the_native_classes(tmp_path: Path) -> None:
    photos = [f"{k}.jpg" for k in range(7)]
    expw(tmp_path, [f"{k}.jpg 0 0 0 9 9 1 {k}" for k in range(7)], photos)
    rows, _ = read("expw", tmp_path)
    expected = ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"]
    assert [class_of(r) for r in rows] == expected


def test_expw_counts_what_it_leaves_out(tmp_path: Path) -> None:
    bad = [
        "one.jpg 1 10 20 10 50 1 3",
        "one.jpg 2 60 20 50 20 1 3",
        "gone.jpg 0 1 2 3 4 1 3",
        "one.jpg 3 1 2 30 40 1 7",
        "one.jpg 4 1 2 30 40 1 2",
    ]
    file = expw(tmp_path, EXPW_LINES + bad, ["one.jpg", "two.jpg", "extra.jpg", ".DS_Store"])
    rows, problems = read("expw", tmp_path)
    assert len(rows) == 4
    assert [r["frame"] for r in rows if r["video"] == "one.jpg"] == [0, 4]  # the place among the photo's lines
    assert problems.counts == {
        "empty_box": 2,
        "frame_without_image": 1,
        "label_out_of_range": 1,
        "image_without_label": 1,
    }
    assert problems.examples["label_out_of_range"] == [f"{file}:7: expression 7"]
    assert problems.examples["image_without_label"] == ["image/extra.jpg"]


@pytest.mark.parametrize(
    "line",
    ["one.jpg 0 1 2 3 4 6", "one.jpg 0 1 2 3 4 50 6 1", "one.jpg 0 a 2 3 4 50 6", "one.jpg 0 1 2 3 4 50 sad", ""],
)
def test_expw_wrong_format_names_the_line(tmp_path: Path, line: str) -> None:
    file = expw(tmp_path, [EXPW_LINES[0], line, EXPW_LINES[1]], ["one.jpg", "two.jpg"])
    with pytest.raises(DatabaseFormatError) as error:
        read("expw", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 2)


def test_expw_holds_out_whole_photos(tmp_path: Path) -> None:
    photos = [f"{k}.jpg" for k in range(200)]
    expw(tmp_path, [f"{p} {f} 0 0 9 9 1 3" for f in range(2) for p in photos], photos)
    rows, _ = read("expw", tmp_path, validation_fraction=0.25)
    splits = {p: {r["expression_split"] for r in rows if r["video"] == p} for p in photos}
    assert all(len(s) == 1 for s in splits.values())
    assert 25 <= sum(s == {Split.VALIDATION} for s in splits.values()) <= 75
    other, _ = read("expw", tmp_path, validation_fraction=0.25, split_seed=1)
    assert [r["expression_split"] for r in rows] != [r["expression_split"] for r in other]
    with pytest.raises(ConfigurationError, match="validation_fraction"):
        read("expw", tmp_path, validation_fraction=1.0)


@settings(max_examples=50)
@given(st.text(), st.integers(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_never_moves_a_photo_back(name: str, seed: int, a: float, b: float) -> None:
    small, large = sorted((a, b))
    assert split_by_name(name, 0.0, seed) == Split.TRAIN
    assert split_by_name(name, 1.0, seed) == Split.VALIDATION
    if split_by_name(name, small, seed) == Split.VALIDATION:
        assert split_by_name(name, large, seed) == Split.VALIDATION


# --- AFEW-VA


def test_afew_va_reads_landmarks_and_tenths(tmp_path: Path) -> None:
    afew_clip(tmp_path, "12/600", {"00001": (-10, 10.0), "00000": (3, 0)}, ["00000", "00001"])
    afew_clip(tmp_path, "01/001", {"00007": (1, -7)}, ["00007"])
    rows, problems = read("afew_va", tmp_path)
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [
        ("01_001", 7, "01/001/00007.png"),
        ("12_600", 0, "12/600/00000.png"),
        ("12_600", 1, "12/600/00001.png"),
    ]
    labels = [r["valence_arousal"] for r in rows]
    assert np.allclose(labels, [[0.1, -0.7], [0.3, 0.0], [-1.0, 1.0]], atol=1e-7)
    assert rows[0]["geometry"] == [value for point in landmarks(7) for value in point]
    assert {r["valence_arousal_split"] for r in rows} == {Split.TRAIN}
    assert not problems.counts


def test_afew_va_counts_what_it_leaves_out(tmp_path: Path) -> None:
    labels = {"00000": (1, 1), "00001": (11, 0), "00002": (0, 2.5), "00003": (0, 0)}
    afew_clip(tmp_path, "01/001", labels, ["00000", "00001", "00002", "00009"])
    images(tmp_path / "01/001", "notes.txt")
    images(tmp_path / "backup", "x.png")
    table = read_table("afew_va", tmp_path)
    problems = table.problems
    assert table.rows["frame"].to_pylist() == [0]
    assert [(r["video"], r["frame"], r["valence_arousal_split"]) for r in table.unseen.to_pylist()] == [
        ("01_001", 3, Split.TRAIN)
    ]
    assert problems.counts == {
        "label_out_of_range": 2,
        "frame_without_image": 1,
        "image_without_label": 1,
        "unexpected_file": 1,
        "unexpected_folder": 1,
    }
    assert "001.json: frame 00001: valence 11" in problems.examples["label_out_of_range"][0]


def test_afew_va_clips_are_as_long_as_their_annotation(tmp_path: Path) -> None:
    afew_clip(tmp_path, "01/001", {"00000": (1, 1), "00001": (11, 1), "00002": (1, 1)}, ["00000"])
    afew_clip(tmp_path, "01/002", {"00004": (1, 1), "00006": (1, 1)}, ["00004"])
    afew_clip(tmp_path, "01/003", {"00000": (11, 1)}, ["00000"])
    assert lengths(read_table("afew_va", tmp_path)) == {"01_001": 3, "01_002": 7}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"frames": []}',
        json.dumps({"frames": {"00000": {"valence": 0, "arousal": 0}}}),
        json.dumps({"frames": {"00000": {"landmarks": landmarks()[:67], "valence": 0, "arousal": 0}}}),
        json.dumps({"frames": {"00000": {"landmarks": landmarks(), "valence": "0", "arousal": 0}}}),
        json.dumps({"frames": {"zero": {"landmarks": landmarks(), "valence": 0, "arousal": 0}}}),
    ],
)
def test_afew_va_wrong_json_names_the_file(tmp_path: Path, content: str) -> None:
    images(tmp_path / "01/001", "00000.png")
    file = write(tmp_path / "01/001/001.json", content)
    with pytest.raises(DatabaseFormatError) as error:
        read("afew_va", tmp_path)
    assert error.value.file == str(file)


def test_afew_va_needs_exactly_one_json(tmp_path: Path) -> None:
    images(tmp_path / "01/001", "00000.png")
    with pytest.raises(MissingInputError, match="no json"):
        read("afew_va", tmp_path)
    images(tmp_path / "01/001", "a.json", "b.json")
    with pytest.raises(DatabaseFormatError, match="2 json files"):
        read("afew_va", tmp_path)


# --- FER+

FER_VOTES = {
    "a.png": "6,3,0,0,0,0,0,1,0,0",
    "b.png": "0,0,0,0,0,8,2,0,0,0",
    "tie.png": "4,0,4,0,0,0,0,2,0,0",
    "contempt.png": "1,0,0,0,0,0,0,8,1,0",
    "tie_with_unknown.png": "0,0,0,0,0,0,0,5,5,0",
    "none.png": "0,0,0,0,0,0,0,0,0,0",
    "gone.png": "9,0,0,0,0,0,0,0,0,0",
    "minus.png": "9,-1,0,0,0,0,0,0,0,0",
}


def fer_train(root: Path) -> Path:
    pictures = {n: n.encode() for n in FER_VOTES if n != "gone.png"}
    return ferplus(root, "FER2013Train", FER_VOTES, {**pictures, "extra.png": b"extra"})


def test_ferplus_majority(tmp_path: Path) -> None:
    file = fer_train(tmp_path)
    rows, problems = read("ferplus", tmp_path)
    assert [(r["video"], r["image"], class_of(r)) for r in rows] == [
        ("FER2013Train/a.png", "FER2013Train/a.png", "Neutral"),
        ("FER2013Train/b.png", "FER2013Train/b.png", "Disgust"),
    ]
    assert rows[0]["expression"] == [1, 0, 0, 0, 0, 0, 0]
    assert problems.counts == {
        "no_majority": 3,
        "class_outside_the_seven: Contempt": 1,
        "frame_without_image": 1,
        "label_out_of_range": 1,
        "image_without_label": 1,
    }
    assert problems.examples["no_majority"][0].startswith(f"{file}:3: tie.png")


def test_ferplus_distribution(tmp_path: Path) -> None:
    fer_train(tmp_path)
    rows, problems = read("ferplus", tmp_path, labels="distribution")
    by_name = {r["video"].split("/")[1]: r["expression"] for r in rows}
    # native order: neutral, happiness, surprise, sadness, anger, disgust, fear
    assert np.allclose(by_name["a.png"], [6 / 9, 0, 0, 0, 3 / 9, 0, 0])
    assert np.allclose(by_name["b.png"], [0, 0, 0.8, 0.2, 0, 0, 0])
    assert np.allclose(by_name["tie.png"], [0.5, 0, 0, 0, 0, 0, 0.5])
    assert len(rows) == 3
    assert problems.counts["no_vote_in_the_seven"] == 2
    assert problems.counts["class_outside_the_seven: Contempt"] == 1


def test_ferplus_splits_are_its_folders(tmp_path: Path) -> None:
    for folder, name in (("FER2013Train", "a.png"), ("FER2013Valid", "b.png"), ("FER2013Test", "c.png")):
        ferplus(tmp_path, folder, {name: "0,9,0,0,0,0,0,0,0,0"}, {name: b"x"})
    rows, problems = read("ferplus", tmp_path)
    splits = {r["video"]: r["expression_split"] for r in rows}
    assert splits["FER2013Train/a.png"] == Split.TRAIN
    assert splits["FER2013Valid/b.png"] == Split.VALIDATION
    assert splits["FER2013Test/c.png"] == Split.TEST
    assert problems.counts == {}


@pytest.mark.parametrize(
    "line",
    [
        "x.png,0,0,48,48,1,1,1,1,1,1,1,1,1,1",
        'x.png,"(0, 0, 48, 48)",1,1,1,1,1,1,1,1,1',
        'x.png,"(0, 0, 48, 48)",1,1,1,1,1,1,1,1,1,many',
        'x.png,"(0, 0, 48)",1,1,1,1,1,1,1,1,1,1',
    ],
)
def test_ferplus_wrong_format_names_the_line(tmp_path: Path, line: str) -> None:
    file = fer_train(tmp_path)
    write(file, 'a.png,"(0, 0, 48, 48)",6,3,0,0,0,0,0,1,0,0\n' + line + "\n")
    with pytest.raises(DatabaseFormatError) as error:
        read("ferplus", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 2)


def test_ferplus_folder_without_label_csv(tmp_path: Path) -> None:
    images(tmp_path / "FER2013Valid", "a.png")
    with pytest.raises(MissingInputError, match=r"FER2013Valid/label\.csv"):
        read("ferplus", tmp_path)
