"""Native files with text that no database has: refused by file, in a short message; none ends in a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.boxes import HEADER, read_boxes
from abaw_ray.databases.reading.database import read_database
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError, quoted

LONGEST = 700
"""Characters of a message: what was expected is said in full."""


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def clip(**changes: object) -> str:
    record = {"landmarks": [[1, 2]] * 68, "valence": 1, "arousal": 1}
    return json.dumps({"frames": {"00000": record | changes}})


def afew_va(root: Path, content: str | bytes) -> Path:
    return write(root / "01" / "001" / "001.json", content)


def ferplus(root: Path, content: str | bytes) -> Path:
    write(root / "FER2013Train" / "a.png", b"")
    return write(root / "FER2013Train" / "label.csv", content)


def expw(root: Path, content: str | bytes) -> Path:
    write(root / "image" / "a.jpg", b"")
    return write(root / "label.lst", content)


def rafdb(root: Path, content: str | bytes) -> Path:
    write(root / "Image" / "aligned" / "train_1_aligned.jpg", b"")
    return write(root / "EmoLabel" / "list_patition_label.txt", content)


def fer2013(root: Path, content: str | bytes) -> Path:
    return write(root / "fer2013.csv", content)


def affectnet(root: Path, content: str | bytes) -> Path:
    write(root / "Manually_Annotated_Images" / "1" / "a.jpg", b"")
    lists = root / "Manually_Annotated_file_lists"
    write(lists / "validation.csv", "")
    return write(lists / "training.csv", content)


def affwild2(root: Path, content: str | bytes) -> Path:
    write(root / "cropped_aligned" / "a" / "00001.jpg", b"")
    (root / "VA_Set" / "Validation_Set").mkdir(parents=True, exist_ok=True)
    return write(root / "VA_Set" / "Train_Set" / "a.txt", content)


def list_of_tests(root: Path, content: str | bytes) -> Path:
    affwild2(root, "valence,arousal\n0.5,0.5\n")
    return write(root / "expr_test_file.txt", content)


def affwild2_abaw3(root: Path, content: str | bytes) -> Path:
    write(root / "cropped_aligned" / "a" / "1.png", b"")
    (root / "VA_Estimation_Challenge" / "Validation_Set").mkdir(parents=True, exist_ok=True)
    return write(root / "VA_Estimation_Challenge" / "Train_Set" / "a.txt", content)


MTL_HEADER = "image,valence,arousal,expression,aus\n"


def affwild2_mtl(root: Path, content: str | bytes) -> Path:
    write(root / "cropped_aligned" / "a" / "00001.jpg", b"")
    write(root / "validation_set_annotations.txt", MTL_HEADER)
    return write(root / "training_set_annotations.txt", content)


TABLE = "path,l,t,r,b,who,n,mood,energy\na.jpg,0,1,20.5,30,Ann,0,calm,0.5\na.jpg,5,1,20,30,,1,tense,\n"
COLUMNS = (
    "path: path\nbox: [l, t, r, b]\nsubject: who\nvideo: path\nframe: n\nspaces:\n"
    "  mood: {kind: multiclass, columns: mood}\n  energy: {kind: regression, columns: [energy], high: 1}\n"
)


def table(root: Path, content: str | bytes) -> Path:
    write(root / "a.jpg", b"")
    write(root / "t.yaml", COLUMNS)
    return write(root / "t.csv", content)


def table_columns(root: Path, content: str | bytes) -> Path:
    table(root, TABLE)
    return write(root / "t.yaml", content)


WRITERS = {
    "afew_va": afew_va,
    "ferplus": ferplus,
    "expw": expw,
    "rafdb": rafdb,
    "fer2013": fer2013,
    "affectnet": affectnet,
    "affwild2": affwild2,
    "affwild2 test list": list_of_tests,
    "affwild2_abaw3": affwild2_abaw3,
    "affwild2_mtl": affwild2_mtl,
    "table": table,
    "table columns": table_columns,
}
VOTES = 'a.png,"(0, 0, 48, 48)",'
FACE = f"1/a.jpg,1,2,3,4,{';'.join(['1;2'] * 68)},%s,0.5,0.5\n"
PICTURE = f"emotion,pixels,Usage\n3,{' '.join(['255', *['1'] * 2303])},Training\n"
MANY = "9" * 400

BAD = {
    "deep json": ("afew_va", "[" * 100_000),
    "a number of 5000 digits": ("afew_va", clip().replace('"valence": 1', f'"valence": {"9" * 5000}')),
    "a landmark of 400 digits": ("afew_va", clip().replace("[1, 2]", f"[{MANY}, 2]", 1)),
    "infinite as float32": ("afew_va", clip(landmarks=[[1e300, 2]] * 68)),
    "a long text": ("afew_va", clip(valence="x" * 10_000)),
    "no text": ("afew_va", b"\xff"),
    "votes of 400 digits": ("ferplus", VOTES + ",".join([MANY] * 10)),
    "a long box": ("ferplus", f'a.png,"{"x" * 10_000}",' + ",".join("1" * 10)),
    "an infinite box": ("expw", "a.jpg 0 1e300 2 3 4 50 1"),
    "a class of 400 digits": ("expw", f"a.jpg 0 1 2 3 4 50 {MANY}"),
    "a rafdb class of 400 digits": ("rafdb", f"train_1.jpg {MANY}"),
    "a pixel of 400 digits": ("fer2013", PICTURE.replace("255", MANY)),
    "an affectnet class of 400 digits": ("affectnet", FACE % MANY),
    "an infinite landmark": ("affectnet", FACE.replace("1;2", "1e300;2", 1) % 1),
    "a box of 400 digits": ("table", TABLE.replace("20.5", MANY)),
    "a frame beyond integers": ("table", TABLE.replace("Ann,0", "Ann,3e9")),
    "a number of 5000 letters": ("table", TABLE.replace("0.5\n", f"{'x' * 5000}\n")),
    "a table that is no text": ("table", TABLE.encode().replace(b"calm", b"\xff")),
    "a unit of 400 digits": ("affwild2_mtl", f"{MTL_HEADER}a/00001.jpg,0,0,0{',0' * 11},{MANY}"),
    "a picture of 400 digits": ("affwild2_mtl", f"{MTL_HEADER}a/{MANY}.jpg,0,0,0{',0' * 12}"),
    "a valence of 5000 digits": ("affwild2", f"valence,arousal\n{'9' * 5000},0\n"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_numbers_and_texts_beyond_any_measure_are_refused_by_file(tmp_path: Path, kind: str) -> None:
    name, content = BAD[kind]
    file = WRITERS[name](tmp_path, content)
    with pytest.raises(DatabaseFormatError, match=file.name) as error:
        read_database(name.split()[0], tmp_path, {})
    assert len(str(error.value)) < LONGEST


def test_boxes_beyond_any_measure_are_refused_by_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f"{HEADER}\n0,1,2,1e300,4\n")
    with pytest.raises(DatabaseFormatError, match=r"a\.csv:2: found '1e300'"):
        read_boxes(file)


@pytest.mark.parametrize("name", ["x" * 6000, "/".join(["x" * 100] * 40)])
def test_long_names_are_shown_by_their_beginning(tmp_path: Path, name: str) -> None:
    expw(tmp_path, f"{name} 0 1 2 30 40 50 1")
    with pytest.raises(MissingInputError, match=r"label\.lst:1: no image image/x") as error:
        read_database("expw", tmp_path, {})
    assert len(str(error.value)) < 2 * LONGEST
    with pytest.raises(ConfigurationError, match="cannot be used") as unknown:
        load_recipe(None, [f"{name}=1"])
    assert len(str(unknown.value)) < LONGEST


def test_long_text_is_quoted_by_its_beginning() -> None:
    assert quoted("short") == "'short'"
    assert quoted("x" * 6_000_000) == "'" + "x" * 80 + "..."


VALID = {
    "afew_va": clip(),
    "ferplus": VOTES + ",".join("1" * 10) + "\n",
    "expw": "a.jpg 0 1 2 30 40 50 1\n",
    "rafdb": "train_1.jpg 1\n",
    "fer2013": PICTURE,
    "affectnet": FACE % 1,
    "affwild2": "valence,arousal\n0.5,-0.25\n",
    "affwild2 test list": "b\nc_left\n",
    "affwild2_abaw3": "valence,arousal\n0.5,-0.25\n",
    "affwild2_mtl": f"{MTL_HEADER}a/00001.jpg,0,0,0{',0' * 12}\n",
    "table": TABLE,
    "table columns": COLUMNS,
}
ODD = (b"1e999", b"-", b"\x00", b'"', b"99" * 99, b"\xef\xbb\xbf", b"\r\n")


@pytest.mark.parametrize("name", list(VALID))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_file_is_read_or_refused_in_a_short_message(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(VALID[name].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 8, len(content))))
        content[start:stop] = data.draw(st.binary(max_size=8) | st.sampled_from(ODD))
    WRITERS[name](tmp_path, bytes(content))
    message = ""
    try:
        read_database(name.split()[0], tmp_path, {})
    except (ConfigurationError, DatabaseFormatError, MissingInputError) as error:
        message = str(error)
    assert len(message) < LONGEST + 3 * len(str(tmp_path))
