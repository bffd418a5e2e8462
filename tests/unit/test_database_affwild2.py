"""Aff-Wild2: native files to rows, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from native_layouts import EXPR_HEADER, affwild2_track, images, write
from native_layouts import read as read_any

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading import read_database
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.labels import Split


def read(root: Path, **options: object) -> tuple[list[dict[str, Any]], Problems]:
    return read_any("affwild2", root, **options)


def test_both_labels_of_a_frame_share_a_row(tmp_path: Path) -> None:
    affwild2_track(
        tmp_path,
        "b_left",
        expression=[4, -1, 0, 6],
        valence_arousal=["0.5,-0.25", "-0.125,1", "-5,0.5", "0,0"],
        frames=[1, 2, 3],
        valence_arousal_split="Validation_Set",
    )
    affwild2_track(tmp_path, "a", expression=[2], frames=[1])
    rows, problems = read(tmp_path)
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [
        ("a", 0, "cropped_aligned/a/00001.jpg"),
        ("b_left", 0, "cropped_aligned/b_left/00001.jpg"),
        ("b_left", 1, "cropped_aligned/b_left/00002.jpg"),
        ("b_left", 2, "cropped_aligned/b_left/00003.jpg"),
    ]
    both, only_va, only_expression = rows[1:]
    assert both["expression"] == [0, 0, 0, 0, 1, 0, 0]
    assert both["valence_arousal"] == [0.5, -0.25]
    assert (both["expression_split"], both["valence_arousal_split"]) == (Split.TRAIN, Split.VALIDATION)
    assert only_va["expression"] == [0] * 7
    assert only_va["expression_split"] == Split.NONE
    assert only_va["valence_arousal"] == [-0.125, 1]
    assert only_expression["valence_arousal"] == [0, 0]
    assert only_expression["valence_arousal_split"] == Split.NONE
    assert rows[0]["valence_arousal_split"] == Split.NONE
    assert problems.counts == {
        "expression_unlabelled": 1,
        "valence_arousal_unlabelled": 1,
        "frame_without_image": 1,
        "video_in_train_and_validation_of_different_tasks": 1,
    }
    expr_file = tmp_path / "EXPR_Set/Train_Set/b_left.txt"
    assert problems.examples["expression_unlabelled"] == [f"{expr_file}:3"]
    assert problems.examples["frame_without_image"][0].startswith(f"{expr_file}:5: no image")


def test_images_and_labels_that_do_not_match_are_counted(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", expression=[1, -1], valence_arousal=["0,0"], frames=[1, 2, 3, 70])
    affwild2_track(tmp_path, "no_images", expression=[1, 2])
    affwild2_track(tmp_path, "no_labels", frames=[1, 2])
    images(tmp_path / "cropped_aligned" / "a", "00000.jpg", "1.jpg", "000001.jpg", ".DS_Store", "._00001.jpg")
    rows, problems = read(tmp_path)
    assert [(r["video"], r["frame"]) for r in rows] == [("a", 0)]
    assert problems.counts == {
        "expression_unlabelled": 1,
        "image_without_label": 5,
        "frame_without_image": 2,
        "video_without_images": 1,
        "unexpected_file": 3,
    }
    assert problems.examples["video_without_images"] == ["no_images"]


def test_values_out_of_range_are_left_out_with_their_line(tmp_path: Path) -> None:
    va = ["0.5,0.5", "1.5,0", "-5,9", "0,-1.001", "1,-1"]
    affwild2_track(tmp_path, "a", expression=[7, -2, 3, -1, 0], valence_arousal=va, frames=range(1, 6))
    rows, problems = read(tmp_path)
    assert [r["frame"] for r in rows] == [0, 2, 4]
    assert problems.counts["label_out_of_range"] == 4
    assert problems.counts["valence_arousal_unlabelled"] == 1
    assert problems.examples["label_out_of_range"] == [
        f"{tmp_path / 'EXPR_Set/Train_Set/a.txt'}:2: 7",
        f"{tmp_path / 'EXPR_Set/Train_Set/a.txt'}:3: -2",
        f"{tmp_path / 'VA_Set/Train_Set/a.txt'}:3: 1.5,0",
        f"{tmp_path / 'VA_Set/Train_Set/a.txt'}:5: 0,-1.001",
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tolerates_line_ends_byte_order_mark_spaces_and_final_blank_lines(tmp_path: Path, line_end: str) -> None:
    affwild2_track(tmp_path, "a", frames=[1, 2])
    header = " neutral, ANGER, Disgust, Fear, Happiness, Sadness, Surprise"
    text = "\ufeff" + line_end.join([header, "5", " 1 ", "", ""])
    write(tmp_path / "EXPR_Set/Train_Set/a.txt", text)
    rows, problems = read(tmp_path)
    assert [r["expression"].index(1) for r in rows] == [5, 1]
    assert not problems.counts


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("4\n4\n", 1),
        ("Anger,Neutral,Disgust,Fear,Happiness,Sadness,Surprise\n4\n", 1),
        (EXPR_HEADER + ",Other\n4\n", 1),
        (EXPR_HEADER + "\n4\nhappy\n", 3),
        (EXPR_HEADER + "\n4\n\n4\n", 3),
        (EXPR_HEADER + "\n4\n4,4\n", 3),
        (EXPR_HEADER + "\n4\n4\n1.5\n", 4),
        (EXPR_HEADER + "\n4\nnan\n", 3),
    ],
)
def test_wrong_expression_format_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    affwild2_track(tmp_path, "a", frames=[1, 2])
    file = write(tmp_path / "EXPR_Set/Train_Set/a.txt", text)
    with pytest.raises(DatabaseFormatError) as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(file), line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("arousal,valence\n0,0\n", 1),
        ("valence,arousal\n0,0\n0.5\n", 3),
        ("valence,arousal\n0,0\n0.5,nan\n", 3),
        ("valence,arousal\n0.5\n0.5,0.5,0.5\n", 2),
    ],
)
def test_wrong_valence_arousal_format_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    affwild2_track(tmp_path, "a", frames=[1, 2])
    file = write(tmp_path / "VA_Set/Train_Set/a.txt", text)
    with pytest.raises(DatabaseFormatError) as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(file), line)


def test_annotations_folder_and_training_set_are_accepted(tmp_path: Path) -> None:
    training = tmp_path / "annotations/EXPR_Set/Training_Set/a.txt"
    (training.parent.parent / "Validation_Set").mkdir(parents=True)
    write(training, f"{EXPR_HEADER}\n3\n")
    images(tmp_path / "cropped_aligned" / "a", "00001.jpg")
    rows, _ = read(tmp_path)
    assert rows[0]["expression"].index(1) == 3


def test_parts_can_lie_elsewhere(tmp_path: Path) -> None:
    affwild2_track(tmp_path / "labels", "a", expression=[3])
    images(tmp_path / "faces" / "a", "00001.jpg")
    root = tmp_path / "root"
    root.mkdir()
    rows, _ = read(root, annotations=tmp_path / "labels", cropped_aligned=str(tmp_path / "faces"))
    assert (root / rows[0]["image"]).read_text() == "picture 00001.jpg"


def test_both_names_of_the_training_folder_is_an_error(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", expression=[3], frames=[1])
    (tmp_path / "EXPR_Set" / "Training_Set").mkdir()
    with pytest.raises(DatabaseFormatError, match="both Train_Set and Training_Set"):
        read(tmp_path)


def test_a_track_in_both_splits_of_a_task_is_an_error(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", expression=[3], frames=[1])
    affwild2_track(tmp_path, "a", expression=[3], expression_split="Validation_Set")
    with pytest.raises(DatabaseFormatError, match="track a also in Train_Set"):
        read(tmp_path)


def test_missing_parts_say_the_layout(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="Validation_Set"):
        read(tmp_path / "nowhere")
    with pytest.raises(MissingInputError, match=r"EXPR_Set.*expected layout"):
        read(tmp_path)
    affwild2_track(tmp_path, "a", expression=[3], frames=[1])
    (tmp_path / "VA_Set" / "Validation_Set").rmdir()
    with pytest.raises(MissingInputError, match="VA_Set/Validation_Set"):
        read(tmp_path)


def test_nothing_usable_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", expression=[-1], frames=[1])
    with pytest.raises(MissingInputError, match="expression_unlabelled 1"):
        read(tmp_path)


def test_sets_carry_the_down_sampling_in_the_papers_order(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", expression=[3], frames=[1])
    database, options, _ = read_database("affwild2", tmp_path, {"neutral_every": 7})
    expression, valence_arousal = database.sets(options)
    assert expression.set == "mixed_expr"
    assert list(expression.every_by_class.items()) == [("Neutral", 7), ("Happiness", 2), ("Sadness", 2)]
    assert (valence_arousal.set, valence_arousal.every) == ("mixed_va", 5)


def test_impossible_options_name_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="va_every"):
        read(tmp_path, va_every=0)
    with pytest.raises(ConfigurationError, match="neutral_evry"):
        read(tmp_path, neutral_evry=3)
