"""Tables of labels: columns to rows, for photos, videos, clips and annotators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from native_layouts import avi, images, lengths, read, read_table, write

from abaw_ray.databases.base import LabelTable, SetMember
from abaw_ray.databases.reading.database import read_database
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import Split

MOOD = "path: path\nspaces:\n  mood: {kind: multiclass, columns: mood}\n"
BOXES = "path: path\nbox: [left, top, right, bottom]\nspaces:\n  mood: {kind: multiclass, columns: mood}\n"


def table(root: Path, config: str, *lines: str, name: str = "faces.csv") -> Path:
    """A table with these lines, its YAML, and a picture for every path below `a/` in it."""
    write((root / name).with_suffix(".yaml"), config)
    images(root, *{line.split(",")[0].strip() for line in lines if line.startswith("a/")})
    return write(root / name, "".join(f"{line}\n" for line in lines))


def labels_of(rows: list[dict[str, Any]], space: str) -> list[list[float]]:
    return [[round(v, 6) for v in row[space]] for row in rows]


def whole(root: Path, **options: object) -> LabelTable:
    """As `read_table`, of tables whose rows have labels of clips alone, or of named annotators alone."""
    return read_database("table", root, options)[2]


def test_photos_with_a_class_a_number_and_attributes(tmp_path: Path) -> None:
    config = (
        MOOD
        + "  energy: {kind: regression, columns: e, low: 0, high: 10}\n"
        + "  looks: {kind: multilabel, columns: [hat, beard]}\n"
    )
    table(
        tmp_path, config, "path,mood,e,hat,beard,more", "a/2.jpg,tense,2.5,1,0,x", "a/1.jpg,calm,,,1,", "a/3.jpg,,10,,,"
    )
    rows, problems = read("table", tmp_path)
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [
        (p, 0, p) for p in ("a/1.jpg", "a/2.jpg", "a/3.jpg")
    ]
    assert labels_of(rows, "mood") == [[1, 0], [0, 1], [0, 0]]  # classes are those that occur, sorted
    assert [r["mood_split"] for r in rows] == [Split.TRAIN, Split.TRAIN, Split.NONE]
    assert labels_of(rows, "energy") == [[0], [2.5], [10]]
    assert [r["energy_split"] for r in rows] == [Split.NONE, Split.TRAIN, Split.TRAIN]
    assert np.isnan(rows[0]["looks"][0])
    assert rows[0]["looks"][1] == 1, "an attribute is known beside an unknown one"
    assert rows[1]["looks"] == [1, 0]
    assert rows[2]["looks_split"] == Split.NONE
    assert not problems.counts


def test_several_faces_of_a_photo_are_numbered_in_the_tables_order(tmp_path: Path) -> None:
    lines = ["a/p.jpg,30,1,40,9,calm", "a/q.jpg,0,1,20,9,calm", "a/p.jpg,0,1,20,9,tense", "a/p.jpg,30,1,40,9,tense"]
    lines += ["a/q.jpg,30,1,40,9,calm"]
    table(tmp_path, BOXES, "path,left,top,right,bottom,mood", *lines)
    label_table = read_table("table", tmp_path)
    rows = label_table.rows.to_pylist()
    assert [(r["video"], r["frame"], r["geometry"]) for r in rows] == [
        ("a/p.jpg", 0, [30, 1, 40, 9]),
        ("a/p.jpg", 1, [0, 1, 20, 9]),
        ("a/q.jpg", 0, [0, 1, 20, 9]),
        ("a/q.jpg", 1, [30, 1, 40, 9]),
    ]
    assert label_table.problems.examples == {"duplicate_row": [f"{tmp_path}/faces.csv:5: a/p.jpg"]}
    assert (label_table.crop, label_table.sequential) == ("box", False)


@pytest.mark.parametrize("box", ['"(1, 2, 30, 40)"', "1 2 30 40", '"[1.0,2;30 40]"', " 1  2 3e1 40 "])
def test_a_box_in_one_column(tmp_path: Path, box: str) -> None:
    config = MOOD.replace("spaces", "box: box\nspaces")
    table(tmp_path, config, "path,box,mood", f"a/p.jpg,{box},calm", "a/q.jpg,,calm")
    rows, problems = read("table", tmp_path)
    assert [r["geometry"] for r in rows] == [[1, 2, 30, 40]]
    assert problems.counts == {"row_without_box": 1}


def test_landmarks_in_136_columns_or_one(tmp_path: Path) -> None:
    numbers = [k / 2 for k in range(136)]
    columns = [f"l{k}" for k in range(136)]
    config = MOOD.replace("spaces", f"landmarks: [{', '.join(columns)}]\nlandmark_crop: eye_aligned\nspaces")
    table(tmp_path / "one", config, f"path,mood,{','.join(columns)}", f"a/p.jpg,calm,{','.join(map(str, numbers))}")
    text = ";".join(map(str, numbers))
    config = MOOD.replace("spaces", "landmarks: points\nspaces")
    table(tmp_path / "two", config, "path,mood,points", f"a/p.jpg,calm,{text}")
    points = [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    pq.write_table(pa.table({"path": ["a/p.jpg"], "mood": ["calm"], "points": [points]}), tmp_path / "two/t.parquet")
    write(tmp_path / "two/t.yaml", config)
    for folder, options, crop in (("one", {}, "eye_aligned"), ("two", {"file": "faces.csv"}, "landmark_square")):
        label_table = read_table("table", tmp_path / folder, **options)
        assert label_table.rows["geometry"].to_pylist() == [numbers]
        assert label_table.crop == crop
    assert read_table("table", tmp_path / "two", file="t.parquet").rows["geometry"].to_pylist() == [numbers]


def test_a_common_space_has_the_common_classes_and_set(tmp_path: Path) -> None:
    config = (
        "path: path\nspaces:\n  expression: {kind: multiclass, columns: emotion}\n"
        "  valence_arousal: {kind: regression, columns: [A, V], names: [arousal, valence]}\n"
        "  mood: {kind: multiclass, columns: [good, bad]}\n"
    )
    table(tmp_path, config, "path,emotion,V,A,good,bad", "a/p.jpg,Fear,0.5,-1,3,1")
    label_table = read_table("table", tmp_path)
    expression, valence_arousal, mood = label_table.spaces
    assert expression.names == ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
    row = label_table.rows.to_pylist()[0]
    assert row["expression"] == expression.one_hot(3)
    assert dict(zip(valence_arousal.names, row["valence_arousal"], strict=True)) == {"valence": 0.5, "arousal": -1}
    assert dict(zip(mood.names, row["mood"], strict=True)) == {"good": 0.75, "bad": 0.25}, "votes are a distribution"
    assert label_table.sets == (
        SetMember("mixed_expr", ("expression",)),
        SetMember("mixed_va", ("valence_arousal",)),
        SetMember("mood", ("mood",)),
    )


def test_cells_may_hold_other_texts_than_the_classes_names(tmp_path: Path) -> None:
    names = "{3: Fear, glad: Happiness, 1: Fear}"
    config = f"path: path\nspaces:\n  expression: {{kind: multiclass, columns: e, names: {names}}}\n"
    table(tmp_path, config, "path,e", "a/1.jpg,3", "a/2.jpg,glad", "a/3.jpg,1")
    label_table = read_table("table", tmp_path)
    assert label_table.spaces[0].names == ("Fear", "Happiness")
    assert label_table.rows["expression"].to_pylist() == [[1, 0], [0, 1], [1, 0]]


def test_frames_of_a_video(tmp_path: Path) -> None:
    config = MOOD.replace("spaces", "video: clip\nframe: n\nsubject: who\nspaces")
    lines = ["a/v/2.jpg,v,2,Ann,calm", "a/v/0.jpg,v,0,Ann,tense", "gone/7.jpg,v,7,,calm", "a/u/1.jpg,u,1,,"]
    table(tmp_path, config, "path,clip,n,who,mood", *lines)
    label_table = read_table("table", tmp_path)
    rows = label_table.rows.to_pylist()
    assert [(r["video"], r["frame"], r["image"], r["subject_name"]) for r in rows] == [
        ("v", 0, "a/v/0.jpg", "Ann"),
        ("v", 2, "a/v/2.jpg", "Ann"),
    ]
    assert [(r["video"], r["frame"], r["mood"]) for r in label_table.unseen.to_pylist()] == [("v", 7, [1, 0])]
    assert lengths(label_table) == {"v": 8}
    assert label_table.problems.counts == {"frame_without_image": 1, "row_without_label": 1}


def test_frames_without_numbers_are_in_the_tables_order(tmp_path: Path) -> None:
    config = MOOD.replace("spaces", "video: clip\nspaces")
    table(tmp_path, config, "path,clip,mood", "a/z.jpg,v,calm", "a/b.jpg,u,calm", "a/c.jpg,v,tense")
    rows, _ = read("table", tmp_path)
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [
        ("u", 0, "a/b.jpg"),
        ("v", 0, "a/z.jpg"),
        ("v", 1, "a/c.jpg"),
    ]


def test_a_path_of_a_video(tmp_path: Path) -> None:
    avi(tmp_path / "clips/long.avi", 5)
    avi(tmp_path / "clips/short.avi", 2)
    table(tmp_path, MOOD.replace("spaces", "frame: n\nspaces"), "path,n,mood", "clips/long.avi,3,calm")
    rows, _ = read("table", tmp_path)
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [("clips/long.avi", 3, "clips/long.avi")]
    table(tmp_path, MOOD, "path,mood", "clips/short.avi,calm", "clips/gone.avi,calm", "clips/long.avi,tense")
    rows, problems = read("table", tmp_path)
    assert [(r["video"], r["frame"]) for r in rows] == [
        *(("clips/long.avi", k) for k in range(5)),
        *(("clips/short.avi", k) for k in range(2)),
    ], "a row is the whole video"
    assert labels_of(rows, "mood") == [[0, 1]] * 5 + [[1, 0]] * 2
    assert problems.counts == {"frame_without_image": 1}


def test_labels_of_clips(tmp_path: Path) -> None:
    avi(tmp_path / "one.avi", 2)
    config = "path: path\nspaces:\n  mood: {kind: multiclass, columns: mood, level: clip}\n"
    table(tmp_path, config, "path,mood", "one.avi,calm")
    label_table = whole(tmp_path)
    assert [(r["video"], r["frame"]) for r in label_table.rows.to_pylist()] == [("one.avi", 0), ("one.avi", 1)]
    assert label_table.clips.to_pylist() == [{"video": "one.avi", "mood": [1], "mood_split": Split.TRAIN}]


def test_labels_of_photos_without_a_picture_are_left_out(tmp_path: Path) -> None:
    config = "path: path\nspaces:\n  mood: {kind: multiclass, columns: mood, level: clip}\n"
    table(tmp_path, config, "path,mood", "a/1.jpg,calm", "gone.jpg,calm")
    label_table = whole(tmp_path)
    assert not label_table.sequential
    assert label_table.rows["video"].to_pylist() == label_table.clips["video"].to_pylist() == ["a/1.jpg"]


def test_a_clips_label_may_be_in_some_of_its_rows_only(tmp_path: Path) -> None:
    config = (
        "path: path\nvideo: clip\nspaces:\n  mood: {kind: multiclass, columns: mood, level: clip}\n"
        "  energy: {kind: regression, columns: energy}\n"
    )
    lines = ["a/1.jpg,v,,", "a/2.jpg,v,calm,", "a/3.jpg,v,calm,0.5", "a/4.jpg,u,,0.25", "a/5.jpg,t,,"]
    table(tmp_path, config, "path,clip,mood,energy", *lines)
    label_table = whole(tmp_path)
    assert [(r["image"], r["energy_split"]) for r in label_table.rows.to_pylist()] == [
        ("a/4.jpg", Split.TRAIN),
        ("a/1.jpg", Split.NONE),
        ("a/2.jpg", Split.NONE),
        ("a/3.jpg", Split.TRAIN),
    ]
    assert [c["video"] for c in label_table.clips.to_pylist()] == ["v"]
    assert label_table.problems.counts == {"row_without_label": 1}


def test_annotators_labels_are_beside_those_of_nobody(tmp_path: Path) -> None:
    config = BOXES.replace("spaces", "annotator: who\nspaces")
    lines = [
        "a/p.jpg,0,0,9,9,Ann,calm",
        "a/p.jpg,0,0,9,9,Bob,tense",
        "a/p.jpg,0,0,9,9,,calm",
        "a/q.jpg,0,0,9,9,Ann,tense",
    ]
    table(tmp_path, config, "path,left,top,right,bottom,who,mood", *lines, "a/q.jpg,0,0,9,9,Ann,calm")
    label_table = whole(tmp_path)
    rows = label_table.rows.to_pylist()
    assert [(r["image"], r["frame"]) for r in rows] == [("a/p.jpg", 0), ("a/q.jpg", 0)]
    assert [(r["mood"], r["mood_split"]) for r in rows] == [([1, 0], Split.TRAIN), ([0, 0], Split.NONE)]
    assert [r["mood@Ann"] for r in rows] == [[1, 0], [0, 1]]
    assert [(r["mood@Bob"], r["mood@Bob_split"]) for r in rows] == [([0, 1], Split.TRAIN), ([0, 0], Split.NONE)]
    assert label_table.problems.counts == {"duplicate_row": 1}, "Ann's second label of a face"


def test_splits_of_a_column(tmp_path: Path) -> None:
    config = MOOD.replace("spaces", "split: part\nsubject: who\nspaces")
    parts = ["train", "Training", "val", "valid", "validation", "dev", "TEST", ""]
    lines = [f"a/{k}.jpg,{part},{'Ann' if k < 3 else f'p{k}'},calm" for k, part in enumerate(parts)]
    table(tmp_path, config, "path,part,who,mood", *lines)
    rows, problems = read("table", tmp_path)
    assert [r["mood_split"] for r in rows] == [1, 1, 2, 2, 2, 2, 3]
    assert problems.counts == {"row_without_split": 1, "subject_in_several_splits": 1}
    assert problems.examples["subject_in_several_splits"] == ["Ann"]


@pytest.mark.parametrize(("by", "whole_key"), [("subject", "subject_name"), ("video", "video"), ("path", "image")])
def test_drawn_splits_do_not_divide(tmp_path: Path, by: str, whole_key: str) -> None:
    config = MOOD.replace("spaces", "video: clip\nsubject: who\nspaces")
    lines = [f"a/{k}.jpg,v{k % 60},s{k % 20},calm" for k in range(240)]
    table(tmp_path, config, "path,clip,who,mood", *lines)
    rows, _ = read("table", tmp_path, validation_fraction=0.4, by=by)
    splits: dict[str, set[int]] = {}
    for row in rows:
        splits.setdefault(row[whole_key], set()).add(row["mood_split"])
    assert all(len(found) == 1 for found in splits.values())
    assert {Split.TRAIN, Split.VALIDATION} == set().union(*splits.values())
    other, _ = read("table", tmp_path, validation_fraction=0.4, by=by, split_seed=1)
    assert [r["mood_split"] for r in rows] != [r["mood_split"] for r in other]


def test_a_row_without_a_subject_goes_by_its_video(tmp_path: Path) -> None:
    config = MOOD.replace("spaces", "subject: who\nspaces")
    table(tmp_path, config, "path,who,mood", *(f"a/{k}.jpg,{'Ann' if k < 9 else ''},calm" for k in range(60)))
    rows, _ = read("table", tmp_path, validation_fraction=0.5, by="subject")
    assert len({r["mood_split"] for r in rows if r["subject_name"] == "Ann"}) == 1
    assert {r["mood_split"] for r in rows if r["subject_name"] is None} == {Split.TRAIN, Split.VALIDATION}


def test_the_plan_takes_what_the_table_says(tmp_path: Path) -> None:
    config = MOOD.replace("spaces", "video: clip\nspaces")
    table(tmp_path, config, "path,clip,mood", "a/1.jpg,v,calm")
    database, options, label_table = read_database("table", tmp_path, {})
    source = Source(database, tmp_path, options, label_table)
    assert source.sequential
    assert source.sets == (SetMember("mood", ("mood",)),)
