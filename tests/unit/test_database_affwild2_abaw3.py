"""Aff-Wild2 as handed out since ABAW3: other folders and lists, eight classes, several folders of crops and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_layouts import (
    AU_HEADER,
    EXPR_HEADER,
    VA_HEADER,
    affwild2_track,
    avi,
    images,
    lengths,
    read_table,
    units,
    write,
)
from native_layouts import read as read_any

from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.spaces import EXPRESSION, EXPRESSION_OR_OTHER
from abaw_ray.databases.schemas import is_published, task_labels
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split, all_spaces

EIGHT = f"{EXPR_HEADER},Other"
FOLDERS = {
    "EXPR_Recognition_Challenge": EIGHT,
    "VA_Estimation_Challenge": VA_HEADER,
    "AU_Detection_Challenge": AU_HEADER,
}
PLACE = "ABAW Annotations"


def table_of(root: Path, **options: object) -> LabelTable:
    return read_table("affwild2", root, edition="abaw3", **options)


def read(root: Path, **options: object) -> tuple[list[dict[str, Any]], Problems]:
    return read_any("affwild2", root, edition="abaw3", **options)


def labels(root: Path, challenge: str, track: str, lines: Sequence[object], split: str = "Train_Set") -> Path:
    """A label file; the folders of both splits of its challenge are made."""
    for name in ("Train_Set", "Validation_Set"):
        (root / challenge / name).mkdir(parents=True, exist_ok=True)
    header = FOLDERS.get(challenge, EIGHT)
    return write(root / challenge / split / f"{track}.txt", "\n".join([header, *map(str, lines)]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A track with labels of three tasks, and a face in the first two of its three frames."""
    labels(tmp_path / PLACE, "EXPR_Recognition_Challenge", "a", [7, -1, 0])
    labels(tmp_path / PLACE, "VA_Estimation_Challenge", "a", ["0.5,-1", "-5,-5", "-5,0"], "Validation_Set")
    labels(tmp_path / PLACE, "AU_Detection_Challenge", "a", [units(["AU4"]), units(), units(["AU1"], -1)])
    images(tmp_path / "cropped_aligned/a", "00001.jpg", "00002.jpg")
    return tmp_path


def test_labels_of_three_tasks_and_eight_classes(root: Path) -> None:
    table = table_of(root)
    first, second = table.rows.to_pylist()
    assert first["expression"] == [0] * 7 + [1]
    assert (first["expression_split"], first["valence_arousal_split"]) == (Split.TRAIN, Split.VALIDATION)
    assert first["valence_arousal"] == [0.5, -1]
    assert first["action_units"] == [0, 0, 1] + [0] * 9
    assert (second["expression_split"], second["action_units_split"]) == (Split.NONE, Split.TRAIN)
    (unseen,) = table.unseen.to_pylist()
    assert (unseen["frame"], unseen["expression"][0], unseen["valence_arousal_split"]) == (2, 1, Split.NONE)
    assert table.problems.counts == {
        "expression_unlabelled": 1,
        "valence_arousal_unlabelled": 2,
        "action_units_unlabelled": 1,
        "frame_without_image": 1,
        "video_in_train_and_validation_of_different_tasks": 2,
    }


def test_eight_classes_join_seven_by_name() -> None:
    (joined,) = all_spaces([[EXPRESSION_OR_OTHER], [EXPRESSION]])
    assert joined == EXPRESSION_OR_OTHER
    assert EXPRESSION.names == joined.names[:7]


@pytest.mark.parametrize("place", [".", "annotations", "6th_ABAW_Annotations", "Third ABAW Annotations"])
@pytest.mark.parametrize("challenge", ["EXPR_Recognition_Challenge", "EXPR_Classification_Challenge"])
def test_names_that_label_folders_come_by(tmp_path: Path, place: str, challenge: str) -> None:
    labels(tmp_path / place, challenge, "a", [3])
    images(tmp_path / "cropped_aligned/a", "00001.jpg")
    (row,), problems = read(tmp_path)
    assert row["expression"][3] == 1
    assert not problems.counts


def test_two_places_of_labels_are_refused(root: Path) -> None:
    labels(root / PLACE, "EXPR_Classification_Challenge", "a", [7])
    with pytest.raises(ConfigurationError, match=r"labels in both .*EXPR_Recognition.* and .*EXPR_Classification"):
        read(root)
    labels(root / "6th ABAW Annotations", "EXPR_Recognition_Challenge", "a", [7])
    with pytest.raises(ConfigurationError, match="choose with the option annotations"):
        read(root)
    assert read(root, annotations=root / "6th ABAW Annotations")[0][0]["expression"][7] == 1


@pytest.mark.parametrize(
    ("challenge", "text", "line"),
    [
        ("EXPR_Recognition_Challenge", f"{EXPR_HEADER}\n1\n", 1),
        ("EXPR_Recognition_Challenge", f"{EIGHT}\n1\nOther\n", 3),
        ("VA_Estimation_Challenge", "0,0\n0,0\n", 1),
        ("AU_Detection_Challenge", f"{AU_HEADER}\n{units()},0\n", 2),
    ],
)
def test_wrong_formats_name_file_and_line(root: Path, challenge: str, text: str, line: int) -> None:
    file = write(root / PLACE / challenge / "Train_Set/b.txt", text)
    with pytest.raises(DatabaseFormatError) as error:
        read(root)
    assert (error.value.file, error.value.line) == (str(file), line)


def test_a_class_beyond_the_eighth_is_out_of_range(root: Path) -> None:
    file = labels(root / PLACE, "EXPR_Recognition_Challenge", "b", [8, 7])
    images(root / "cropped_aligned/b", "00001.jpg", "00002.jpg")
    rows, problems = read(root)
    assert [r["frame"] for r in rows if r["video"] == "b"] == [1]
    assert problems.examples["label_out_of_range"] == [f"{file}:2: 8"]


def test_the_wrong_edition_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"none of EXPR_Set.*label sets of the edition abaw3"):
        read_any("affwild2", root)
    affwild2_track(tmp_path / "old", "a", expression=[1], frames=[1])
    with pytest.raises(MissingInputError, match=r"label sets of the edition abaw2.*EXPR_Recognition_Challenge"):
        read(tmp_path / "old")
    with pytest.raises(ConfigurationError, match="edition"):
        read_any("affwild2", root, edition="abaw9")


def test_what_is_at_the_place_of_a_part_and_is_none_is_named(root: Path) -> None:
    others = [
        write(root / PLACE / "Expression_test_set_release.txt", "b\n"),
        write(root / PLACE / "VA_Estimation_Challenge/readme.txt", "hello"),
        write(root / "cropped_aligned/list.txt", "a"),
        write(root / "cropped_aligned/a/face.jpg", "picture"),
        write(root / "notes.txt", ""),
    ]
    folders = [root / PLACE / "EXPR_Recognition_Challenge/Test_Set", root / PLACE / "MTL_Challenge", root / "faces"]
    for folder in folders:
        folder.mkdir()
    _, problems = read(root)
    assert problems.counts["unexpected_file"] == len(others)
    assert problems.counts["unexpected_folder"] == len(folders)
    named = problems.examples["unexpected_file"] + problems.examples["unexpected_folder"]
    assert set(named) <= {str(place) for place in (*others, *folders)}


def test_crops_lie_in_several_folders(root: Path) -> None:
    expected = {"a": "cropped_aligned/a"}
    for track, place in (
        ("b", "cropped_aligned_new_50_vids"),
        ("c", "cropped_aligned/cropped_aligned"),
        ("d", "batch2/cropped_aligned_new_50_vids"),
    ):
        labels(root / PLACE, "EXPR_Recognition_Challenge", track, [1])
        images(root / place / track, "00001.jpg")
        expected[track] = f"{place}/{track}"
    rows, problems = read(root)
    assert {r["video"]: r["image"].rpartition("/")[0] for r in rows} == expected
    assert not {reason for reason in problems.counts if reason.startswith(("unexpected", "track", "video_without"))}


def test_a_track_in_two_folders_of_crops_is_read_once_and_named(root: Path) -> None:
    images(root / "cropped_aligned_new_50_vids/a", "00001.jpg", "00002.jpg", "00003.jpg")
    rows, problems = read(root)
    assert [r["image"] for r in rows] == ["cropped_aligned/a/00001.jpg", "cropped_aligned/a/00002.jpg"]
    (where,) = problems.examples["track_in_two_folders"]
    assert where.startswith(f"{root}/cropped_aligned_new_50_vids/a: not read")


def test_the_folder_of_crops_can_be_chosen_and_hold_others(root: Path, tmp_path: Path) -> None:
    images(tmp_path / "elsewhere/cropped_aligned_more/a", "00001.jpg")
    rows, _ = read(root, cropped_aligned=tmp_path / "elsewhere")
    assert [Path(r["image"]).parts[-3:] for r in rows] == [("cropped_aligned_more", "a", "00001.jpg")]
    with pytest.raises(MissingInputError, match=r"nowhere.*expected layout.*new_50_vids"):
        read(root, cropped_aligned=tmp_path / "nowhere")


def test_pictures_of_any_kind_and_number_of_digits(root: Path) -> None:
    labels(root / PLACE, "EXPR_Recognition_Challenge", "b", range(8))
    images(root / "cropped_aligned/b", "1.png", "0002.JPG", "000003.bmp", "0000000004.jpeg", "00005.jpg")
    images(root / "cropped_aligned/b", "5.png", "0.jpg", "00006.gif", "123456789.jpg", "²2.jpg", "6 .jpg")
    rows, problems = read(root)
    assert [(r["frame"], r["image"].rpartition("/")[2]) for r in rows if r["video"] == "b"] == [
        (0, "1.png"),
        (1, "0002.JPG"),
        (2, "000003.bmp"),
        (3, "0000000004.jpeg"),
        (4, "00005.jpg"),
    ]
    assert problems.counts["unexpected_file"] == 5
    assert problems.examples["second_image_of_a_frame"] == [f"{root}/cropped_aligned/b/5.png: not read, 00005.jpg is"]


@pytest.mark.parametrize(
    "name",
    [
        "EXPR_test_set_release.txt",
        "expr_test_set_release.txt",
        "Expression_Recognition_Challenge_test_set_release.txt",
        "Expression_Classification_Challenge_test_set_release.txt",
    ],
)
@pytest.mark.parametrize("place", [".", PLACE, "names_of_videos_in_each_test_set", f"{PLACE}/testset"])
def test_names_and_places_of_test_lists(root: Path, name: str, place: str) -> None:
    write(root / place / name, "t\n")
    images(root / "cropped_aligned_new_50_vids/t", "00001.jpg", "00004.jpg")
    avi(root / "batch2/t.avi", 6)
    table = table_of(root)
    vectors, splits = task_labels(table.rows, "expression")
    of_test = np.array([row["video"] == "t" for row in table.rows.to_pylist()])
    assert splits[of_test].tolist() == [Split.TEST] * 2
    assert not is_published(vectors[of_test]).any()
    assert vectors.shape[1] == 8
    assert lengths(table) == {"a": 3, "t": 6}
    assert not {reason for reason in table.problems.counts if reason.startswith("unexpected")}


def test_lists_of_the_other_tasks_and_two_of_one(root: Path) -> None:
    write(root / PLACE / "Valence_Arousal_Estimation_Challenge_test_set_release.txt", "t\n")
    write(root / PLACE / "AU_test_set_release.txt", "t\n")
    images(root / "cropped_aligned/t", "00001.jpg")
    row = read(root)[0][-1]
    assert [row[f"{task}_split"] for task in ("expression", "valence_arousal", "action_units")] == [
        Split.NONE,
        Split.TEST,
        Split.TEST,
    ]
    write(root / "VA_test_set_release.txt", "t\n")
    with pytest.raises(ConfigurationError, match=r"test lists .* and .*VA_test_set_release"):
        read(root)


def test_a_test_list_of_images_names_no_track_with_labels(root: Path) -> None:
    file = write(root / PLACE / "EXPR_test_set_release.txt", "t\na\n")
    with pytest.raises(DatabaseFormatError, match="track a, which has labels") as error:
        read(root)
    assert (error.value.file, error.value.line) == (str(file), 2)


def test_videos_lie_in_several_folders(root: Path) -> None:
    write(root / PLACE / "EXPR_test_set_release.txt", "one\ntwo_left\nthree\n")
    for number, place in enumerate(("batch1/one.avi", "videos/batch2/two.mp4.avi", "new_vids/three.avi"), 1):
        avi(root / place, 2 + number)
    avi(root / "videos/batch2/two.avi", 4)
    table = table_of(root)
    assert lengths(table) == {"a": 3, "one": 3, "three": 5, "two_left": 4}
    assert table.problems.examples["video_without_track"] == [f"{root}/videos/batch2/two.mp4.avi"]
    assert not {reason for reason in table.problems.counts if reason.startswith("unexpected")}
    avi(root / "batch1/two.avi", 4)
    with pytest.raises(DatabaseFormatError, match="one video of track two_left"):
        read(root)


def test_faces_cut_out_of_videos_in_batches(root: Path) -> None:
    write(root / "boxes/a.csv", "frame,left,top,right,bottom\n0,1,2,30,31\n")
    avi(root / "batch2/a.avi", 3)
    rows, _ = read(root, boxes=root / "boxes")
    assert [(r["image"], r["geometry"]) for r in rows] == [("batch2/a.avi", [1, 2, 30, 31])]


def test_both_editions_have_a_name_for_one_store(root: Path) -> None:
    rows, _ = read_any("affwild2_abaw3", root)
    assert rows == read(root)[0]
    with pytest.raises(ConfigurationError, match="edition"):
        read_any("affwild2_abaw3", root, edition="abaw2")
