"""HEU Emotion: manifests of clips, their parts, splits by subject, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from native_layouts import avi, images, write
from paper import SPACES

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.databases import heu
from abaw_ray.databases.base import LabelTable
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.spaces import TEN_EXPRESSIONS
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.preprocess.label_files import consecutive_rows
from abaw_ray.spaces import Split, all_spaces
from abaw_ray.tasks import build_tasks

HEADER = "clip_id,part,path_face_frames,path_video,path_body,path_audio,label,subject_id,language"


def manifest(root: Path, *lines: str, header: str = HEADER) -> Path:
    return write(root / "manifest.csv", "\n".join([header, *lines]) + "\n")


def read(root: Path, **options: object) -> LabelTable:
    return read_database("heu", root, options)[2]


def clip(root: Path, name: str, num_frames: int = 2) -> str:
    """Pictures of a face; gives their folder."""
    images(root / "faces" / name, *(f"{k:05d}.jpg" for k in range(1, num_frames + 1)))
    return f"faces/{name}"


def counts(table: LabelTable) -> dict[str, int]:
    return dict(table.problems.counts)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A clip of each part: c1 of pictures, whose third face and second body are not there; c2 of a video with sound."""
    images(tmp_path / "faces/c1", "00001.jpg", "00002.jpg", "00004.jpg", "00010.jpg")
    images(tmp_path / "bodies/c1", "00001.jpg", "00004.jpg", "00010.jpg")
    avi(tmp_path / "c2.avi", 3)
    write(tmp_path / "c2.wav", "sound")
    manifest(
        tmp_path,
        "c1,1,faces/c1/,,bodies/c1,,Bored,anna,",
        "c2,2,,c2.avi,c2.avi,c2.wav,happy,ben,Mandarin",
        "c3,2,faces/c1,,,c2.avi,Sad,ben,English",
    )
    return tmp_path


def test_frames_have_their_clip_s_label_part_language_and_subject(both: Path) -> None:
    table = read(both)
    rows = table.rows.to_pylist()
    assert [(r["video"], r["frame"]) for r in rows] == [
        *(("c1", frame) for frame in (0, 1, 3, 9)),
        *(("c2", frame) for frame in (0, 1, 2)),
        *(("c3", frame) for frame in (0, 1, 3, 9)),
    ]
    labels = {r["video"]: TEN_EXPRESSIONS.names[int(np.argmax(r["expression"]))] for r in rows}
    assert labels == {"c1": "Bored", "c2": "Happiness", "c3": "Sadness"}
    assert {(r["video"], r["part"], r["language"], r["subject_name"]) for r in rows} == {
        ("c1", "1", None, "anna"),
        ("c2", "2", "Mandarin", "ben"),
        ("c3", "2", "English", "ben"),
    }
    assert {r["language_split"] for r in rows if r["video"] == "c1"} == {int(Split.NONE)}
    assert table.videos.to_pylist() == [{"video": v, "num_frames": n} for v, n in (("c1", 10), ("c2", 3), ("c3", 10))]


def test_streams_are_of_the_same_frame_and_moment(both: Path) -> None:
    rows = {(r["video"], r["frame"]): r for r in read(both, fps=10).rows.to_pylist()}
    assert [rows["c1", f]["body:path"] for f in (0, 1, 3)] == ["bodies/c1/00001.jpg", None, "bodies/c1/00004.jpg"]
    assert {rows["c1", f]["audio:path"] for f in (0, 1, 3, 9)} == {None}
    of_video = [rows["c2", f] for f in range(3)]
    assert {(r["image"], r["body:path"], r["audio:path"]) for r in of_video} == {("c2.avi", "c2.avi", "c2.wav")}
    np.testing.assert_allclose([r["audio:geometry"] for r in of_video], [[0], [0.04], [0.08]], atol=1e-6)
    assert [rows["c3", f]["audio:geometry"] for f in (0, 9)] == [[], []], "a video's own clock tells the moment"
    write(both / "c4.wav", "sound")
    manifest(both, "c4,2,faces/c1,,,c4.wav,fear,ben,")
    times = [r["audio:geometry"] for r in read(both, fps=10).rows.to_pylist()]
    np.testing.assert_allclose(times, [[0], [0.1], [0.3], [0.9]], rtol=1e-6)
    assert [stream.name for stream in read(both).streams] == ["audio"], "no clip of the manifest has a body"


def test_what_is_left_out_is_counted_with_its_line(both: Path) -> None:
    clip(both, "whole")
    write(both / "faces/whole/notes.txt", "?")
    manifest(
        both,
        "gone,1,faces/none,,,,fear,,,",
        "nothing,1,,,,,fear,,,",
        "unlabelled,1,faces/whole,,,,,,,",
        "halves,1,faces/whole,c2.avi,bodies/none,none.wav,fear,,,",
        "bodies,1,faces/c1,,bodies/c1,,fear,,,",
        header=f"{HEADER},age",
    )
    table = read(both)
    assert counts(table) == {
        "missing_faces": 1,
        "clip_without_faces": 1,
        "clip_without_label": 1,
        "video_beside_face_frames": 1,
        "missing_body": 1,
        "missing_audio": 1,
        "frame_without_body": 1,
        "unexpected_file": 3,
        "column_not_read": 1,
    }
    assert table.problems.examples["missing_faces"] == [f"{both / 'manifest.csv'}:2: gone: no faces/none"]
    assert {r["video"] for r in table.rows.to_pylist()} == {"halves", "bodies"}


@pytest.mark.parametrize(
    ("lines", "line", "found"),
    [
        (["a,1,faces/a,,,,joyous,,"], 2, "label 'joyous'"),
        (["a,1,faces/a,,,,fear,,", "b,1,faces/a,,,,fear,,", "a,1,faces/a,,,,sad,,"], 4, "clip 'a', which is also in"),
        ([",1,faces/a,,,,fear,,"], 2, "no clip_id"),
    ],
)
def test_lines_that_cannot_be_are_refused_by_number(tmp_path: Path, lines: list[str], line: int, found: str) -> None:
    clip(tmp_path, "a")
    file = manifest(tmp_path, *lines)
    with pytest.raises(DatabaseFormatError, match=f"{file}:{line}: .*{found}"):
        read(tmp_path)


def test_numbers_of_pictures_begin_where_the_option_says(tmp_path: Path) -> None:
    images(tmp_path / "faces/a", "frame_0.jpg", "frame_2.jpg", "frame_10.jpg")
    manifest(tmp_path, "a,1,faces/a,,,,fear,,")
    with pytest.raises(DatabaseFormatError, match="first_number"):
        read(tmp_path)
    assert read(tmp_path, first_number=0).rows["frame"].to_pylist() == [0, 2, 10]
    images(tmp_path / "faces/a", "frame_02.jpg")
    with pytest.raises(DatabaseFormatError, match="one picture of each frame"):
        read(tmp_path, first_number=0)


def test_a_manifest_needs_its_columns(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no manifest\.csv"):
        read(tmp_path)
    manifest(tmp_path, header=HEADER.replace(",language", ""))
    with pytest.raises(DatabaseFormatError, match="language"):
        read(tmp_path)


def test_a_subject_in_two_splits_is_refused_with_its_lines(tmp_path: Path) -> None:
    clip(tmp_path, "a")
    lines = ["a,1,faces/a,,,,fear,anna,,train", "b,1,faces/a,,,,fear,ben,,val", "c,1,faces/a,,,,sad,anna,,test"]
    file = manifest(tmp_path, *lines, header=f"{HEADER},split")
    with pytest.raises(DatabaseFormatError, match=f"{file}:4: found subject 'anna' in test, in line 2 in train"):
        read(tmp_path)
    manifest(tmp_path, *lines[:2], "c,1,faces/a,,,,,carl,,test", header=f"{HEADER},split")
    rows = read(tmp_path).rows.to_pylist()
    assert {r["video"]: Split(r["expression_split"]) for r in rows} == dict(
        zip("abc", (Split.TRAIN, Split.VALIDATION, Split.TEST), strict=True)
    )
    assert all(np.isnan(r["expression"]).all() for r in rows if r["video"] == "c"), "not published"
    with pytest.raises(ConfigurationError, match="column split"):
        read(tmp_path, validation_fraction=0.1)


def test_whole_subjects_are_drawn(tmp_path: Path) -> None:
    clip(tmp_path, "a", 1)
    lines = [f"c{k},1,faces/a,,,,fear,{f'person {k // 4}' if k < 400 else ''}," for k in range(600)]
    manifest(tmp_path, *lines)
    rows = read(tmp_path, validation_fraction=0.3, test_fraction=0.2, split_seed=1).rows.to_pylist()
    splits: dict[str, set[int]] = {}
    for row in rows:
        splits.setdefault(row["subject_name"] or row["video"], set()).add(row["expression_split"])
    assert len(splits) == 300
    assert all(len(found) == 1 for found in splits.values())
    shares = [sum(found == {int(split)} for found in splits.values()) / 300 for split in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.1)
    assert {r["part_split"] for r in rows} == {1, 2, 3}
    with pytest.raises(ConfigurationError, match="below 1"):
        read(tmp_path, validation_fraction=0.6, test_fraction=0.5)


def test_parquet_says_the_same_as_csv(both: Path) -> None:
    expected = read(both).rows
    table = pa.csv.read_csv(both / "manifest.csv")
    assert table.schema.field("part").type == pa.int64()
    (both / "manifest.csv").unlink()
    pq.write_table(table, both / "manifest.parquet")
    assert read(both).rows.equals(expected)
    empty = table.set_column(1, "part", pa.array([1.0, np.nan, None]))
    pq.write_table(empty, both / "manifest.parquet")
    assert [v["part"] for v in read(both).rows.to_pylist()] == ["1"] * 4 + [None] * 7


def test_private_classes_stay_private(tmp_path: Path) -> None:
    """Beside seven classes there are ten outputs, of whose last three the rows of seven know nothing."""
    clip(tmp_path, "a")
    manifest(tmp_path, "a,1,faces/a,,,,Confused,,", "b,1,faces/a,,,,Neutral,,")
    (joined,) = (space for space in all_spaces([heu.SPACES, SPACES[:1]]) if space.kind == "multiclass" and space.names)
    assert joined.names == (*SPACES[0].names, "Bored", "Confused", "Disappointed")
    seven = read(tmp_path).rows.slice(2)  # rows of another database, by its own space
    seven = seven.set_column(
        seven.schema.get_field_index("expression"),
        "expression",
        pa.array([SPACES[0].one_hot(0)] * 2, pa.list_(pa.float32(), 7)),
    )
    ours, theirs = consecutive_rows([read(tmp_path).rows, seven], [heu.SPACES, SPACES[:1]])
    labels = np.concatenate([part.labels(joined, "").values for part in (ours, theirs)])  # type: ignore[union-attr]
    task = build_tasks([joined], LossConfig(), ModelConfig())["expression"]
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    statistics = task.statistics(logits, torch.from_numpy(labels), torch.arange(6) >= 4)
    task.supervised(statistics).backward()
    assert logits.grad is not None
    assert not logits.grad[4:, 7:].any(), "no gradient of a private logit"
    assert logits.grad[4:, :7].all()
    small = build_tasks([SPACES[0]], LossConfig(), ModelConfig())["expression"]
    predicted = logits.detach().softmax(1).numpy()
    shares = predicted[4:, :7] / predicted[4:, :7].sum(1, keepdims=True)
    assert task.score(labels[4:], predicted[4:], {}) == small.score(labels[4:, :7], shares, {})
