"""AffectNet: native lists to rows, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_layouts import AFFECTNET_HEADER, affectnet, affectnet_line, class_of, landmarks, read

from abaw_ray.errors import DatabaseFormatError
from abaw_ray.spaces import Split


@pytest.mark.parametrize("header", [True, False])
def test_affectnet_maps_classes_with_and_without_header(tmp_path: Path, header: bool) -> None:
    photos = [f"7/{k}.jpg" for k in range(8)]
    lines = [affectnet_line(p, k) for k, p in enumerate(photos[:7])]
    first = [AFFECTNET_HEADER] if header else []
    affectnet(tmp_path, first + lines, [*first, affectnet_line(photos[7], 1, -1, 1)], photos)
    rows, problems = read("affectnet", tmp_path)
    expected = ["Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Happiness"]
    assert [class_of(r) for r in rows] == expected
    assert rows[0]["video"] == "7/0.jpg"
    assert (tmp_path / rows[0]["image"]).is_file()
    assert rows[0]["valence_arousal"] == [0.5, -0.25]
    assert rows[7]["valence_arousal"] == [-1, 1]
    assert rows[0]["geometry"] == [value for point in landmarks(100.5) for value in point]
    assert {(r["expression_split"], r["valence_arousal_split"]) for r in rows} == {(Split.TRAIN, Split.TRAIN)}
    assert not problems.counts


def test_affectnet_validation_list_can_be_held_out(tmp_path: Path) -> None:
    affectnet(tmp_path, [affectnet_line("a/1.jpg", 1)], [affectnet_line("a/2.jpg", 1)], ["a/1.jpg", "a/2.jpg"])
    rows, _ = read("affectnet", tmp_path, use_validation_for_training=False)
    assert [r["expression_split"] for r in rows] == [Split.TRAIN, Split.VALIDATION]
    assert [r["valence_arousal_split"] for r in rows] == [Split.TRAIN, Split.VALIDATION]


def test_affectnet_images_can_lie_directly_under_the_root(tmp_path: Path) -> None:
    affectnet(tmp_path, [affectnet_line("a/1.jpg", 1)], [], ["a/1.jpg"])
    packed = tmp_path / "Manually_Annotated_compressed"
    (packed / "Manually_Annotated_Images").rename(tmp_path / "Manually_Annotated_Images")
    packed.rmdir()
    rows, _ = read("affectnet", tmp_path)
    assert rows[0]["image"] == "Manually_Annotated_Images/a/1.jpg"


def test_affectnet_counts_what_it_leaves_out(tmp_path: Path) -> None:
    training = [
        AFFECTNET_HEADER,
        affectnet_line("a/1.jpg", 1),
        affectnet_line("a/2.jpg", 7),
        "a/3.jpg,NULL,NULL,NULL,NULL,NULL,10,-2,-2",
        affectnet_line("a/4.jpg", 3, -2, -2),
        affectnet_line("a/5.jpg", 11),
        affectnet_line("a/6.jpg", 3, 0.5, 1.01),
        affectnet_line("a/7.jpg", 3),
    ]
    photos = [f"a/{k}.jpg" for k in (1, 2, 3, 4, 5, 6, 8)]
    file = affectnet(tmp_path, training, [affectnet_line("a/1.jpg", 2)], photos)
    rows, problems = read("affectnet", tmp_path)
    assert [r["video"] for r in rows] == ["a/1.jpg", "a/4.jpg"]
    assert class_of(rows[0]) == "Happiness"  # the earlier line wins
    assert (rows[1]["expression_split"], rows[1]["valence_arousal_split"]) == (Split.TRAIN, Split.NONE)
    assert problems.counts == {
        "class_outside_the_seven: Contempt": 1,
        "class_outside_the_seven: Non-Face": 1,
        "valence_arousal_unlabelled": 1,
        "label_out_of_range": 2,
        "frame_without_image": 1,
        "duplicate_path": 1,
        "image_without_label": 1,
    }
    assert problems.examples["label_out_of_range"][0] == f"{file}:6: expression 11"
    assert problems.examples["image_without_label"][0].endswith("a/8.jpg")


def broken_landmarks(old: str, new: str) -> str:
    return affectnet_line("a/2.jpg", 1).replace(old, new)


@pytest.mark.parametrize(
    "line",
    [
        "a/2.jpg,1,2,3",
        "",
        affectnet_line("a/2.jpg", "happy"),
        affectnet_line("a/2.jpg", 1, "x"),
        affectnet_line("a/2.jpg", 1, "nan"),
        broken_landmarks(";102.5;", ";"),
        broken_landmarks(";102.5;", ";x;"),
        broken_landmarks(";102.5;", ";inf;"),
        AFFECTNET_HEADER,
    ],
)
def test_affectnet_wrong_format_names_the_line(tmp_path: Path, line: str) -> None:
    lines = [affectnet_line("a/1.jpg", 1), line, affectnet_line("a/3.jpg", 1)]
    file = affectnet(tmp_path, lines, [], ["a/1.jpg", "a/2.jpg", "a/3.jpg"])
    with pytest.raises(DatabaseFormatError) as error:
        read("affectnet", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 2)


def test_affectnet_header_with_other_columns_is_refused(tmp_path: Path) -> None:
    header = AFFECTNET_HEADER.replace("valence,arousal", "arousal,valence")
    affectnet(tmp_path, [header, affectnet_line("a/1.jpg", 1)], [], ["a/1.jpg"])
    with pytest.raises(DatabaseFormatError, match="header"):
        read("affectnet", tmp_path)
