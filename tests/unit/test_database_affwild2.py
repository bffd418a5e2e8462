"""Aff-Wild2: native files to rows, and every way in which they can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from native_layouts import AU_HEADER, EXPR_HEADER, affwild2_track, avi, images, lengths, read_table, units, write
from native_layouts import read as read_any
from paper import ACTION_UNITS

from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import is_published, task_labels
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

NONE, TRAIN, VALIDATION, TEST = Split


def table_of(root: Path, **options: object) -> LabelTable:
    return read_table("affwild2", root, **options)


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


def test_action_units(tmp_path: Path) -> None:
    lines = [units(["AU1", "AU12", "AU26"]), units(), units(["AU4"], -1), units(["AU4"], 2), units(["AU25"])]
    affwild2_track(tmp_path, "a", expression=[1] * 5, frames=range(1, 5), action_units=lines)
    rows, problems = read(tmp_path)
    assert [[u for u, v in zip(ACTION_UNITS, r["action_units"], strict=True) if v] for r in rows] == [
        ["AU1", "AU12", "AU26"],
        [],
        [],
        [],
    ]
    assert [r["action_units_split"] for r in rows] == [TRAIN, TRAIN, NONE, NONE]
    assert problems.counts == {"action_units_unlabelled": 1, "label_out_of_range": 1, "frame_without_image": 1}
    file = tmp_path / "AU_Set/Train_Set/a.txt"
    assert problems.examples["action_units_unlabelled"] == [f"{file}:4"]
    assert problems.examples["label_out_of_range"] == [f"{file}:5: {lines[3]}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n" + "0," * 7 + "0\n", 1),
        (f"{AU_HEADER}\n{units()}\n{units(['AU4'], 0.5)}\n", 3),
        (f"{AU_HEADER}\n{units()},0\n", 2),
    ],
)
def test_wrong_action_units_format_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    affwild2_track(tmp_path, "a", frames=[1, 2])
    file = write(tmp_path / "AU_Set/Train_Set/a.txt", text)
    with pytest.raises(DatabaseFormatError) as error:
        read(tmp_path)
    assert (error.value.file, error.value.line) == (str(file), line)


def test_splits_that_differ_are_noted_for_every_two_tasks(tmp_path: Path) -> None:
    affwild2_track(
        tmp_path,
        "a",
        expression=[1],
        valence_arousal=["0,0"],
        action_units=[units()],
        frames=[1],
        action_units_split="Validation_Set",
    )
    _, problems = read(tmp_path)
    au = tmp_path / "AU_Set/Validation_Set/a.txt"
    assert problems.examples["video_in_train_and_validation_of_different_tasks"] == [
        f"{tmp_path / folder}/Train_Set/a.txt and {au}" for folder in ("EXPR_Set", "VA_Set")
    ]


def test_labelled_frames_without_an_image_are_kept_apart(tmp_path: Path) -> None:
    affwild2_track(
        tmp_path,
        "a",
        expression=[4, 4, 4, -1, 9],
        valence_arousal=["0,0", "0.5,-0.5", "-5,-5", "0.25,0"],
        frames=[1],
        valence_arousal_split="Validation_Set",
    )
    affwild2_track(tmp_path, "no_images", action_units=[units(["AU2"]), units(["AU1"], -1)])
    table = table_of(tmp_path)
    assert table.rows["video"].to_pylist() == ["a"]
    unseen = table.unseen.to_pylist()
    assert [(r["video"], r["frame"], r["expression_split"], r["valence_arousal_split"]) for r in unseen] == [
        ("a", 1, TRAIN, VALIDATION),
        ("a", 2, TRAIN, NONE),
        ("a", 3, NONE, VALIDATION),
        ("no_images", 0, NONE, NONE),
    ]
    assert unseen[0]["expression"].index(1) == 4
    assert [r["valence_arousal"] for r in unseen[:3]] == [[0.5, -0.5], [0, 0], [0.25, 0]]
    assert unseen[2]["expression"] == [0] * 7
    assert unseen[3]["action_units"] == [0, 1] + [0] * 10
    assert table.problems.counts["frame_without_image"] == 4
    assert table.problems.counts["video_without_images"] == 1
    assert lengths(table) == {"a": 5, "no_images": 2}


def test_a_video_is_as_long_as_its_longest_label_file_or_its_last_image(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "images", expression=[1, 1], frames=[1, 9])
    affwild2_track(tmp_path, "labels", expression=[1, 1], valence_arousal=["-5,-5"] * 7, frames=[1])
    affwild2_track(tmp_path, "unlabelled", expression=[-1], frames=[1])
    assert lengths(table_of(tmp_path)) == {"images": 9, "labels": 7}


def test_of_a_test_track_every_image_is_a_row(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a_left", valence_arousal=["0.5,0", "-5,-5", "0.25,0"], frames=[1, 2, 5])
    affwild2_track(tmp_path, "b", expression=[2], frames=[1])
    write(tmp_path / "expr_test_file.txt", "\ufeffa_left\r\n\r\n no_folder \r\n")
    write(tmp_path / "au_test_file.txt", "a_left")
    avi(tmp_path / "videos/a.AVI", 8)
    table = table_of(tmp_path)
    assert table.rows["frame"].to_pylist() == [0, 1, 4, 0]
    for task, of_a in (
        ("expression", [TEST] * 3),
        ("action_units", [TEST] * 3),
        ("valence_arousal", [TRAIN, NONE, NONE]),
    ):
        vectors, splits = task_labels(table.rows, task)
        assert splits[:3].tolist() == of_a
        assert is_published(vectors).tolist() == [split != TEST for split in splits]
    assert table.rows["expression"].to_pylist()[3] == [0, 0, 1, 0, 0, 0, 0]
    # a frame without an image has the labels that there are
    assert [(r["frame"], r["valence_arousal_split"], r["expression_split"]) for r in table.unseen.to_pylist()] == [
        (2, TRAIN, NONE)
    ]
    assert lengths(table) == {"a_left": 8, "b": 1}
    assert table.problems.counts == {
        "valence_arousal_unlabelled": 1,
        "frame_without_image": 1,
        "video_without_images": 1,
        "video_not_found": 1,
    }
    assert table.problems.examples["video_without_images"] == ["no_folder"]
    assert table.problems.examples["video_not_found"] == [f"{tmp_path}/videos: no video of track no_folder"]


def test_a_test_track_without_any_image_is_known_with_its_length(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "b", expression=[2], frames=[1])
    affwild2_track(tmp_path, "faceless", valence_arousal=["-5,-5", "0.5,0"])
    write(tmp_path / "expr_test_file.txt", "faceless\nno_video\n")
    avi(tmp_path / "videos/faceless.avi", 8)
    table = table_of(tmp_path)
    assert lengths(table) == {"b": 1, "faceless": 8}
    assert [
        (r["video"], r["frame"], r["expression_split"], r["valence_arousal_split"]) for r in table.unseen.to_pylist()
    ] == [("faceless", 0, TEST, NONE), ("faceless", 1, TEST, TRAIN)]
    assert table.problems.examples["video_without_images"] == ["faceless", "no_video"]
    assert table.problems.examples["video_not_found"] == [f"{tmp_path}/videos: no video of track no_video"]


def test_lengths_of_test_tracks(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "labelled", expression=[1], frames=[1])
    for name in ("own", "own_right", "short", "gone"):
        affwild2_track(tmp_path, name, frames=[2, 6])
    affwild2_track(tmp_path, "own", expression=[1] * 11)
    write(tmp_path / "va_test_file.txt", "own\nown_right\nshort\ngone\n")
    for name, num_frames in (("own.mp4.avi", 99), ("own_right.avi", 7), ("own.avi", 9), ("short.avi", 4)):
        avi(tmp_path / "elsewhere" / name, num_frames)
    table = table_of(tmp_path, videos=str(tmp_path / "elsewhere"))
    assert lengths(table) == {"gone": 6, "labelled": 1, "own": 11, "own_right": 7, "short": 6}
    assert {r: n for r, n in table.problems.counts.items() if r.startswith("video")} == {
        "video_not_found": 1,
        "video_shorter_than_its_images": 1,
        "video_without_track": 1,
    }
    assert table.problems.examples["video_without_track"] == [f"{tmp_path}/elsewhere/own.mp4.avi"]
    assert table.problems.examples["video_shorter_than_its_images"] == [
        f"{tmp_path}/elsewhere/short.avi: 4 frames, but image cropped_aligned/short/00006.jpg"
    ]
    with pytest.raises(MissingInputError, match=r"nowhere.*expected layout"):
        read(tmp_path, videos=tmp_path / "nowhere")


def test_test_lists_lie_in_one_place_and_name_tracks_once(tmp_path: Path) -> None:
    affwild2_track(tmp_path / "labels", "a", expression=[1, 1], frames=[1])
    affwild2_track(tmp_path, "a", frames=[1])
    for folder in ("EXPR_Set", "VA_Set", "AU_Set"):
        shutil.rmtree(tmp_path / folder)
    options = {"annotations": tmp_path / "labels"}
    beside = write(tmp_path / "va_test_file.txt", "a\n")
    assert read(tmp_path, **options)[0][0]["valence_arousal_split"] == TEST
    other = write(tmp_path / "labels/va_test_file.txt", "a\n\na\n")
    with pytest.raises(ConfigurationError, match=f"{other} and {beside}"):
        read(tmp_path, **options)
    beside.unlink()
    with pytest.raises(DatabaseFormatError, match="track a again, expected it once, as in line 1") as error:
        read(tmp_path, **options)
    assert (error.value.file, error.value.line) == (str(other), 3)
    other.unlink()
    both = write(tmp_path / "expr_test_file.txt", "b\na\n")
    with pytest.raises(DatabaseFormatError, match=r"track a, which has labels in .*a\.txt") as error:
        read(tmp_path, **options)
    assert (error.value.file, error.value.line) == (str(both), 2)


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
    expression, valence_arousal, action_units = database.sets(options)
    assert expression.set == "mixed_expr"
    assert list(expression.every_by_class.items()) == [("Neutral", 7), ("Happiness", 2), ("Sadness", 2)]
    assert (valence_arousal.set, valence_arousal.every) == ("mixed_va", 5)
    assert (action_units.set, action_units.tasks, action_units.every) == ("mixed_au", ("action_units",), 1)


def test_impossible_options_name_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="va_every"):
        read(tmp_path, va_every=0)
    with pytest.raises(ConfigurationError, match="neutral_evry"):
        read(tmp_path, neutral_evry=3)
