"""Aff-Wild2 since 2022, and its part for the multi-task challenges: every part in its place or reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from films import film, picture
from native_layouts import images, read, read_table, write

from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION_WITH_OTHER
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

NONE, TRAIN, VALIDATION, TEST = Split
EXPR, VA, AU = "EXPR_Recognition_Challenge", "VA_Estimation_Challenge", "AU_Detection_Challenge"
HEADERS = {EXPR: ",".join(EXPRESSION_WITH_OTHER.names), VA: "valence,arousal", AU: ",".join(ACTION_UNITS.names)}
UNITS = ",".join("1" if k % 2 else "0" for k in range(12))


def track(root: Path, challenge: str, name: str, lines: list[str], split: str = "Train_Set") -> Path:
    return write(root / challenge / split / f"{name}.txt", "\n".join([HEADERS[challenge], *lines]))


@pytest.fixture
def today(tmp_path: Path) -> Path:
    """Labels in a folder of their own, pictures in two, of all endings, and a test set."""
    labels = tmp_path / "6th ABAW Annotations"
    track(labels, EXPR, "a", ["7", "-1", "4"])
    track(labels, VA, "a", ["0.5,-0.25", "-5,-5", "1,1"])
    track(labels, AU, "b", [UNITS, ",".join(["-1"] * 12)], "Validation_Set")
    (labels / EXPR / "Validation_Set").mkdir()
    (labels / VA / "Validation_Set").mkdir()
    (labels / AU / "Train_Set").mkdir()
    images(tmp_path / "cropped_aligned" / "a", "00001.jpg", "00002.jpg", "000003.png")
    images(tmp_path / "batch2" / "cropped_aligned_new_50_vids" / "b", "1.bmp")
    images(tmp_path / "cropped_aligned" / "t", "00002.jpg")
    names = "names_of_videos_in_each_test_set"
    write(labels / names / names / "Valence_Arousal_Estimation_Challenge_test_set_release.txt", "t\n")
    film(tmp_path / "videos" / "new_vids" / "t.mp4", [picture(k) for k in range(5)])
    return tmp_path


def test_today_s_layout_is_read(today: Path) -> None:
    rows, problems = read("affwild2_abaw3", today)
    by_place = {(r["video"], r["frame"]): r for r in rows}
    assert list(by_place) == [("a", 0), ("a", 2), ("b", 0), ("t", 1)]
    first, last, other, test = by_place.values()
    assert first["expression"] == EXPRESSION_WITH_OTHER.one_hot(7)
    assert first["valence_arousal"] == [0.5, -0.25]
    assert last["image"] == "cropped_aligned/a/000003.png"
    assert (other["image"], other["action_units_split"]) == ("batch2/cropped_aligned_new_50_vids/b/1.bmp", VALIDATION)
    assert other["action_units"] == [float(k % 2) for k in range(12)]
    assert test["valence_arousal_split"] == TEST
    assert np.isnan(test["valence_arousal"]).all()
    assert test["expression_split"] == NONE
    table = read_table("affwild2_abaw3", today)
    assert {v["video"]: v["num_frames"] for v in table.videos.to_pylist()} == {"a": 3, "b": 2, "t": 5}
    assert problems.counts == {
        "expression_unlabelled": 1,
        "valence_arousal_unlabelled": 1,
        "action_units_unlabelled": 1,
        "image_without_label": 1,
    }


def test_what_is_no_part_is_reported(today: Path) -> None:
    write(today / "notes.txt", "x")
    write(today / "backup" / "old" / "readme.md", "x")
    write(today / "6th ABAW Annotations" / "EXPR_test_list.txt", "a")
    write(today / "6th ABAW Annotations" / VA / "extra.csv", "x")
    images(today / "cropped_aligned" / "a", "frame1.jpg", "0003.jpg")
    images(today / "cropped_aligned" / "b", "00001.jpg")
    images(today / "cropped_aligned" / "c", "00001.jpg")
    _, problems = read("affwild2_abaw3", today)
    assert problems.counts["unexpected_file"] == 4
    assert problems.counts["unexpected_folder"] == 1
    assert problems.counts["two_images_of_a_frame"] == 1
    assert problems.counts["track_in_two_folders"] == 1
    assert problems.counts["image_without_label"] == 2, "a's frame 1, and c"
    assert problems.examples["unexpected_folder"] == [str(today / "backup")]


def second_folder(root: Path) -> None:
    write(root / "5th" / "EXPR_Classification_Challenge" / "Train_Set" / "a.txt", HEADERS[EXPR] + "\n1")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (second_folder, ConfigurationError, "label files of expression in both"),
        (
            lambda root: write(root / "other_test_set_release.txt", "t"),
            DatabaseFormatError,
            "other_test_set_release.txt.*expected EXPR, VA or AU",
        ),
        (
            lambda root: write(root / "VA_test_set_release.txt", "t"),
            DatabaseFormatError,
            "another list of the test set of valence_arousal",
        ),
        (
            lambda root: write(root / "EXPR_test_set_release.txt", "x\na"),
            DatabaseFormatError,
            r"EXPR_test_set_release.txt:2: found track a, which has labels in .*a\.txt",
        ),
        (
            lambda root: write(
                root / "6th ABAW Annotations" / EXPR / "Train_Set" / "a.txt", HEADERS[EXPR][:-6] + "\n1"
            ),
            DatabaseFormatError,
            r"a\.txt:1: found .*Surprise', expected the header .*Other",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(
    today: Path, change: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    change(today)
    with pytest.raises(error, match=message):
        read("affwild2_abaw3", today)


def test_a_class_beyond_the_eighth_is_counted(today: Path) -> None:
    track(today / "6th ABAW Annotations", EXPR, "a", ["8", "-1", "4"])
    rows, problems = read("affwild2_abaw3", today)
    assert problems.counts["label_out_of_range"] == 1
    assert [r["expression_split"] for r in rows if r["video"] == "a"] == [NONE, TRAIN]


@pytest.mark.parametrize("name", ["affwild2_abaw3", "affwild2_mtl"])
def test_a_root_without_labels_or_pictures_says_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingInputError, match=r"expected layout: see `abaw-ray inspect"):
        read(name, tmp_path / "gone")
    (tmp_path / "cropped_aligned").mkdir()
    with pytest.raises(MissingInputError, match=r"no .* in .*; expected layout"):
        read(name, tmp_path)


# The multi-task challenges


def listed(image: str, va: str = "0.5,-0.5", expression: int = 0, units: str = UNITS) -> str:
    return f"{image},{va},{expression},{units}"


@pytest.fixture
def mtl(tmp_path: Path) -> Path:
    partly = UNITS.replace("0", "-1", 1)
    training = [
        listed("a/00002.jpg", expression=7),
        listed("a/00001.jpg", va="-5,-5", units=partly),
        listed("b/00007.jpg", expression=-1, units=",".join(["-1"] * 12)),
        listed("b/00009.jpg", va="-5,0.1", expression=-1, units=",".join(["-1"] * 12)),
    ]
    write(tmp_path / "training_set_annotations.txt", "\n".join(["image,labels", *training]))
    write(tmp_path / "validation_set_annotations.txt", "\n".join(["image,labels", listed("c/00001.jpg")]))
    write(tmp_path / "MTL_Challenge_test_set_release.txt", "image_location\nd/00001.jpg\nd/00004.jpg\n")
    images(tmp_path / "cropped_aligned" / "a", "00001.jpg", "00002.jpg")
    images(tmp_path / "cropped_aligned" / "b", "00001.jpg")
    images(tmp_path / "cropped_aligned_new_50_vids" / "c", "00001.jpg")
    images(tmp_path / "cropped_aligned" / "d", "00001.jpg", "00004.jpg")
    return tmp_path


def test_the_lists_of_the_multi_task_challenge_are_read(mtl: Path) -> None:
    table = read_table("affwild2_mtl", mtl)
    by_place = {(r["video"], r["frame"]): r for r in table.rows.to_pylist()}
    assert list(by_place) == [("a", 0), ("a", 1), ("c", 0), ("d", 0), ("d", 3)]
    first = by_place["a", 0]
    assert (first["valence_arousal_split"], first["expression_split"]) == (NONE, TRAIN)
    assert np.isnan(first["action_units"][0]), "of a unit that is -1 nothing is known"
    assert first["action_units"][1:] == [float(k % 2) for k in range(1, 12)]
    assert by_place["a", 1]["expression"] == EXPRESSION_WITH_OTHER.one_hot(7)
    assert by_place["c", 0]["valence_arousal_split"] == VALIDATION
    assert by_place["c", 0]["image"] == "cropped_aligned_new_50_vids/c/00001.jpg"
    assert {by_place["d", 3][f"{s}_split"] for s in ("expression", "valence_arousal", "action_units")} == {TEST}
    assert [(r["video"], r["frame"]) for r in table.unseen.to_pylist()] == [("b", 6)]
    assert table.problems.counts == {"frame_without_image": 1, "frame_without_label": 1}
    assert table.problems.examples["frame_without_label"] == [f"{mtl / 'training_set_annotations.txt'}:5"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "a/00003.jpg,0,0,0",
            r"training_set_annotations.txt:6: found .*, expected <track>/<number>.jpg and 15 numbers",
        ),
        (listed("00003.jpg"), "txt:6: found '00003.jpg', expected <track>"),
        (listed("a/00000.jpg"), "txt:6: found 'a/00000.jpg', expected <track>"),
        (listed("a/00001.jpg"), "txt:6: found a/00001.jpg again, expected it once, as in .*txt:3"),
        (listed("a/00003.jpg", va="x,0"), "txt:6: found 'x', expected"),
    ],
)
def test_wrong_lines_are_named(mtl: Path, line: str, message: str) -> None:
    file = mtl / "training_set_annotations.txt"
    file.write_text(file.read_text() + "\n" + line)
    with pytest.raises(DatabaseFormatError, match=message):
        read("affwild2_mtl", mtl)


@pytest.mark.parametrize(
    ("values", "space"),
    [
        ({"va": "0,1.5"}, "valence_arousal"),
        ({"expression": 9}, "expression"),
        ({"units": UNITS[:-1] + "3"}, "action_units"),
    ],
)
def test_labels_out_of_range_are_counted(mtl: Path, values: dict[str, object], space: str) -> None:
    images(mtl / "cropped_aligned" / "a", "00003.jpg")
    file = mtl / "training_set_annotations.txt"
    file.write_text(file.read_text() + "\n" + listed("a/00003.jpg", **values))  # type: ignore[arg-type]
    rows, problems = read("affwild2_mtl", mtl)
    assert problems.examples["label_out_of_range"] == [f"{file}:6: {space}"]
    (row,) = [r for r in rows if (r["video"], r["frame"]) == ("a", 2)]
    assert row[f"{space}_split"] == NONE
