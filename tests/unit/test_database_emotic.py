"""EMOTIC: structures and tables of generated people in scenes to rows, and every way in which they can be wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from native_layouts import read
from scipy.io import savemat

from abaw_ray.databases.emotic import EMOTIONS, SPACES
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.literals import LONGEST
from abaw_ray.databases.schemas import source_columns
from abaw_ray.errors import DatabaseFormatError, MissingInputError
from abaw_ray.preprocess.images import cut_images
from abaw_ray.preprocess.plan import SAMPLE_COLUMNS
from abaw_ray.spaces import Split
from abaw_ray.streams.kind import CutSettings
from abaw_ray.synthetic.layouts.emotic import HEADER, _cell, _structs, generate_people
from abaw_ray.synthetic.people import SIZES

COUNTS = {"train": 6, "val": 4, "test": 3}
TYPES = {Split.TRAIN: "train", Split.VALIDATION: "val", Split.TEST: "test"}
VALUES = "valence_arousal_dominance"


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_people(tmp_path_factory.mktemp("structures"), 0, COUNTS)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_people(tmp_path_factory.mktemp("tables"), 0, COUNTS, form="tables")


def with_picture(root: Path, width: int = 60, height: int = 40, name: str = "a.jpg") -> Path:
    """A folder with one picture, whose columns and rows tell where they are."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 2] = np.linspace(0, 250, width).astype(np.uint8)
    picture[..., 1] = np.linspace(0, 250, height).astype(np.uint8)[:, None]
    (root / "emotic" / "ade20k").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / "emotic" / "ade20k" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    return root


def person(
    box: tuple[float, ...] = (10, 5, 30, 35), categories: tuple[str, ...] = ("Peace",), values: Any = (6.0, 4.0, 7.0)
) -> dict[str, Any]:
    names = ("valence", "arousal", "dominance")
    return {
        "body_bbox": np.array([box], np.float64),
        "annotations_categories": _structs([{"categories": _cell(categories)}]),
        "annotations_continuous": _structs([dict(zip(names, values, strict=True))]),
    }


def picture_of(*people: Mapping[str, Any], size: tuple[int, int] = (60, 40), name: str = "a.jpg") -> dict[str, Any]:
    sides = _structs([{"n_col": size[0], "n_row": size[1]}])
    return {"filename": name, "folder": "ade20k", "image_size": sides, "person": _structs(people)}


def write_mat(root: Path, **splits: list[dict[str, Any]]) -> Path:
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    savemat(root / "Annotations" / "Annotations.mat", {name: _structs(found) for name, found in splits.items()})
    return root


def write_table(root: Path, *rows: list[Any], header: tuple[str, ...] = HEADER, split: str = "train") -> Path:
    (root / "emotic_pre").mkdir(parents=True, exist_ok=True)
    with (root / "emotic_pre" / f"{split}.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return root


def row_of(**cells: Any) -> list[Any]:
    given = {
        "Index": 0,
        "Folder": "ade20k",
        "Filename": "a.jpg",
        "Image Size": [60, 40],
        "BBox": [10, 5, 30, 35],
        "Categorical_Labels": ["Peace"],
        "Continuous_Labels": [6.0, 4.0, 7.0],
        "Gender": "Male",
        "Age": "Adult",
    }
    return list((given | cells).values())


# What is read


def test_there_is_a_row_a_person_with_a_body_a_scene_and_no_face(structures: Path) -> None:
    rows, problems = read("emotic", structures)
    assert {row["image"] for row in rows} == {None}
    people = [(row["video"], row["frame"]) for row in rows]
    assert len(set(people)) == len(people)
    of_first = [row for row in rows if row["video"].endswith("train_00000.jpg")]
    assert len({tuple(row["body:geometry"]) for row in of_first}) == len(of_first) > 1, "each has a crop of its own"
    for row in rows:
        assert row["body:path"] == row["scene:path"] == row["video"]
        assert (structures / row["body:path"]).is_file()
        assert row["scene:geometry"] == []
        split = TYPES[Split(row["emotions_split"])]
        assert f"/{split}_" in row["video"]
        assert row[f"{VALUES}_split"] == row["emotions_split"]
        assert sum(row["emotions"]) == 4
        assert all(1 <= value <= 10 for value in row[VALUES])
    assert problems.counts == {
        "person_without_category": 1,
        "person_without_values": 1,
        "empty_box": 1,
        "box_outside_the_picture": 1,
        "box_cut_at_the_picture": 1,
    }
    assert "Annotations.mat: train(1).person(" in problems.examples["person_without_category"][0]


def test_tables_say_what_structures_say_of_all_annotators_together(structures: Path, tables: Path) -> None:
    of_structures, problems = read("emotic", structures, annotators=False)
    of_tables, of_tables_problems = read("emotic", tables)
    assert of_tables == of_structures
    assert of_tables_problems.counts == problems.counts
    assert "train.csv:" in of_tables_problems.examples["empty_box"][0]


def test_each_annotator_of_validation_and_test_is_kept(structures: Path) -> None:
    rows, _ = read("emotic", structures)
    annotators = [f"annotator_{number}" for number in (1, 2, 3)]
    for row in rows:
        splits = {row[f"{space.name}@{by}_split"] for space in SPACES for by in annotators}
        if row["emotions_split"] == Split.TRAIN:
            assert splits == {Split.NONE}
            continue
        assert splits == {row["emotions_split"]}
        each = np.array([row[f"emotions@{by}"] for by in annotators])
        np.testing.assert_array_equal(each.max(0), row["emotions"])
        assert (each.sum(1) < 4).any()
        np.testing.assert_allclose(np.mean([row[f"{VALUES}@{by}"] for by in annotators], 0), row[VALUES], atol=1e-5)


def test_what_a_file_does_not_combine_is_united_and_averaged(tmp_path: Path) -> None:
    several = person()
    names = ("valence", "arousal", "dominance")
    several["annotations_categories"] = _structs(
        [{"categories": _cell(c)} for c in (("Peace",), (), ("Anger", "Peace"))]
    )
    several["annotations_continuous"] = _structs(
        [dict(zip(names, values, strict=True)) for values in ((6, 4, 7), (8, 2, 7), (np.nan,) * 3)]
    )
    write_mat(with_picture(tmp_path), val=[picture_of(several)])
    (row,), problems = read("emotic", tmp_path)
    assert [name for name, there in zip(EMOTIONS.names, row["emotions"], strict=True) if there] == ["Anger", "Peace"]
    assert row[VALUES] == [7, 3, 7]
    assert "emotions@annotator_2" not in row, "an annotator who says nothing has no label"
    assert not problems.counts


@pytest.mark.parametrize("rows_first", [False, True])
def test_the_order_of_stored_sizes_is_told_by_pictures_that_are_not_square(tmp_path: Path, rows_first: bool) -> None:
    root = generate_people(tmp_path, 3, {"train": 2, "val": 1, "test": 1}, rows_first=rows_first)
    rows, problems = read("emotic", root)
    cut = next(row for row in rows if row["video"].endswith("train_00000.jpg") and row["frame"] == 0)
    width, height = SIZES[0]
    beyond = [row for row in rows if row["video"] == cut["video"]][-1]
    assert beyond["body:geometry"] == [width - 40, height - 40, width, height], "cut at the right edge"
    assert problems.counts["box_cut_at_the_picture"] == 1


def test_sizes_that_are_not_those_of_the_pictures_are_refused(tmp_path: Path) -> None:
    write_mat(with_picture(tmp_path / "other"), train=[picture_of(person(), size=(60, 50))])
    with pytest.raises(
        DatabaseFormatError, match=r"train\(1\).person\(1\): an image size of 60 and 50, expected .* 60 col"
    ):
        read("emotic", tmp_path / "other")
    with_picture(tmp_path / "two")
    with_picture(tmp_path / "two", name="b.jpg")
    write_mat(tmp_path / "two", train=[picture_of(person()), picture_of(person(), size=(40, 60), name="b.jpg")])
    with pytest.raises(
        DatabaseFormatError, match=r"train\(2\).person\(1\): an image size of 40 and 60, expected 60 columns"
    ):
        read("emotic", tmp_path / "two")


def test_a_field_may_be_nested_or_not(tmp_path: Path) -> None:
    """MATLAB's files hold one structure as an array of one, and one text as itself."""
    plain = {
        "filename": "a.jpg",
        "folder": "ade20k",
        "image_size": [60, 40],
        "person": {
            "body_bbox": [10, 5, 30, 35],
            "annotations_categories": {"categories": "Peace"},
            "annotations_continuous": [6.0, 4.0, 7.0],
        },
    }
    (tmp_path / "Annotations").mkdir()
    savemat(tmp_path / "Annotations" / "Annotations.mat", {"train": plain})
    nested = write_mat(with_picture(tmp_path / "nested"), train=[picture_of(person())])
    assert read("emotic", with_picture(tmp_path))[0] == read("emotic", nested)[0]


def test_bodies_and_scenes_are_whole_and_resized_whatever_their_sides(tmp_path: Path) -> None:
    write_mat(with_picture(tmp_path), train=[picture_of(person(box=(10, 5, 30, 35)))])
    _, _, table = read_database("emotic", tmp_path, {"body_size": 20, "scene_size": 16})
    picture = cv2.imread(str(tmp_path / "emotic" / "ade20k" / "a.jpg"))[..., ::-1]
    for stream, part in zip(table.streams, (picture[5:35, 10:30], picture), strict=True):
        path, geometry = source_columns(stream.name)
        rows = table.rows.select(["video", "frame", path, geometry]).rename_columns(SAMPLE_COLUMNS)
        made = cut_images(rows, tmp_path, stream, CutSettings(reduced_decoding=True))
        assert made.images is not None
        expected = cv2.resize(part, (stream.size, stream.size), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(made.images[0], expected)
        assert made.samples.type == pa.large_binary()


# What is wrong


COUNTED: dict[str, Callable[[], dict[str, Any]]] = {
    "empty_box": lambda: person(box=(30, 5, 10, 35)),
    "box_outside_the_picture": lambda: person(box=(61, 5, 80, 35)),
    "person_without_category": lambda: person(categories=()),
    "person_without_values": lambda: person(values=(6.0, np.nan, 7.0)),
    "label_out_of_range": lambda: person(values=(6.0, 0.0, 7.0)),
}


@pytest.mark.parametrize("reason", COUNTED)
def test_people_who_cannot_be_used_are_left_out_and_counted(tmp_path: Path, reason: str) -> None:
    write_mat(with_picture(tmp_path), train=[picture_of(COUNTED[reason](), person())])
    (row,), problems = read("emotic", tmp_path)
    assert row["frame"] == 1, "the others keep their places"
    assert problems.counts == {reason: 1}
    assert "train(1).person(1)" in problems.examples[reason][0]


def test_a_picture_that_is_not_there_is_counted_with_its_people(tmp_path: Path) -> None:
    write_mat(with_picture(tmp_path), train=[picture_of(person(), person(), name="b.jpg"), picture_of(person())])
    rows, problems = read("emotic", tmp_path)
    assert len(rows) == 1
    assert problems.counts == {"frame_without_image": 2}
    assert "no image emotic/ade20k/b.jpg" in problems.examples["frame_without_image"][0]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "box": (picture_of(person(box=(1, 2, 3))), r"train\(1\).person\(1\).body_bbox: .*expected 4 numbers"),
    "category": (
        picture_of(person(categories=("Joy",))),
        r"train\(1\).person\(1\): the category 'Joy', expected one of",
    ),
    "size": (picture_of(person()) | {"image_size": "wide"}, r"train\(1\).image_size: 'wide', expected 2 numbers"),
    "path": (picture_of(person(), name="../../a.jpg"), "'ade20k/../../a.jpg', expected a path below"),
    "no person": (
        {"filename": "a.jpg", "folder": "x", "image_size": [60, 40]},
        r"train\(1\) with .*expected a field person",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_structures_of_another_form_are_refused(tmp_path: Path, what: str) -> None:
    entry, message = WRONG[what]
    write_mat(with_picture(tmp_path), train=[entry])
    with pytest.raises(DatabaseFormatError, match=message):
        read("emotic", tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Annotations" / "Annotations.mat"
    file.parent.mkdir()
    for content in (b"not a file of MATLAB", b"", b"MATLAB 5.0 MAT-file" + bytes(200)):
        file.write_bytes(content)
        with pytest.raises(DatabaseFormatError, match=r"Annotations\.mat: found .*, expected a file of MATLAB"):
            read("emotic", tmp_path)
    savemat(file, {"other": [1, 2]})
    with pytest.raises(DatabaseFormatError, match="found none of its variables, expected train, val, test"):
        read("emotic", tmp_path)
    file.unlink()
    with pytest.raises(MissingInputError, match=r"no annotations in .*expected layout: Annotations/Annotations.mat"):
        read("emotic", tmp_path)


CELLS = {
    "a call": row_of(BBox="print(1)"),
    "an expression": row_of(BBox="[1, 2, 3, 2 ** 9]"),
    "three numbers": row_of(BBox=[1, 2, 3]),
    "texts for numbers": row_of(Continuous_Labels="['6', '4', '7']"),
    "numbers for texts": row_of(Categorical_Labels=[1, 2]),
    "no list": row_of(Categorical_Labels="Peace"),
    "deep": row_of(BBox="[" * 5000 + "]" * 5000),
    "long": row_of(BBox="[" + "1, " * LONGEST + "]"),
    "two values": row_of(Continuous_Labels=[6.0, 4.0]),
}


@pytest.mark.parametrize("what", CELLS)
def test_cells_that_are_no_literals_are_refused(tmp_path: Path, what: str) -> None:
    write_table(with_picture(tmp_path), row_of(), CELLS[what])
    with pytest.raises(DatabaseFormatError, match=r"train\.csv:3: found .*expected an image size of 2 numbers"):
        read("emotic", tmp_path)


def test_tables_with_other_columns_or_values_that_are_not_known(tmp_path: Path) -> None:
    write_table(
        with_picture(tmp_path), row_of(Continuous_Labels="[nan, 4.0, nan]"), row_of(Categorical_Labels=[]), row_of()
    )
    (row,), problems = read("emotic", tmp_path)
    assert (row["frame"], row[VALUES]) == (2, [6, 4, 7])
    assert problems.counts == {"person_without_category": 1, "person_without_values": 1}
    write_table(tmp_path, row_of()[:-1], header=HEADER[:-1])
    assert len(read("emotic", tmp_path)[0]) == 1, "age is not read"
    write_table(tmp_path, header=("Folder", "Filename"))
    with pytest.raises(
        DatabaseFormatError, match=r"train\.csv:1: found 'Folder,Filename', expected a header with Folder"
    ):
        read("emotic", tmp_path)


def test_tables_beside_structures_are_counted_and_not_read(tmp_path: Path) -> None:
    write_mat(with_picture(tmp_path), train=[picture_of(person())])
    write_table(tmp_path, row_of(), row_of())
    rows, problems = read("emotic", tmp_path)
    assert len(rows) == 1
    assert problems.counts == {"the_same_annotations_again": 1}


def test_pictures_may_lie_beside_the_annotations(tmp_path: Path) -> None:
    write_table(with_picture(tmp_path), row_of())
    (tmp_path / "emotic" / "ade20k").rename(tmp_path / "ade20k")
    (tmp_path / "emotic").rmdir()
    ((row,), _) = read("emotic", tmp_path)
    assert row["body:path"] == "ade20k/a.jpg"
