"""s-Aff-Wild2: lists of images with labels of three tasks, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_layouts import AU_HEADER, images, lengths, read_table, units, write
from native_layouts import read as read_any

from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import is_published, task_labels
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

TRAINING, VALIDATION = "training_set_annotations.txt", "validation_set_annotations.txt"
RELEASE = "MTL_Challenge_test_set_release.txt"
HEADER = f"image,valence,arousal,expression,{AU_HEADER}"
NONE, TRAIN, VALID, TEST = Split


def line(image: str, va: str = "0.5,-1", expression: object = 7, present: Sequence[str] = (), value: int = 1) -> str:
    return f"{image},{va},{expression},{units(present, value)}"


def lists(root: Path, training: Sequence[str], validation: Sequence[str] = (), header: str = HEADER) -> Path:
    """Both lists of labels; returns the training list."""
    write(root / VALIDATION, "\n".join([header, *validation]) + "\n")
    return write(root / TRAINING, "\n".join([header, *training]) + "\n")


def table_of(root: Path, **options: object) -> LabelTable:
    return read_table("affwild2_mtl", root, **options)


def read(root: Path, **options: object) -> tuple[list[dict[str, Any]], Problems]:
    return read_any("affwild2_mtl", root, **options)


def splits(row: dict[str, Any]) -> list[int]:
    return [row[f"{task}_split"] for task in ("expression", "valence_arousal", "action_units")]


def test_a_row_an_image_with_the_labels_that_are_valid(tmp_path: Path) -> None:
    training = [
        line("b/00003.jpg", present=["AU4"]),
        line("b/00001.jpg", va="-5,-5", expression=0),
        line("a_left/00002.jpg", va="-5,0", expression=-1, present=["AU1"]),
        line("b/00002.jpg", va="-5,-5", expression=-1, present=["AU1"], value=-1),
    ]
    lists(tmp_path, training, [line("c/00007.jpg", expression=2)])
    images(tmp_path / "cropped_aligned/b", "00001.jpg", "00002.jpg", "00003.jpg", "00004.jpg")
    images(tmp_path / "cropped_aligned/a_left", "00002.jpg")
    images(tmp_path / "cropped_aligned/c", "00007.jpg")
    table = table_of(tmp_path)
    rows = table.rows.to_pylist()
    assert [(r["video"], r["frame"], r["image"], splits(r)) for r in rows] == [
        ("a_left", 1, "cropped_aligned/a_left/00002.jpg", [NONE, NONE, TRAIN]),
        ("b", 0, "cropped_aligned/b/00001.jpg", [TRAIN, NONE, TRAIN]),
        ("b", 2, "cropped_aligned/b/00003.jpg", [TRAIN] * 3),
        ("c", 6, "cropped_aligned/c/00007.jpg", [VALID] * 3),
    ]
    assert rows[2]["expression"] == [0] * 7 + [1]
    assert rows[2]["valence_arousal"] == [0.5, -1]
    assert rows[2]["action_units"] == [0, 0, 1] + [0] * 9
    assert rows[0]["action_units"] == [1] + [0] * 11
    assert lengths(table) == {"a_left": 2, "b": 4, "c": 7}
    assert table.problems.counts == {
        "expression_unlabelled": 2,
        "valence_arousal_unlabelled": 3,
        "action_units_unlabelled": 1,
        "image_without_label": 2,
    }
    assert table.problems.examples["expression_unlabelled"] == [f"{tmp_path / TRAINING}:{k}" for k in (4, 5)]


def test_values_out_of_range_are_left_out_with_their_line(tmp_path: Path) -> None:
    file = lists(tmp_path, [line("a/00001.jpg", expression=8), line("a/00002.jpg", va="0,1.5"), line("a/00003.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg", "00002.jpg", "00003.jpg")
    rows, problems = read(tmp_path)
    assert [splits(r) for r in rows] == [[NONE, TRAIN, TRAIN], [TRAIN, NONE, TRAIN], [TRAIN] * 3]
    assert problems.examples["label_out_of_range"] == [
        f"{file}:3: {line('a/00002.jpg', va='0,1.5')}",
        f"{file}:2: {line('a/00001.jpg', expression=8)}",
    ]


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        "image,valence,arousal,expression,aus",
        " Image, valence, arousal, expression, aus",
        f"image_location,valence,arousal,expression,{AU_HEADER}",
    ],
)
def test_headers(tmp_path: Path, header: str) -> None:
    lists(tmp_path, [line("a/00001.jpg")], header=header)
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    assert len(read(tmp_path)[0]) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        (line("a/00001.jpg"), 1),
        ("image,arousal,valence,expression,aus\n", 1),
        (f"{HEADER}\n{line('a/00001.jpg')}\n{line('a/00002.jpg')},0\n", 3),
        (f"{HEADER}\n{line('a/00001.jpg')}\n{line('a/00002.jpg', expression='happy')}\n", 3),
        (f"{HEADER}\n{line('a/00001.jpg', expression=1.5)}\n", 2),
        (f"{HEADER}\n{line('a/00001.jpg', va='nan,0')}\n", 2),
        (f"{HEADER}\n{line('a.jpg')}\n", 2),
        (f"{HEADER}\n{line('a/b/00001.jpg')}\n", 2),
        (f"{HEADER}\n{line('a/00000.jpg')}\n", 2),
        (f"{HEADER}\n{line('a/first.jpg')}\n", 2),
        (f"{HEADER}\n{line('/00001.jpg')}\n", 2),
    ],
)
def test_wrong_formats_name_file_and_line(tmp_path: Path, text: str, number: int) -> None:
    lists(tmp_path, [])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    file = write(tmp_path / TRAINING, text)
    with pytest.raises(DatabaseFormatError) as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(file), number)


def test_lines_that_come_twice_count_once(tmp_path: Path) -> None:
    first = line("a/00001.jpg", expression=3)
    file = lists(tmp_path, [first, first, line("a/00001.jpg", expression=4)])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    (row,), problems = read(tmp_path)
    assert row["expression"][3] == 1
    assert problems.counts == {"line_again": 1, "line_again_with_other_labels": 1}
    assert problems.examples["line_again_with_other_labels"] == [f"{file}:4: not read, line 2 is"]


def test_an_image_in_two_splits_is_an_error_and_a_video_is_named(tmp_path: Path) -> None:
    lists(tmp_path, [line("a/00001.jpg")], [line("a/00002.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg", "00002.jpg")
    assert read(tmp_path)[1].examples["video_in_several_splits"] == ["a"]
    write(tmp_path / VALIDATION, f"{HEADER}\n{line('a/00001.jpg')}\n")
    with pytest.raises(DatabaseFormatError, match=rf"also in line 2 of .*{TRAINING}") as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(tmp_path / VALIDATION), 2)


@pytest.mark.parametrize("name", [RELEASE, "Multi_Task_Learning_Challenge_test_set_release.txt"])
@pytest.mark.parametrize("place", [".", "testset", "names_of_videos_in_each_test_set"])
def test_the_test_list_names_images(tmp_path: Path, name: str, place: str) -> None:
    lists(tmp_path, [line("a/00001.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    images(tmp_path / "testset/cropped_aligned/t", "00003.jpg", "00009.jpg", "00011.jpg")
    write(tmp_path / place / name, "image\nt/00009.jpg\nt/00003.jpg\nt/00010.jpg\nno_face/00002.jpg\n")
    table = table_of(tmp_path)
    tested = [r for r in table.rows.to_pylist() if r["video"] == "t"]
    assert [(r["frame"], splits(r)) for r in tested] == [(2, [TEST] * 3), (8, [TEST] * 3)]
    assert tested[0]["image"] == "testset/cropped_aligned/t/00003.jpg"
    for task in ("expression", "valence_arousal", "action_units"):
        assert is_published(task_labels(table.rows, task)[0]).tolist() == [True, False, False]
    assert [(r["video"], r["frame"]) for r in table.unseen.to_pylist()] == [("no_face", 1), ("t", 9)]
    assert lengths(table) == {"a": 1, "no_face": 2, "t": 11}
    assert table.problems.counts == {
        "frame_without_image": 2,
        "video_without_images": 1,
        "image_without_label": 1,
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [("t/00001.jpg\nt/00002.jpg\nt/00001.jpg\n", 3), ("image\nt\n", 2), ("image\nt/x.jpg\n", 2), ("\n\nt/1.jpg", 2)],
)
def test_wrong_test_lists_name_the_line(tmp_path: Path, text: str, number: int) -> None:
    lists(tmp_path, [line("a/00001.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    file = write(tmp_path / RELEASE, text)
    with pytest.raises(DatabaseFormatError) as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(file), number)


def test_a_labelled_image_in_the_test_list_is_an_error(tmp_path: Path) -> None:
    lists(tmp_path, [line("a/00001.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    write(tmp_path / RELEASE, "a/00001.jpg\n")
    with pytest.raises(DatabaseFormatError, match="in one split"):
        read(tmp_path)


def test_what_is_no_part_is_named(tmp_path: Path) -> None:
    lists(tmp_path, [line("a/00001.jpg")])
    images(tmp_path / "batch1/cropped_aligned/a", "00001.jpg", "face.jpg")
    others = [tmp_path / "test_set.txt", tmp_path / "batch1/a.mp4", tmp_path / "batch1/cropped_aligned/a/face.jpg"]
    for other in others[:2]:
        write(other, "")
    (tmp_path / "EXPR_Set").mkdir()
    _, problems = read(tmp_path)
    assert sorted(problems.examples["unexpected_file"]) == sorted(map(str, others))
    assert problems.examples["unexpected_folder"] == [str(tmp_path / "EXPR_Set")]


def test_labels_lie_in_one_place(tmp_path: Path) -> None:
    lists(tmp_path / "annotations", [line("a/00001.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    assert len(read(tmp_path)[0]) == 1
    lists(tmp_path / "other", [line("a/00001.jpg", expression=1)])
    assert read(tmp_path, annotations=tmp_path / "other")[0][0]["expression"][1] == 1
    lists(tmp_path, [line("a/00001.jpg")])
    with pytest.raises(ConfigurationError, match="choose with the option annotations"):
        read(tmp_path)
    (tmp_path / VALIDATION).unlink()
    with pytest.raises(MissingInputError, match=rf"{VALIDATION}; expected layout"):
        read(tmp_path, annotations=tmp_path)


def test_every_image_is_in_its_tasks_set(tmp_path: Path) -> None:
    lists(tmp_path, [line("a/00001.jpg")])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    database, options, table = read_database("affwild2_mtl", tmp_path, {})
    members = database.sets(options)
    assert [(m.tasks, m.every, dict(m.every_by_class)) for m in members] == [
        (("expression",), 1, {}),
        (("valence_arousal",), 1, {}),
        (("action_units",), 1, {}),
    ]
    assert np.isfinite(task_labels(table.rows, "expression")[0]).all()
