"""RAF-DB: the list and the folders of class numbers to rows, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from native_layouts import class_of, images, read, write

from abaw_ray.errors import DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

CLASSES = ["Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral"]


def rafdb(root: Path, lines: Sequence[str], pictures: Sequence[str]) -> Path:
    """The release; returns its list."""
    images(root / "Image" / "aligned", *pictures)
    return write(root / "EmoLabel" / "list_patition_label.txt", "".join(f"{line}\n" for line in lines))


def test_the_list_maps_native_classes_and_splits(tmp_path: Path) -> None:
    names = [f"train_{k:05d}" for k in range(1, 8)] + ["test_0001"]
    lines = [f"{name}.jpg {k}" for name, k in zip(names, [1, 2, 3, 4, 5, 6, 7, 4], strict=True)]
    rafdb(tmp_path, lines, [f"{name}_aligned.jpg" for name in names])
    images(tmp_path / "Image" / "original", "train_00001.jpg")
    images(tmp_path / "Annotation" / "manual", "train_00001_manu_attri.txt")
    rows, problems = read("rafdb", tmp_path)
    test, *train = rows
    assert [class_of(r) for r in train] == CLASSES
    assert {r["expression_split"] for r in train} == {Split.TRAIN}
    assert (class_of(test), test["expression_split"]) == ("Happiness", Split.TEST)
    assert test["video"] == test["image"] == "Image/aligned/test_0001_aligned.jpg"
    assert not problems.counts


@pytest.mark.parametrize("inside", ["", "DATASET"])
def test_folders_of_class_numbers(tmp_path: Path, inside: str) -> None:
    for number in range(1, 8):
        images(tmp_path / inside / "train" / str(number), f"train_{number}_aligned.jpg")
    images(tmp_path / inside / "test" / "7", "test_1_aligned.png", ".DS_Store", "Thumbs.db")
    rows, problems = read("rafdb", tmp_path)
    test, *train = rows
    assert [class_of(r) for r in train] == CLASSES
    assert (class_of(test), test["expression_split"]) == ("Neutral", Split.TEST)
    assert all((tmp_path / r["image"]).is_file() and r["video"] == r["image"] for r in rows)
    assert problems.counts == {"passed_over_by_name": 2}


def test_the_test_split_can_be_validation(tmp_path: Path) -> None:
    rafdb(tmp_path / "a", ["train_1.jpg 1", "test_1.jpg 1"], ["train_1_aligned.jpg", "test_1_aligned.jpg"])
    images(tmp_path / "b" / "train" / "1", "x.jpg")
    images(tmp_path / "b" / "test" / "1", "x.jpg")
    for root in (tmp_path / "a", tmp_path / "b"):
        rows, _ = read("rafdb", root, test_for_validation=True)
        assert [r["expression_split"] for r in rows] == [Split.VALIDATION, Split.TRAIN]


def test_the_list_counts_what_it_leaves_out(tmp_path: Path) -> None:
    lines = ["train_1.jpg 1", "train_2.jpg 0", "train_3.jpg 8", "train_4.jpg 5", "train_1.jpg 2"]
    file = rafdb(tmp_path, lines, [f"train_{k}_aligned.jpg" for k in (1, 2, 3, 9)])
    for folder in ("", "EmoLabel", "Image"):
        images(tmp_path / folder, "notes.txt")
    images(tmp_path / "Image" / "aligned" / "more", "train_7_aligned.jpg")
    images(tmp_path / "compound", "a.jpg")
    rows, problems = read("rafdb", tmp_path)
    assert [(r["image"], class_of(r)) for r in rows] == [("Image/aligned/train_1_aligned.jpg", "Surprise")]
    assert problems.counts == {
        "label_out_of_range": 2,
        "frame_without_image": 1,
        "duplicate_path": 1,
        "image_without_label": 1,
        "unexpected_file": 3,
        "unexpected_folder": 2,
    }
    assert problems.examples["label_out_of_range"][1] == f"{file}:3: class 8"
    assert problems.examples["duplicate_path"] == [f"{file}:5: train_1.jpg"]


@pytest.mark.parametrize(
    "line",
    [
        "train_2.jpg",
        "train_2.jpg 1 1",
        "train_2.jpg happy",
        "train_2.jpg 1.5",
        "train_2.png 1",
        "valid_2.jpg 1",
        "train_x.jpg 1",
        "1 train_2.jpg",
        "train_2.jpg,1",
        "",
        "train_2.jpg " + "9" * 400,
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    file = rafdb(tmp_path, ["train_1.jpg 1", line, "train_3.jpg 1"], ["train_1_aligned.jpg"])
    with pytest.raises(DatabaseFormatError) as error:
        read("rafdb", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 2)
    assert len(str(error.value)) < 400 + len(str(file))


def test_a_list_that_is_no_text_or_has_a_byte_order_mark(tmp_path: Path) -> None:
    file = rafdb(tmp_path, [], ["train_1_aligned.jpg"])
    write(file, b"\xff\xfe")
    with pytest.raises(DatabaseFormatError, match="list_patition_label"):
        read("rafdb", tmp_path)
    write(file, b"\xef\xbb\xbftrain_1.jpg 1\r\n\r\n")
    assert [class_of(r) for r in read("rafdb", tmp_path)[0]] == ["Surprise"]


@pytest.mark.parametrize("name", ["0", "8", "01", "happy"])
def test_a_folder_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    images(tmp_path / "train" / "1", "a.jpg")
    images(tmp_path / "train" / name, "a.jpg")
    with pytest.raises(DatabaseFormatError, match=f"folder '{name}', expected 1 to 7"):
        read("rafdb", tmp_path)


def test_folders_count_what_they_leave_out(tmp_path: Path) -> None:
    images(tmp_path, "train_labels.csv")
    images(tmp_path / "DATASET", "test_labels.csv")
    images(tmp_path / "DATASET" / "train", "loose.jpg", "notes.txt")
    images(tmp_path / "DATASET" / "train" / "1", "a.jpg", "notes.txt")
    images(tmp_path / "DATASET" / "valid" / "1", "a.jpg")
    rows, problems = read("rafdb", tmp_path)
    assert [r["image"] for r in rows] == ["DATASET/train/1/a.jpg"]
    assert problems.counts == {"unexpected_file": 4, "image_without_label": 1, "unexpected_folder": 1}


def test_missing_parts_say_the_layout(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="expected layout"):
        read("rafdb", tmp_path / "nowhere")
    write(tmp_path / "EmoLabel" / "list_patition_label.txt", "train_1.jpg 1\n")
    with pytest.raises(MissingInputError, match=r"aligned; expected layout"):
        read("rafdb", tmp_path)
