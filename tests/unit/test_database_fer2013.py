"""FER2013: its csv file to rows and pictures, FER+'s votes beside it, and every way in which they can be wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from faces import cut_faces
from native_layouts import class_of, images, read, read_table, write

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.pixel_table import read_pictures
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.preprocess.plan import Source, plan_database
from abaw_ray.spaces import Split

HEADER = "emotion,pixels,Usage"
VOTES_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def pixels(grey: int) -> str:
    """A picture that is `grey` but for its first row."""
    return " ".join(map(str, [*range(48), *[grey] * (48 * 47)]))


def line(emotion: object, grey: int, usage: str = "Training") -> str:
    return f"{emotion},{pixels(grey)},{usage}"


def fer2013(root: Path, lines: Sequence[str], header: str = HEADER, end: str = "\n") -> Path:
    return write(root / "fer2013.csv", "".join(f"{text}{end}" for text in [header, *lines]))


def ferplus(root: Path, lines: Sequence[str], header: str = VOTES_HEADER) -> Path:
    return write(root / "fer2013new.csv", "".join(f"{text}\r\n" for text in [header, *lines]))


def voted(root: Path) -> Path:
    """Four pictures with votes; returns the file of these."""
    fer2013(root, [line(k, k, "PublicTest" if k == 3 else "Training") for k in range(4)])
    votes = ["Training,fer0000000.png,1,0,0,0,0,6,3,0,0,0", "Training,fer0000001.png,0,4,4,0,0,0,0,2,0,0"]
    votes += ["Training,,0,0,0,0,0,0,0,0,0,10", "PublicTest,fer0000002.png,0,9,0,0,0,0,0,1,0,0"]
    return ferplus(root, votes)


def test_native_classes_and_usages(tmp_path: Path) -> None:
    usages = ["Training"] * 5 + ["PublicTest", "PrivateTest"]
    fer2013(tmp_path, [line(k, k, usage) for k, usage in enumerate(usages)])
    rows, problems = read("fer2013", tmp_path)
    assert [class_of(r) for r in rows] == ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"]
    assert [r["expression_split"] for r in rows] == [Split.TRAIN] * 5 + [Split.VALIDATION, Split.TEST]
    assert [(r["video"], r["frame"], r["image"]) for r in rows[:2]] == [
        ("fer2013.csv/00000", 0, "fer2013.csv"),
        ("fer2013.csv/00001", 1, "fer2013.csv"),
    ]
    assert not problems.counts


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quotes", [False, True])
def test_spellings_of_the_same_table(tmp_path: Path, end: str, quotes: bool) -> None:
    text = f'"3","{pixels(7)}","Training"' if quotes else line(3, 7)
    file = fer2013(tmp_path, [text, line(4, 9), "", ""], header=f"\ufeff{HEADER.upper()}", end=end)
    assert [class_of(r) for r in read("fer2013", tmp_path)[0]] == ["Happiness", "Sadness"]
    assert [(number, picture[47, 47].tolist()) for number, picture in read_pictures(file, [0, 1])] == [
        (0, [7, 7, 7]),
        (1, [9, 9, 9]),
    ]


def test_pictures_of_the_table_become_faces(tmp_path: Path) -> None:
    file = fer2013(tmp_path, [line(9 if k == 1 else 3, 10 * k) for k in range(5)])
    database, options, table = read_database("fer2013", tmp_path, {})
    plan = plan_database(Source(database, tmp_path, options, table), PrepareConfig(block_rows=2))
    assert [(block.start, block.stop) for block in plan.face.blocks] == [(0, 2), (2, 4)]
    rows = plan.rows.combine_chunks()
    made = cut_faces(rows, tmp_path, "whole", 48)
    assert made.reasons == [""] * 4
    faces = made.samples.flatten().to_numpy().reshape(-1, 48, 48, 3)
    assert faces[:, 1:].min((1, 2, 3)).tolist() == faces[:, 1:].max((1, 2, 3)).tolist() == [0, 20, 30, 40]
    assert (faces[:, 0] == np.arange(48)[None, :, None]).all(), "rows first"

    fer2013(tmp_path, [line(3, 5), line(3, 5), "3,1 2 3,Training", line(3, 6)])  # the file changes after it was read
    made = cut_faces(rows, tmp_path, "whole", 48)
    assert made.reasons == ["", "unreadable_frame", "", "unreadable_frame"]
    assert made.places[1] == "fer2013.csv: frame 2"
    file.unlink()
    made = cut_faces(rows, tmp_path, "whole", 48)
    assert made.reasons == ["missing_image"] * 4


def test_a_table_that_changes_is_read_anew(tmp_path: Path) -> None:
    file = fer2013(tmp_path, [line(3, 100), line(3, 101)])
    assert [picture[1, 0, 0] for _, picture in read_pictures(file, [1])] == [101]
    fer2013(tmp_path, [line(3, 1), line(3, 2)])
    os.utime(file, ns=(0, 0))
    assert [picture[1, 0, 0] for _, picture in read_pictures(file, [1])] == [2]
    assert list(read_pictures(file, [2, 10])) == []


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    lines = [line(0, 1), line(7, 2), line(-1, 3), line(1, 4), line(2, 4, "PrivateTest"), line(3, 1)]
    file = fer2013(tmp_path, lines)
    images(tmp_path, "fer2013new.csv", "icml_face_data.csv")
    images(tmp_path / "train", "a.jpg")
    rows, problems = read("fer2013", tmp_path)
    assert [r["frame"] for r in rows] == [0, 3, 4, 5]
    assert problems.counts == {
        "label_out_of_range": 2,
        "unexpected_file": 1,
        "unexpected_folder": 1,
    }
    assert problems.examples["label_out_of_range"] == [f"{file}:3: emotion 7", f"{file}:4: emotion -1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        pixels(1),
        f"3,{pixels(1)}",
        f"3,{pixels(1)},Training,",
        f"3,{pixels(1)},Test",
        f"3,{pixels(1)},",
        f"happy,{pixels(1)},Training",
        f"1.0,{pixels(1)},Training",
        f"{'9' * 400},{pixels(1)},Training",
        "3,,Training",
        f"3,{pixels(1)} 1,Training",
        f"3,{pixels(1)[:-2]},Training",
        f"3,{pixels(256)},Training",
        f"3,{pixels(1)[:-1]}-1,Training",
        f"3,{pixels(1)[:-1]}1.5,Training",
        f"3,{pixels(1)[:-1]}1_1,Training",
        f"3,{pixels(1)[:-1]}{'9' * 10_000},Training",
        f"3,{pixels(1)[:-1]}\N{ARABIC-INDIC DIGIT ONE},Training",
        "3," + pixels(1).replace(" ", "\t") + ",Training",
        f"3,{pixels(1)}\r3,Training",
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str) -> None:
    file = fer2013(tmp_path, [line(3, 1), text, line(3, 2)])
    with pytest.raises(DatabaseFormatError) as error:
        read("fer2013", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 3)
    assert len(str(error.value)) < 300 + len(str(file))


@pytest.mark.parametrize("header", ["emotion,Usage,pixels", "emotion,pixels", line(3, 1), ""])
def test_a_table_with_another_header_is_refused(tmp_path: Path, header: str) -> None:
    file = fer2013(tmp_path, [line(3, 1)], header)
    with pytest.raises(DatabaseFormatError, match="the header emotion,pixels,Usage") as error:
        read("fer2013", tmp_path)
    assert (error.value.file, error.value.line) == (str(file), 1)
    assert len(str(error.value)) < 300 + len(str(file))


def test_missing_files_say_the_layout(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"fer2013\.csv; expected layout"):
        read("fer2013", tmp_path)
    fer2013(tmp_path, [line(3, 1)])
    for options in ({"labels": "majority"}, {"annotators": True}):
        with pytest.raises(MissingInputError, match=r"fer2013new\.csv; expected layout"):
            read("fer2013", tmp_path, **options)
    with pytest.raises(ConfigurationError, match="labels"):
        read("fer2013", tmp_path, labels="votes")
    fer2013(tmp_path, [])
    with pytest.raises(MissingInputError, match="no usable row"):
        read("fer2013", tmp_path)


def test_votes_become_labels_as_of_ferplus(tmp_path: Path) -> None:
    file = voted(tmp_path)
    rows, problems = read("fer2013", tmp_path, labels="majority")
    assert [(r["frame"], class_of(r), r["expression_split"]) for r in rows] == [
        (0, "Disgust", Split.TRAIN),
        (3, "Happiness", Split.VALIDATION),
    ]
    assert problems.counts == {"no_majority": 1, "class_outside_the_seven: NF": 1}
    assert problems.examples["no_majority"] == [f"{file}:3: votes 0 4 4 0 0 0 0 2 0 0"]
    rows, _ = read("fer2013", tmp_path, labels="distribution")
    assert np.allclose(rows[0]["expression"], [0.1, 0, 0.6, 0.3, 0, 0, 0])
    assert np.allclose(rows[1]["expression"], [0, 0, 0, 0, 0.5, 0, 0.5])
    assert len(rows) == 3


def test_votes_can_lie_beside_the_labels_of_fer2013(tmp_path: Path) -> None:
    voted(tmp_path)
    table = read_table("fer2013", tmp_path, annotators=True)
    rows = table.rows.to_pylist()
    assert [class_of(r) for r in rows] == ["Anger", "Disgust", "Fear", "Happiness"]
    assert [r["expression@vote_8_split"] for r in rows] == [Split.TRAIN, Split.TRAIN, Split.NONE, Split.VALIDATION]
    assert rows[0]["expression@vote_7"] == [0, 0, 1, 0, 0, 0, 0]
    assert not table.problems.counts


def test_votes_of_nobody_are_counted(tmp_path: Path) -> None:
    fer2013(tmp_path, [line(3, k) for k in range(3)])
    file = ferplus(tmp_path, [f"Training,,{votes},0,0,0,0,0,0,0,0" for votes in ("10,-1", "10,1", "9,0")])
    rows, problems = read("fer2013", tmp_path, annotators=True)
    assert [r["expression@vote_1_split"] for r in rows] == [Split.NONE, Split.NONE, Split.TRAIN]
    assert problems.counts == {"label_out_of_range": 1, "more_votes_than_annotators": 1}
    assert problems.examples["label_out_of_range"] == [f"{file}:2: votes 10 -1 0 0 0 0 0 0 0 0"]


VOTES = "fer0000001.png,1,2,3,4,0,0,0,0,0,0"


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([f"Training,{VOTES}"], 3),
        ([f"Training,{VOTES}"] * 3, 4),
        ([f"Training,{VOTES}", f"PublicTest,{VOTES}"], 3),
        ([f"Training,{VOTES}", f"Training,{VOTES},1"], 3),
        ([f"Training,{VOTES}", f"Training,{VOTES[:-2]}"], 3),
        ([f"Training,{VOTES[:-1]}many", f"Training,{VOTES}"], 2),
        ([f"Training,{VOTES[:-1]}0.5", f"Training,{VOTES}"], 2),
        (["", f"Training,{VOTES}", f"Training,{VOTES}"], 2),
    ],
)
def test_votes_that_do_not_fit_the_pictures_are_refused(tmp_path: Path, lines: list[str], wrong: int) -> None:
    fer2013(tmp_path, [line(3, 1), line(3, 2)])
    file = ferplus(tmp_path, lines)
    with pytest.raises(DatabaseFormatError) as error:
        read("fer2013", tmp_path, labels="majority")
    assert (error.value.file, error.value.line) == (str(file), wrong)


@pytest.mark.parametrize("header", [VOTES_HEADER.replace("anger,disgust", "disgust,anger"), f"Training,{VOTES}"])
def test_votes_with_another_header_are_refused(tmp_path: Path, header: str) -> None:
    fer2013(tmp_path, [line(3, 1)])
    file = ferplus(tmp_path, [f"Training,{VOTES}"], header)
    with pytest.raises(DatabaseFormatError, match="the header Usage,Image name,Neutral") as error:
        read("fer2013", tmp_path, labels="majority")
    assert (error.value.file, error.value.line) == (str(file), 1)
