"""Tables of labels that are wrong in some way, or have no YAML yet: what is said of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from native_layouts import images, read, read_table, write
from test_database_table import BOXES, MOOD, table, whole

from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError

ENERGY = "path: path\nspaces:\n  energy: {kind: regression, columns: energy, low: 0, high: 10}\n"
LOOKS = "path: path\nspaces:\n  looks: {kind: multilabel, columns: [hat]}\n"
FRAMES = MOOD.replace("spaces", "video: clip\nframe: n\nspaces")
LANDMARKS = MOOD.replace("spaces", "landmarks: points\nspaces")


@pytest.mark.parametrize(
    ("config", "lines", "line", "found"),
    [
        (MOOD, ["path", "a/1.jpg"], 1, "columns path, expected the column 'mood', which spaces.mood.columns names"),
        (MOOD, ["path,mood,path", "a/1.jpg,calm,x"], 1, "two columns 'path'"),
        (MOOD, ["path,mood", "a/1.jpg,calm", "a/2.jpg"], 3, "1 fields, expected 2 fields"),
        (MOOD, ["path,mood", "a/1.jpg,calm", "", "a/2.jpg,calm,1"], 4, "3 fields, expected 2 fields"),
        (MOOD, ["path,mood", ",calm"], 2, "an empty cell in column 'path'"),
        (MOOD, ["path,mood", "a/1.jpg,"], 2, "no text in column 'mood'"),
        (ENERGY, ["path,energy", "a/1.jpg,1", "a/2.jpg,high"], 3, "'high', expected a number in column 'energy'"),
        (ENERGY, ["path,energy", "a/1.jpg,1", "", "", "a/2.jpg,high"], 5, "'high'"),
        (MOOD, ["path,mood", *(f"a/1.jpg,{k}" for k in range(1001))], 1002, "one more class in column 'mood'"),
        (ENERGY, ["path,energy", '"a/1\n.jpg",1', "a/2.jpg,high"], 4, "'high'"),
        (ENERGY, ["path,energy", "a/1.jpg,nan"], 2, "nan in column 'energy', expected a finite number"),
        (ENERGY, ["path,energy", "a/1.jpg, ", "a/2.jpg,-inf"], 3, "-inf in column 'energy'"),
        (ENERGY, ["path,energy", "a/1.jpg,1e39"], 2, "1e+39 in column 'energy', expected a finite number"),
        (FRAMES, ["path,clip,n,mood", "a/1.jpg,v,1.5,calm"], 2, "'1.5' in column 'n', expected an integer from 0"),
        (FRAMES, ["path,clip,n,mood", "a/1.jpg,v,-1,calm"], 2, "'-1' in column 'n', expected an integer from 0"),
        (FRAMES, ["path,clip,n,mood", "a/1.jpg,v,,calm"], 2, "'' in column 'n', expected an integer from 0"),
        (FRAMES, ["path,clip,n,mood", "a/1.jpg,,1,calm"], 2, "an empty cell in column 'clip'"),
        (FRAMES.replace("video: clip\n", ""), ["path,n,mood", "a/1.jpg,1,calm"], 2, "the picture a/1.jpg"),
        (BOXES, ["path,left,top,right,bottom,mood", "a/1.jpg,1,2,,4,calm"], 2, "1 empty cells in column 'box'"),
        (LANDMARKS, ["path,points,mood", "a/1.jpg,1;2;3,calm"], 2, "3 numbers in column 'points', expected 136"),
        (MOOD.replace("spaces", "box: b\nspaces"), ["path,b,mood", "a/1.jpg,1 2 x 4,calm"], 2, "'x'"),
        (MOOD.replace("spaces", "split: s\nspaces"), ["path,s,mood", "a/1.jpg,third,calm"], 2, "'third' in column 's'"),
        (MOOD.replace("mood}", "mood, names: [calm, tense]}"), ["path,mood", "a/1.jpg,Calm"], 2, "'Calm' in column"),
        (
            MOOD.replace("mood}", "mood, names: {1: calm}}"),
            ["path,mood", "a/1.jpg,calm"],
            2,
            "expected one of 1 (spaces",
        ),
        (MOOD.replace("columns: mood", "columns: [x, y]"), ["path,x,y", "a/1.jpg,1,"], 2, "1 empty cells"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, config: str, lines: list[str], line: int, found: str) -> None:
    file = table(tmp_path, config, *lines)
    with pytest.raises(DatabaseFormatError, match=re.escape(found)) as error:
        read("table", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), line)


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "nothing"), (b"\n", "nothing"), (b"path,mood\n", "no row"), (b"path,mood\na/\xff.jpg,calm\n", "unreadable")],
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes, found: str) -> None:
    write(table(tmp_path, MOOD), content)
    with pytest.raises(DatabaseFormatError, match=found):
        read("table", tmp_path)


def test_a_quote_without_end_takes_no_rows_with_it(tmp_path: Path) -> None:
    table(tmp_path, MOOD, "path,mood", "a/1.jpg,calm", 'a/2.jpg,"calm', "a/3.jpg,calm")
    with pytest.raises(DatabaseFormatError, match="unreadable text") as error:
        read("table", tmp_path)
    assert error.value.line == 3
    table(tmp_path, MOOD, "path,mood,,", 'a/1.jpg,5" tall,,')
    rows, _ = read("table", tmp_path)
    assert len(rows) == 1, "within a cell it is only a mark"


@pytest.mark.parametrize("values", [["calm", 1.0], [["calm"], ["tense"]]])
def test_a_parquet_column_of_another_type(tmp_path: Path, values: list[Any]) -> None:
    write(tmp_path / "t.yaml", ENERGY if values[1] == 1.0 else MOOD)
    columns = (
        {"path": ["a", "b"], "energy": [{"x": 1}, None]} if values[1] == 1.0 else {"path": ["a", "b"], "mood": values}
    )
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DatabaseFormatError, match=r"in column '(energy|mood)', expected (numbers|text)"):
        read("table", tmp_path)
    write(tmp_path / "t.parquet", "PAR1 not")
    with pytest.raises(DatabaseFormatError, match="a Parquet file"):
        read("table", tmp_path)


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    write(tmp_path / "t.yaml", ENERGY)
    pq.write_table(pa.table({"path": ["a", "b"], "energy": [1.0, float("nan")]}), tmp_path / "t.parquet")
    with pytest.raises(DatabaseFormatError, match="nan in column 'energy'") as error:
        read("table", tmp_path)
    assert error.value.line == 2


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    lines = ["a/1.jpg,11,1", "a/2.jpg,3,1", "gone.jpg,3,1", "a/4.jpg,3,0", "a/5.jpg,,1"]
    config = ENERGY.replace("spaces:", "box: [l, t, r, b]\nspaces:")
    file = table(tmp_path, config, "path,energy,r,l,t,b", *(f"{line},0,0,9" for line in lines))
    images(tmp_path, "a/more.png", "a/notes.txt", "a/.hidden.png", "loose.jpg")
    rows, problems = read("table", tmp_path)
    assert [r["image"] for r in rows] == ["a/2.jpg"]
    assert problems.counts == {
        "label_out_of_range": 1,
        "frame_without_image": 1,
        "empty_box": 1,
        "row_without_label": 1,
        "image_without_label": 2,
        "unexpected_file": 1,
    }
    assert problems.examples["label_out_of_range"] == [f"{file}:2: energy of a/1.jpg"]
    assert problems.examples["image_without_label"] == ["a/more.png", "loose.jpg"]


def test_an_attribute_is_0_or_1(tmp_path: Path) -> None:
    table(tmp_path, LOOKS, "path,hat", "a/1.jpg,1", "a/2.jpg,0.5", "a/3.jpg,0")
    rows, problems = read("table", tmp_path)
    assert [r["looks"] for r in rows] == [[1], [0]]
    assert problems.counts == {"label_out_of_range": 1}


def test_a_clip_has_one_label(tmp_path: Path) -> None:
    config = "path: path\nvideo: clip\nspaces:\n  mood: {kind: multiclass, columns: mood, level: clip}\n"
    table(tmp_path, config, "path,clip,mood", "a/1.jpg,v,calm", "a/2.jpg,v,tense")
    with pytest.raises(DatabaseFormatError, match="another label or split of v in mood") as error:
        read("table", tmp_path)
    assert error.value.line in (2, 3)


def test_a_clip_is_in_one_split(tmp_path: Path) -> None:
    spaces = "spaces:\n  mood: {kind: multiclass, columns: mood, level: clip}\n"
    config = f"path: path\nvideo: clip\nsplit: s\n{spaces}"
    table(tmp_path, config, "path,clip,s,mood", "a/1.jpg,v,train,calm", "a/2.jpg,v,test,calm")
    with pytest.raises(DatabaseFormatError, match="another label or split of v in mood"):
        read("table", tmp_path)


def test_a_distribution_has_no_negative_part_and_a_sum(tmp_path: Path) -> None:
    config = MOOD.replace("columns: mood", "columns: [calm, tense]")
    table(tmp_path, config, "path,calm,tense", "a/1.jpg,-1,2", "a/2.jpg,0,0", "a/3.jpg,0,2", "a/4.jpg,,")
    rows, problems = read("table", tmp_path)
    assert [r["mood"] for r in rows] == [[0, 1]]
    assert problems.counts == {"label_out_of_range": 2, "row_without_label": 1}


def test_annotators_that_saw_other_boxes_of_a_frame_are_counted(tmp_path: Path) -> None:
    config = BOXES.replace("spaces", "annotator: who\nvideo: v\nframe: n\nspaces")
    header = "path,left,top,right,bottom,who,v,n,mood"
    table(tmp_path, config, header, "a/p.jpg,0,0,9,9,,v,0,calm", "a/p.jpg,0,0,8,9,Bob,v,0,tense")
    label_table = whole(tmp_path)
    assert label_table.rows["geometry"].to_pylist() == [[0, 0, 9, 9]]
    assert label_table.problems.counts == {"other_picture_of_a_frame": 1}


@pytest.mark.parametrize(
    "text",
    ["\ufeffpath,mood\r\na/ü.jpg,calm\r\n\r\n", "path , mood\n  a/ü.jpg,\tcalm ", '"path","mood"\n"a/ü.jpg","calm"\n'],
)
def test_marks_and_blanks_are_no_text(tmp_path: Path, text: str) -> None:
    write(table(tmp_path, MOOD), text)
    images(tmp_path, "a/ü.jpg")
    rows, problems = read("table", tmp_path)
    assert [(r["image"], r["mood"]) for r in rows] == [("a/ü.jpg", [1])]
    assert not problems.counts


def test_tabs_and_parquet_are_read_alike(tmp_path: Path) -> None:
    config = MOOD + "  level: {kind: multiclass, columns: level}\n" + ENERGY.split("spaces:\n")[1]
    write(tmp_path / "one/t.tsv", "path\tmood\tlevel\tenergy\na/1.jpg\tcalm, very\t\t+1.5\na/2.jpg\t\t123456789012\t\n")
    columns = {
        "path": ["a/1.jpg", "a/2.jpg"],
        "mood": ["calm, very", None],
        "level": [None, 123456789012.0],
        "energy": [1.5, None],
    }
    (tmp_path / "two").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "two/t.parquet")
    for folder in ("one", "two"):
        write(tmp_path / folder / "t.yaml", config)
        images(tmp_path / folder, "a/1.jpg", "a/2.jpg")
    one, two = (read_table("table", tmp_path / folder) for folder in ("one", "two"))
    assert one.spaces == two.spaces
    assert one.spaces[1].names == ("123456789012",), "not 1.23e+11"
    assert one.rows.equals(two.rows)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (MOOD + "colour: red\n", "colour: "),
        (MOOD.replace("kind", "sort"), "spaces.mood.kind: "),
        (MOOD.replace("multiclass", "classes"), "spaces.mood.kind: "),
        (MOOD.replace("mood:", "Mood:"), "Mood"),
        ("path: path\nspaces: {}\n", "spaces: "),
        (MOOD.replace("spaces", "box: [a, b]\nspaces"), "box: expected one column or four, found 2"),
        (MOOD.replace("spaces", "box: b\nlandmarks: c\nspaces"), "found both"),
        (ENERGY.replace("high: 10", "high: 0"), "low < high"),
        (ENERGY.replace("energy}", "[a, a]}").replace("columns: energy", "columns: [a, a]"), "different ones"),
        (LOOKS.replace("[hat]", "[hat], names: {hat: Hat}"), "found a mapping"),
        (LOOKS.replace("[hat]", "[hat], names: [a, b]"), "a name for each of 1 columns"),
        (MOOD.replace("mood:", "expression:").replace("multiclass", "regression"), "expected multiclass from -1 to 1"),
        ("path: p\nspaces:\n  valence_arousal: {kind: regression, columns: [A, V]}\n", "columns A, V"),
        (MOOD + "path: other\n", "found path twice"),
        ("a: [", "no YAML"),
        ("just text", "expected keys and values"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, config: str, key: str) -> None:
    table(tmp_path, config, "path,mood", "a/1.jpg,calm")
    with pytest.raises(ConfigurationError, match=re.escape(key)) as error:
        read("table", tmp_path)
    assert str(tmp_path / "faces.yaml") in str(error.value)


def test_options_that_do_not_fit_the_table(tmp_path: Path) -> None:
    table(tmp_path, MOOD.replace("spaces", "split: s\nspaces"), "path,s,mood", "a/1.jpg,train,calm")
    with pytest.raises(ConfigurationError, match="has a split column: leave out validation_fraction"):
        read("table", tmp_path, validation_fraction=0.1)
    table(tmp_path, MOOD, "path,mood", "a/1.jpg,calm")
    with pytest.raises(ConfigurationError, match="have no subject"):
        read("table", tmp_path, validation_fraction=0.1, by="subject")
    with pytest.raises(MissingInputError, match=r"other\.csv"):
        read("table", tmp_path, file="other.csv")
    write(tmp_path / "other.tsv", "x")
    with pytest.raises(ConfigurationError, match=r"faces\.csv, other\.tsv: choose one with the option file"):
        read("table", tmp_path)


def test_the_yaml_may_lie_elsewhere(tmp_path: Path) -> None:
    file = table(tmp_path, MOOD, "path,mood", "a/1.jpg,calm")
    file.with_suffix(".yaml").rename(tmp_path / "columns.txt")
    rows, _ = read("table", tmp_path, config="columns.txt")
    assert len(rows) == 1
