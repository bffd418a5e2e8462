"""Inputs that readers once ended on with a fault, a hang or a silent loss: read, or refused by file and line."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_layouts import afew_clip, affwild2_track, avi, expw, ferplus, images, read_table, write
from test_bad_text import table
from test_database_table_input import MOOD

from abaw_ray.blocks.labels import label_name
from abaw_ray.competition.track_files import read_test_list
from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.boxes import HEADER, read_boxes
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.npy import read_number
from abaw_ray.databases.reading.parsing import csv_rows, number_of, parse_integer, parse_numbers, read_lines
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError, quoted

# numbers


@pytest.mark.parametrize("text", ["1_0", "\u0661", "\uff11", "1e400", "-1e400", "nan", "inf", "0x1", "", "9" * 5000])
def test_what_other_programs_read_otherwise_is_no_number(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.txt"
    with pytest.raises(DatabaseFormatError, match=r"a\.txt:3: "):
        parse_numbers(file, ["0.5", text], 2, 1, "numbers")
    with pytest.raises(DatabaseFormatError, match=r"a\.txt:3: "):
        parse_integer(text, file, 3, "numbers")


@given(st.floats(-1e38, 1e38), st.sampled_from(["{!r}", "{:.3e}", " {:f}\t", "+{:g}", "{:.60f}"]))
def test_a_number_is_read_however_it_is_written(number: float, pattern: str) -> None:
    text = pattern.format(number).replace("+-", "-")
    assert number_of(text) == float(text)


def test_a_table_refuses_them_by_its_line(tmp_path: Path) -> None:
    content = "path,l,t,r,b,who,n,mood,energy\na.jpg,0,1,20.5,30,Ann,0,calm,%s\n"
    for text in ("1_0", "\u0661", "1e400"):
        table(tmp_path, content % text)
        with pytest.raises(DatabaseFormatError, match=r"t\.csv:2: "):
            read_database("table", tmp_path, {})


# lines


@given(st.lists(st.text("ab ,", max_size=4), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_line_ends_and_a_mark_change_no_line(tmp_path: Path, lines: list[str], end: str, has_mark: bool) -> None:
    file = write(tmp_path / "a.txt", ("\ufeff" if has_mark else "") + end.join(lines))
    while lines and not lines[-1].strip():
        lines.pop()
    assert read_lines(file) == lines


def test_bytes_that_are_no_text_are_named_by_their_line(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFormatError, match=r"a\.txt:3: found a byte that is not text"):
        read_lines(write(tmp_path / "a.txt", b"one\ntwo\nthr\xffe\n"))


def test_a_quote_without_an_end_takes_no_rows_with_it(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'a,1\nb,"2\nc,3\n')
    with pytest.raises(DatabaseFormatError, match=r"a\.csv:\d+: found unreadable text"):
        list(csv_rows(file, 2, "2 fields"))


def test_a_carriage_return_ends_a_line_of_a_table(tmp_path: Path) -> None:
    images(tmp_path, "a/1.jpg")
    write(tmp_path / "faces.yaml", MOOD.replace("mood}", "mood, names: [calm]}"))
    file = write(tmp_path / "faces.csv", "path,mood\ra/1.jpg,calm\ra/1.jpg,tense\r")
    with pytest.raises(DatabaseFormatError, match="'tense'") as error:
        read_database("table", tmp_path, {})
    assert (error.value.file, error.value.line) == (str(file), 3)


def test_a_header_of_any_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "emotic_pre" / "train.csv", "x" * 200_000 + ",y\n")
    with pytest.raises(DatabaseFormatError, match=r"train\.csv:1: ") as error:
        read_database("emotic", tmp_path, {})
    assert len(str(error.value)) < 1000


def test_a_picture_has_a_finite_size(tmp_path: Path) -> None:
    header = "Folder,Filename,Image Size,BBox,Categorical_Labels,Continuous_Labels\n"
    images(tmp_path, "emotic/a/b.jpg")
    write(
        tmp_path / "emotic_pre" / "train.csv",
        f"""{header}a,b.jpg,"[nan, 5]","[0, 0, 4, 4]","['Peace']","[5, 5, 5]"\n""",
    )
    with pytest.raises(DatabaseFormatError, match=r"train\.csv:2: found an image size of '\[nan, 5\]'"):
        read_database("emotic", tmp_path, {})


# duplicates


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    file = afew_clip(tmp_path, "01/001", {"00000": (1, 2)}, ["00000"])
    content = file.read_text()
    write(file, content.replace('"valence": 1', '"valence": 9, "valence": 1'))
    with pytest.raises(DatabaseFormatError, match=r"001\.json: .*the key 'valence' twice"):
        read_database("afew_va", tmp_path, {})


def test_two_names_of_one_frame_are_refused(tmp_path: Path) -> None:
    file = afew_clip(tmp_path, "01/001", {"00001": (1, 2), "1": (3, 4)}, ["00001"])
    with pytest.raises(DatabaseFormatError, match="frames 00001 and 1, expected each frame once") as error:
        read_database("afew_va", tmp_path, {})
    assert error.value.file == str(file)


# names and places


def test_a_frame_beyond_any_video_is_refused(tmp_path: Path) -> None:
    for number in ("3000000000", "1e30", "-1"):
        with pytest.raises(DatabaseFormatError, match=r"a\.csv:2: "):
            read_boxes(write(tmp_path / "a.csv", f"{HEADER}\n{number},1,2,3,4\n"))


@pytest.mark.parametrize("name", ["../../out", "a/b", "a\x00b"])
def test_a_track_is_called_as_a_file_can_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatabaseFormatError, match=r"list\.txt:2: .*expected the name of a track"):
        read_test_list(write(tmp_path / "list.txt", f"one\n{name}\n"))


def test_spaces_are_not_called_as_columns_are(tmp_path: Path) -> None:
    table(tmp_path, "path,l,t,r,b,who,n,mood,energy\n")
    for name in ("video", "frame", "image", "geometry", "subject_name"):
        write(tmp_path / "t.yaml", f"path: path\nspaces:\n  {name}: {{kind: multiclass, columns: mood}}\n")
        with pytest.raises(ConfigurationError, match=rf"t\.yaml.*\n.*spaces\.{name}: expected another name"):
            read_database("table", tmp_path, {})
    two = "path: path\nspaces:\n  a: {kind: multiclass, columns: mood}\n  a_split: {kind: multiclass, columns: who}\n"
    write(tmp_path / "t.yaml", two)
    with pytest.raises(ConfigurationError, match=r"spaces\.a_split: expected another name"):
        read_database("table", tmp_path, {})


def test_names_of_any_length_are_those_of_different_files() -> None:
    long = ["表情" * 60, "表情" * 60 + "a", "x" * 1000]
    names = [label_name("mood", name, unseen=False) for name in long]
    assert len(set(names)) == 3
    assert all(len(name) <= 255 for name in names)
    assert label_name("mood", "Ann B", unseen=False) == "mood@Ann%20B.arrow", "short ones stay as they were"


@pytest.mark.parametrize("layout", ["expw", "ferplus", "folder", "affwild2", "table"])
def test_links_to_themselves_are_counted(tmp_path: Path, layout: str) -> None:
    if layout == "expw":
        expw(tmp_path, ["a.jpg 0 1 2 30 40 50 1", "b.jpg 0 1 2 30 40 50 1"], ["a.jpg"])
        place, reason = tmp_path / "image" / "b.jpg", "frame_without_image"
    elif layout == "ferplus":
        votes = "10,0,0,0,0,0,0,0,0,0"
        ferplus(tmp_path, "FER2013Train", {"a.png": votes, "b.png": votes}, {"a.png": b"x"})
        place, reason = tmp_path / "FER2013Train" / "b.png", "frame_without_image"
    elif layout == "folder":
        images(tmp_path / "Anger", "a.jpg")
        place, reason = tmp_path / "Anger" / "notes", "unexpected_file"
    elif layout == "affwild2":
        affwild2_track(tmp_path, "a", expression=[1], frames=[1])
        place, reason = tmp_path / "EXPR_Set" / "Train_Set" / "b.txt", "unexpected_file"
    else:
        images(tmp_path, "a/1.jpg")
        write(tmp_path / "faces.yaml", MOOD)
        write(tmp_path / "faces.csv", "path,mood\na/1.jpg,calm\n")
        place, reason = tmp_path / "a" / "loop.csv", "unexpected_file"
    place.symlink_to(place)
    table_of = read_database(layout, tmp_path, {})[2]
    assert table_of.rows.num_rows == 1
    assert table_of.problems.counts[reason] == 1


def test_a_folder_that_links_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "image").symlink_to(tmp_path / "image")
    write(tmp_path / "label.lst", "a.jpg 0 1 2 30 40 50 1\n")
    with pytest.raises((MissingInputError, DatabaseFormatError), match="image"):
        read_database("expw", tmp_path, {})


def test_what_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expw(tmp_path, ["a.jpg 0 1 2 30 40 50 1"], ["a.jpg"])

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DatabaseFormatError, match=r"label\.lst: found Permission denied"):
        read_database("expw", tmp_path, {})


# binary files


def test_numbers_that_are_no_letters(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array("3"))
    file = write(tmp_path / "0_exp.npy", buffer.getvalue()[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(DatabaseFormatError, match=r"0_exp\.npy: "):
        read_number(str(file), "a class")


def parquet(root: Path, columns: dict[str, pa.Array], config: str = MOOD) -> Path:
    write(root / "t.yaml", config)
    images(root, "a.jpg")
    pq.write_table(pa.table(columns), root / "t.parquet")
    return root / "t.parquet"


def test_texts_of_parquet_that_are_no_text(tmp_path: Path) -> None:
    data = pa.array([b"calm", b"te\xffnse"], pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 2, data.buffers())
    parquet(tmp_path, {"path": pa.array(["a.jpg", "a.jpg"]), "mood": bad})
    with pytest.raises(DatabaseFormatError, match=r"t\.parquet: .*UTF8"):
        read_database("table", tmp_path, {})


ANY = [
    pa.array([b"\xff", b"x"], pa.binary()),
    pa.array([[1], [2]], pa.list_(pa.int32())),
    pa.array([{"a": 1}, None]),
    pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
    pa.array([2**62, None], pa.timestamp("us")),
    pa.array([1, 2], pa.timestamp("ns")),
    pa.array([1, 2], pa.duration("s")),
    pa.array([1, 2], pa.time32("s")),
    pa.array([1.5, float("nan")], pa.float64()),
    pa.array([1.5, 2], pa.float16()),
    pa.array([True, None]),
    pa.array([None, None], pa.null()),
    pa.array(["1", "2"]).dictionary_encode(),
    pa.array([2**63, 1], pa.uint64()),
    pa.array([10**30, 1], pa.decimal128(38, 2)),
]
ROLES = ("path", "who", "part", "clip", "n", "box", "mood", "energy")
CONFIG = """path: path
box: box
subject: who
split: part
video: clip
frame: n
spaces:
  mood: {kind: multiclass, columns: mood}
  energy: {kind: regression, columns: [energy], high: 10}
"""


def refusal(name: str, root: Path) -> str:
    """Why a database is refused; its root, where it is read."""
    try:
        read_database(name, root, {})
    except (DatabaseFormatError, MissingInputError) as error:
        return str(error)
    return str(root)


@pytest.mark.parametrize("kind", ANY, ids=lambda array: str(array.type))
@pytest.mark.parametrize("role", ROLES)
def test_a_column_of_any_type_is_read_or_refused_by_name(tmp_path: Path, role: str, kind: pa.Array) -> None:
    columns = {
        "path": ["a.jpg", "a.jpg"],
        "who": ["A", "B"],
        "part": ["train", "val"],
        "clip": ["v", "v"],
        "n": [0, 1],
        "box": [[0.0, 0.0, 1.0, 1.0]] * 2,
        "mood": ["x", "y"],
        "energy": [0.5, 1],
    }
    parquet(tmp_path, {name: pa.array(values) for name, values in columns.items()} | {role: kind}, CONFIG)
    assert str(tmp_path) in refusal("table", tmp_path)


@pytest.mark.parametrize("kind", ANY, ids=lambda array: str(array.type))
@pytest.mark.parametrize("role", ["clip_id", "part", "path_face_frames", "label", "subject_id"])
def test_a_manifest_of_any_types(tmp_path: Path, role: str, kind: pa.Array) -> None:
    names = ("part", "path_body", "path_audio", "subject_id", "language")
    columns = {name: pa.array(["", ""]) for name in names}
    columns |= {"clip_id": pa.array(["a", "b"]), "label": pa.array(["happy", "sad"])}
    columns["path_face_frames"] = pa.array(["faces/a", "faces/b"])
    images(tmp_path, "faces/a/1.jpg", "faces/b/1.jpg")
    pq.write_table(pa.table(columns | {role: kind}), tmp_path / "manifest.parquet")
    assert str(tmp_path) in refusal("heu", tmp_path)


# YAML

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HUGE = f"0x{'f' * 5000}"


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "tasks: &a {x: *a}\n",
        "seed: &a [*a]\n",
        f"seed: {HUGE}\n",
        f"prepare: {{image_size: -{HUGE}}}\n",
        "? [a]\n: b\n",
        "seed: !!binary x\n",
        "seed: 2001-99-99\n",
        "seed: 1.0e+400\n",
        "seed: !!python/object:os.system x\n",
        "train: " + "[" * 1500,
        "\x00",
        "a: b\n---\nc: d\n",
    ],
)
def test_a_recipe_that_is_a_trap_is_refused_by_file(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "recipe.yaml", text)
    with pytest.raises(ConfigurationError, match=r"recipe\.yaml") as error:
        load_recipe(str(file))
    assert len(str(error.value)) < 8000


def test_aliases_that_stand_for_little_are_read(tmp_path: Path) -> None:
    text = "train: &t {epochs: 3}\nprepare: {databases: {}}\n"
    assert load_recipe(str(write(tmp_path / "recipe.yaml", text.split("prepare")[0]))).train.epochs == 3


def test_a_number_of_thousands_of_digits_is_quoted() -> None:
    assert quoted(1 << 100_000) == "a number of 100001 bits"
    assert quoted([1 << 100_000]) == "list"


@pytest.mark.parametrize("pattern", ["(?P<subject>a{1,99999999999999})", "(" * 5000 + "(?P<subject>a)" + ")" * 5000])
def test_a_pattern_that_cannot_be_compiled(tmp_path: Path, pattern: str) -> None:
    images(tmp_path / "Anger", "a.jpg")
    with pytest.raises(ConfigurationError, match="subject_pattern"):
        read_database("folder", tmp_path, {"subject_pattern": pattern})


# whole files


def test_a_conflict_of_labels_of_one_frame_is_counted(tmp_path: Path) -> None:
    header = "image,valence,arousal,expression,aus\n"
    line = f"a/00001.jpg,0.5,0.5,%d{',0' * 12}\n"
    images(tmp_path / "cropped_aligned", "a/00001.jpg")
    write(tmp_path / "validation_set_annotations.txt", header)
    write(tmp_path / "training_set_annotations.txt", header + line % 1 + line % 2 + line % 1)
    found = read_table("affwild2_mtl", tmp_path)
    assert found.problems.counts["line_again"] == found.problems.counts["line_again_with_other_labels"] == 1


def test_boxes_of_a_test_track_are_as_many_as_frames_can_be(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", valence_arousal=["0.5,0.5"])
    avi(tmp_path / "videos" / "a.avi", 3)
    file = write(tmp_path / "boxes" / "a.csv", f"{HEADER}\n0,1,2,3,4\n2147483647,1,2,3,4\n")
    with pytest.raises(DatabaseFormatError, match=r"a\.csv:3: "):
        read_database("affwild2", tmp_path, {"boxes": str(file.parent)})


def test_a_pipe_is_no_label_file(tmp_path: Path) -> None:
    images(tmp_path / "image", "a.jpg")
    os.mkfifo(tmp_path / "label.lst")
    with pytest.raises(MissingInputError, match=r"label\.lst"):
        read_database("expw", tmp_path, {})


def test_json_beyond_any_measure(tmp_path: Path) -> None:
    file = afew_clip(tmp_path, "01/001", {"00000": (1, 2)}, ["00000"])
    whole = json.loads(file.read_text())
    for value in (float("nan"), float("inf"), 10**400, "1", [1], True, None):
        whole["frames"]["00000"]["valence"] = value
        write(file, json.dumps(whole))
        with pytest.raises((DatabaseFormatError, MissingInputError), match=r"001\.json"):
            read_database("afew_va", tmp_path, {})
