"""AffectNet as faces with npy files: files to rows, and every way in which they can be wrong."""

from __future__ import annotations

import io
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_layouts import affectnet, affectnet_line, images, read, read_table, write

from abaw_ray.databases.reading.npy import read_number
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

NAMES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Contempt")


def face(root: Path, number: int, expression: Any, valence: Any = 0.5, arousal: Any = -0.25, folder: str = "train_set"):
    """One face; returns the folder of its npy files."""
    images(root / folder / "images", f"{number}.jpg")
    annotations = root / folder / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    for part, value in (("exp", expression), ("val", valence), ("aro", arousal), ("lnd", np.zeros(136))):
        np.save(annotations / f"{number}_{part}.npy", np.asarray(value))
    return annotations


def classes(rows: list[dict[str, Any]]) -> list[str | None]:
    return [NAMES[int(np.argmax(r["expression"]))] if r["expression_split"] else None for r in rows]


@pytest.mark.parametrize("text", [True, False])
def test_numbers_and_texts_of_numbers_become_labels(tmp_path: Path, text: bool) -> None:
    for code in range(7):
        given = (code, code / 8 - 0.5, 0.125)
        face(tmp_path, code, *(map(str, given) if text else given))
    table = read_table("affectnet", tmp_path)
    rows = table.rows.to_pylist()
    assert classes(rows) == ["Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger"]
    assert [r["valence_arousal"] for r in rows] == [[code / 8 - 0.5, 0.125] for code in range(7)]
    assert rows[3]["video"] == rows[3]["image"] == "train_set/images/3.jpg"
    assert (table.crop, rows[0]["geometry"]) == ("whole", [])
    assert not table.problems.counts


def test_faces_of_contempt_keep_valence_and_arousal_unless_there_are_eight_classes(tmp_path: Path) -> None:
    face(tmp_path, 1, 1)
    face(tmp_path, 2, 7, 0.5, 0.75)
    face(tmp_path, 3, 7, -2, -2)
    rows, problems = read("affectnet", tmp_path, classes=7)
    assert classes(rows) == ["Happiness", None]
    assert rows[1]["valence_arousal"] == [0.5, 0.75]
    assert (rows[1]["expression"], rows[1]["expression_split"]) == ([0] * 7, Split.NONE)
    assert problems.counts == {"expression_unlabelled: Contempt": 1, "image_without_label": 1}
    rows, problems = read("affectnet", tmp_path, classes=8)
    assert classes(rows) == ["Happiness", "Contempt", "Contempt"]
    assert [r["valence_arousal_split"] for r in rows] == [Split.TRAIN, Split.TRAIN, Split.NONE]
    assert problems.counts == {"valence_arousal_unlabelled": 1}
    with pytest.raises(ConfigurationError, match="classes"):
        read("affectnet", tmp_path, classes=9)


def test_lists_have_contempt_with_eight_classes(tmp_path: Path) -> None:
    lines = [affectnet_line("a/1.jpg", 7), affectnet_line("a/2.jpg", 1), affectnet_line("a/3.jpg", 8)]
    affectnet(tmp_path, lines, [], ["a/1.jpg", "a/2.jpg", "a/3.jpg"])
    rows, problems = read("affectnet", tmp_path, classes=8)
    assert classes(rows) == ["Contempt", "Happiness"]
    assert problems.counts == {"class_outside_the_eight: None": 1}
    rows, problems = read("affectnet", tmp_path)
    assert classes(rows) == ["Happiness"]
    assert problems.counts == {"class_outside_the_seven: Contempt": 1, "class_outside_the_seven: None": 1}


def test_val_set_trains_as_the_list_does_or_is_held_out(tmp_path: Path) -> None:
    face(tmp_path, 1, 1)
    face(tmp_path, 1, 1, folder="val_set")
    rows, _ = read("affectnet", tmp_path)
    assert [(r["video"], r["expression_split"]) for r in rows] == [
        ("train_set/images/1.jpg", Split.TRAIN),
        ("val_set/images/1.jpg", Split.TRAIN),
    ]
    rows, _ = read("affectnet", tmp_path, use_validation_for_training=False)
    assert [r["expression_split"] for r in rows] == [Split.TRAIN, Split.VALIDATION]
    assert [r["valence_arousal_split"] for r in rows] == [Split.TRAIN, Split.VALIDATION]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    face(tmp_path, 1, 1)
    face(tmp_path, 2, 8)
    face(tmp_path, 3, -1)
    face(tmp_path, 4, 1, 1.5)
    annotations = face(tmp_path, 5, 1, -2, 0)
    for part in ("exp", "aro"):
        face(tmp_path, 6, 1)
        (annotations / f"6_{part}.npy").unlink()
    face(tmp_path, 7, 1)
    (tmp_path / "train_set" / "images" / "7.jpg").unlink()
    images(annotations, "list.txt", "8_age.npy", ".DS_Store")
    images(tmp_path / "train_set" / "images", "9.gif")
    images(tmp_path / "train_set", "notes.txt")
    images(tmp_path / "more", "x.jpg")
    rows, problems = read("affectnet", tmp_path)
    assert [r["image"] for r in rows] == ["train_set/images/1.jpg", "train_set/images/5.jpg"]
    assert [r["valence_arousal_split"] for r in rows] == [Split.TRAIN, Split.NONE]
    assert rows[1]["valence_arousal"] == [0, 0]
    assert problems.counts == {
        "label_out_of_range": 3,
        "valence_arousal_unlabelled": 1,
        "image_without_label": 1,
        "frame_without_image": 1,
        "unexpected_file": 4,
        "unexpected_folder": 1,
    }
    assert problems.examples["image_without_label"] == [f"{tmp_path}/train_set/images/6.jpg: no 6_aro.npy"]
    assert problems.examples["label_out_of_range"][0] == (
        f"{annotations / '2_*.npy'}: expression, valence, arousal [8.0, 0.5, -0.25]"
    )


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def npy(array: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **how)
    return stream.getvalue()


BAD = {
    "objects": npy(np.array([Evil()], object), allow_pickle=True),
    "a pickle": pickle.dumps(1),
    "empty": b"",
    "text": b"1",
    "magic alone": b"\x93NUMPY",
    "no header": b"\x93NUMPY\x01\x00",
    "header cut short": npy(1)[:40],
    "data cut short": npy(1)[:-1],
    "data after the end": npy(1) + b"\0",
    "version 9": npy(1).replace(b"NUMPY\x01", b"NUMPY\x09"),
    "header of code": npy(1).replace(b"(), ", b"f(),"),
    "two numbers": npy([1, 2]),
    "no number": npy(np.zeros(0)),
    "a word": npy("happy"),
    "no text": npy(""),
    "bytes that are no text": npy(np.array(b"\xff")),
    "a truth value": npy(True),
    "a complex number": npy(1j),
    "a date": npy(np.datetime64("2020-01-01")),
    "a record": npy(np.zeros((), [("a", "i4")])),
    "not a number": npy(np.nan),
    "beyond float32": npy(1e300),
    "a long text": npy("9" * 5000),
}


@pytest.mark.parametrize("part", ["exp", "val", "aro"])
@pytest.mark.parametrize("kind", list(BAD))
def test_a_file_of_anything_else_is_refused_by_name(
    tmp_path: Path, kind: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    face(tmp_path, 1, 1)
    file = write(face(tmp_path, 2, 1) / f"2_{part}.npy", BAD[kind])
    with pytest.raises(DatabaseFormatError) as error:
        read("affectnet", tmp_path)
    assert error.value.file == str(file)
    assert len(str(error.value)) < 500 + len(str(file))
    assert not (tmp_path / "executed").exists()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=6), st.integers(0, 136), st.integers(0, 6), st.sampled_from([0.5, "0.5"]))
def test_a_changed_file_is_read_or_refused(tmp_path: Path, change: bytes, at: int, length: int, number: Any) -> None:
    content = npy(number)
    file = write(tmp_path / "1_val.npy", content[:at] + change + content[at + length :])
    with suppress(DatabaseFormatError):
        assert abs(read_number(str(file), "a number")) < np.inf


def test_arrays_of_one_element_and_both_versions_of_the_format_are_read(tmp_path: Path) -> None:
    annotations = face(tmp_path, 1, [3], np.float32(0.25), np.array(b"0.5"))
    write(annotations / "1_exp.npy", npy(np.array([[3]], ">i2"), version=(2, 0)))
    rows, _ = read("affectnet", tmp_path)
    assert (classes(rows), rows[0]["valence_arousal"]) == (["Surprise"], [0.25, 0.5])


def test_a_class_between_two_others_is_refused(tmp_path: Path) -> None:
    annotations = face(tmp_path, 1, 1.5)
    with pytest.raises(DatabaseFormatError, match=r"found 1\.5, expected one class number") as error:
        read("affectnet", tmp_path)
    assert error.value.file == str(annotations / "1_exp.npy")


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    file = face(tmp_path, 1, 1) / "1_val.npy"
    file.unlink()
    file.mkdir()
    with pytest.raises(DatabaseFormatError, match=r"1_val\.npy"):
        read("affectnet", tmp_path)


@pytest.mark.parametrize("part", ["images", "annotations"])
def test_a_split_without_a_part_says_the_layout(tmp_path: Path, part: str) -> None:
    face(tmp_path, 1, 1)
    (tmp_path / "train_set" / part).rename(tmp_path / "elsewhere")
    with pytest.raises(MissingInputError, match="expected layout"):
        read("affectnet", tmp_path)
