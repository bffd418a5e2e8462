"""The checker of submissions, on a right one and on everything that can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from abaw_ray.cli import main
from abaw_ray.competition.check_submission import Violation, check_submission
from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.errors import MissingInputError, quoted

NUM_FRAMES = {"first": 7, "2-30-640x480": 5}
TRACKS = {"first": "first", "2-30-640x480_left": "2-30-640x480", "2-30-640x480_right": "2-30-640x480"}
NUMBERS = {"expression": [3], "valence_arousal": [0.25, -1], "action_units": [0, 1] * 6}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """A submission of three tracks for three tasks, and `videos` beside it."""
    (tmp_path / "data" / "videos").mkdir(parents=True)
    for stem, count in NUM_FRAMES.items():
        path = str(tmp_path / "data" / "videos" / f"{stem}.avi")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, (32, 32))
        for _ in range(count):
            writer.write(np.zeros((32, 32, 3), np.uint8))
        writer.release()
    for task, form in TRACK_FORMATS.items():
        (tmp_path / "entry" / form.folder).mkdir(parents=True)
        for track, stem in TRACKS.items():
            form.write(tmp_path / "entry" / form.folder / f"{track}.txt", np.array([NUMBERS[task]] * NUM_FRAMES[stem]))
    return tmp_path / "entry"


def violations(entry: Path) -> list[Violation]:
    return check_submission(entry, entry.parent / "data" / "videos").violations


def change(file: Path, line: int, text: str) -> Path:
    """Replaces a 1-based line."""
    lines = file.read_text().split("\n")
    lines[line - 1] = text
    file.write_text("\n".join(lines))
    return file


def test_a_right_submission_has_nothing_wrong(entry):
    report = check_submission(entry, entry.parent / "data" / "videos")
    assert report.ok
    assert report.num_files == dict.fromkeys(TRACK_FORMATS, 3)
    assert report.num_frames == dict.fromkeys(TRACK_FORMATS, 17)
    assert report.to_dict()["violations"] == []
    for form in TRACK_FORMATS.values():  # a line end at the end is no row
        file = entry / form.folder / "first.txt"
        file.write_text(file.read_text() + "\n")
    assert violations(entry) == []


@pytest.mark.parametrize(
    ("folder", "line", "text", "expected"),
    [
        ("EXPR_Set", 1, "Neutral,Happiness,Sadness,Surprise,Fear,Disgust,Anger", "the header Neutral,Anger"),
        ("VA_Set", 1, "arousal,valence", "the header valence,arousal"),
        ("EXPR_Set", 4, "7", "one class number from 0 to 6"),
        ("EXPR_Set", 4, "-1", "one class number"),
        ("EXPR_Set", 4, "2.5", "one class number"),
        ("EXPR_Set", 4, "3.0", "one class number"),
        ("EXPR_Set", 4, "0_3", "one class number"),
        ("EXPR_Set", 4, "-0", "one class number from 0 to 6, in plain digits"),
        ("EXPR_Set", 4, "+1", "one class number"),
        ("EXPR_Set", 4, "01", "one class number"),
        ("EXPR_Set", 4, "1e0", "one class number"),
        ("EXPR_Set", 4, "  ", "one class number"),
        ("EXPR_Set", 4, "3\r4", "one class number"),
        ("EXPR_Set", 4, "1,2", "one class number"),
        ("EXPR_Set", 4, "", "one class number"),
        ("VA_Set", 8, "0.5,1.0001", "two numbers from -1 to 1"),
        ("VA_Set", 3, "-5,-5", "two numbers"),
        ("VA_Set", 3, "0.5", "two numbers"),
        ("VA_Set", 3, "nan,0", "two numbers"),
        ("VA_Set", 3, "inf,0", "two numbers"),
        ("VA_Set", 3, "0.2_5,0", "two numbers"),
        ("VA_Set", 3, "\N{ARABIC-INDIC DIGIT ZERO},0", "two numbers"),
        ("VA_Set", 3, "happy,0", "two numbers"),
        ("VA_Set", 3, "0x1,0", "two numbers"),
        ("VA_Set", 3, "0,0,", "two numbers"),
        ("VA_Set", 3, "0,0#", "two numbers"),
        ("VA_Set", 3, '"0",0', "two numbers"),
        ("VA_Set", 3, "\x0c0,0", "two numbers"),
        ("VA_Set", 1, "valence,arousal ", "the header valence,arousal"),
        ("AU_Set", 2, ",".join(["0"] * 11 + ["1.0"]), "12 numbers"),
        ("AU_Set", 2, ",".join(["0"] * 11), "12 numbers"),
        ("AU_Set", 2, ",".join(["0"] * 11 + ["2"]), "12 numbers"),
    ],
)
def test_a_wrong_line_is_named(entry, folder, line, text, expected):
    file = change(entry / folder / "first.txt", line, text)
    (violation,) = violations(entry)
    assert (violation.file, violation.line, violation.found) == (file, line, repr(text))
    assert violation.expected.startswith(expected)
    assert str(violation).startswith(f"{file}:{line}: found")


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("EXPR_Set", " 3\t"),
        ("AU_Set", ", ".join(["0", "1"] * 6)),
        ("VA_Set", "0.5 , -1" + " " * 5000),
        ("VA_Set", "-0,-0.0000"),
        ("VA_Set", "1e-400,-5E-1"),
        ("VA_Set", "+.5,1."),
    ],
)
def test_what_every_reader_takes_alike_is_right(entry, folder, text):
    change(entry / folder / "first.txt", 3, text)
    assert violations(entry) == []


@pytest.mark.parametrize("text", ["9" * 6000, "\udcff" * 200])
def test_long_lines_are_quoted_in_part(entry, text):
    file = entry / "EXPR_Set" / "first.txt"
    file.write_bytes(change(file, 4, "LINE").read_bytes().replace(b"LINE", text.encode("utf-8", "surrogateescape")))
    (violation,) = violations(entry)
    assert violation.line == 4
    assert violation.found == quoted(text)
    assert len(violation.found) < 90
    str(violation).encode()


def test_byte_order_mark_and_carriage_returns_are_named_once(entry):
    mark, returns, both = (entry / folder / "first.txt" for folder in ("EXPR_Set", "VA_Set", "AU_Set"))
    mark.write_bytes(b"\xef\xbb\xbf" + mark.read_bytes())
    returns.write_bytes(returns.read_bytes().replace(b"\n", b"\r\n"))
    both.write_bytes(b"\xef\xbb\xbf" + both.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert [(v.file, v.line, v.found, v.expected) for v in violations(entry)] == [
        (mark, 1, "a byte order mark", f"the header {TRACK_FORMATS['expression'].header} from the first byte on"),
        (returns, 1, "a carriage return at the end of the line, as of 7 of 8 lines", "a line feed alone between lines"),
        (both, 1, "a byte order mark", f"the header {TRACK_FORMATS['action_units'].header} from the first byte on"),
        (both, 1, "a carriage return at the end of the line, as of 8 of 8 lines", "a line feed alone between lines"),
    ]


def test_blank_lines_at_the_end_and_empty_files(entry):
    blank, empty = entry / "EXPR_Set" / "first.txt", entry / "VA_Set" / "first.txt"
    blank.write_text(blank.read_text() + "\n\n  \n")
    empty.write_text("")
    assert [(v.file, v.line, v.found) for v in violations(entry)] == [
        (blank, 9, "2 blank lines at the end"),
        (empty, 1, "an empty file"),
        (empty, None, "0 rows"),
    ]


def test_every_wrong_line_is_reported(entry):
    for line in (3, 5):
        change(entry / "VA_Set" / "first.txt", line, "2,2")
    change(entry / "EXPR_Set" / "first.txt", 2, "9")
    assert [v.line for v in violations(entry)] == [2, 3, 5]


@pytest.mark.parametrize("rows", [-1, 1])
def test_a_row_too_few_or_too_many(entry, rows):
    file = entry / "VA_Set" / "2-30-640x480_left.txt"
    lines = file.read_text().split("\n")
    file.write_text("\n".join(lines[:-1] if rows < 0 else [*lines, lines[-1]]))
    (violation,) = violations(entry)
    assert (violation.file, violation.line, violation.found) == (file, None, f"{5 + rows} rows")
    assert violation.expected.startswith("5 rows")


def test_missing_and_unknown_tracks(entry):
    (entry / "VA_Set" / "first.txt").rename(entry / "VA_Set" / "third.txt")
    found = {(v.file.name, v.found) for v in violations(entry)}
    assert found == {("first.txt", "no such file"), ("third.txt", "no video of this track")}


def test_a_video_is_not_covered_by_the_track_of_another(entry):
    videos = entry.parent / "data" / "videos"
    (videos / "first_left.avi").write_bytes((videos / "first.avi").read_bytes())
    for form in TRACK_FORMATS.values():
        (entry / form.folder / "first.txt").rename(entry / form.folder / "first_left.txt")
    assert [(v.file.name, v.found) for v in violations(entry)] == [("first.txt", "no such file")] * 3


def test_a_test_list_says_which_tracks_there_must_be(entry):
    listed = ["first", "2-30-640x480_left"]
    (entry.parent / "data" / "annotations").mkdir()
    (entry.parent / "data" / "annotations" / "va_test_file.txt").write_text(
        "\n".join(listed) + "\n", encoding="utf-8-sig"
    )
    (violation,) = violations(entry)
    assert (violation.file.name, violation.found) == ("2-30-640x480_right.txt", "a track too many")
    (entry / "VA_Set" / "2-30-640x480_right.txt").unlink()
    assert violations(entry) == []
    (entry / "VA_Set" / "first.txt").unlink()
    assert [v.found for v in violations(entry)] == ["no such file"]


def test_what_cannot_be_read_is_named_and_all_else_is_checked(entry, monkeypatch):
    videos = entry.parent / "data" / "videos"
    (videos / "2-30-640x480.avi").write_bytes(b"no video")
    (videos / "first.mp4").write_bytes((videos / "first.avi").read_bytes())
    lists = {name: videos / f"{name}_test_file.txt" for name in ("expr", "va", "au")}
    lists["expr"].write_text("first\n\nfirst\n")
    lists["va"].write_bytes(b"first\xff\n")
    lists["au"].mkdir()
    secret = entry / "EXPR_Set" / "2-30-640x480_left.txt"
    (entry / "EXPR_Set" / "loop.txt").symlink_to("loop.txt")
    (entry / "VA_Set" / "folder.txt").mkdir()
    change(entry / "AU_Set" / "first.txt", 2, "1")
    read_bytes = Path.read_bytes

    def guarded(file: Path) -> bytes:
        if file == secret:
            raise PermissionError(13, "Permission denied")
        return read_bytes(file)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    found = violations(entry)
    assert {(v.file, v.line) for v in found} == {
        (entry / "EXPR_Set" / "loop.txt", None),
        (videos, None),
        (lists["expr"], 3),
        (secret, None),
        (videos / "2-30-640x480.avi", None),
        (entry / "VA_Set" / "folder.txt", None),
        (lists["va"], 1),
        (lists["au"], None),
        (entry / "AU_Set" / "first.txt", 2),
    }
    assert len(found) == 9
    assert {v.found for v in found if v.file == videos} == {"first.avi and first.mp4"}
    assert {v.found for v in found if v.file == secret} == {"nothing that can be read (Permission denied)"}


def test_the_command_prints_every_violation_as_json(entry, monkeypatch, capfd):
    videos = entry.parent / "data" / "videos"
    (videos / "first.avi").write_bytes(b"no video")
    change(entry / "VA_Set" / "first.txt", 3, "2,2")
    monkeypatch.setattr("sys.argv", ["abaw-ray", "check-submission", str(entry), "--videos", str(videos), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    printed = json.loads(capfd.readouterr().out)
    assert [(v["file"], v["line"]) for v in printed["violations"]] == [
        (str(videos / "first.avi"), None),
        (str(entry / "VA_Set" / "first.txt"), 3),
    ]


def test_other_files_and_folders_are_named(entry):
    (entry / "notes.txt").write_text("")
    (entry / "EXPR_Set" / "first.csv").write_text("")
    assert [v.file.name for v in violations(entry)] == ["notes.txt", "first.csv"]


def test_a_submission_of_no_task_and_folders_that_are_not_there(entry, tmp_path):
    (tmp_path / "empty").mkdir()
    report = check_submission(tmp_path / "empty", tmp_path / "data" / "videos")
    assert [v.found for v in report.violations] == ["no folder of a task"]
    with pytest.raises(MissingInputError, match="nowhere"):
        check_submission(entry, tmp_path / "nowhere")


def test_many_violations_are_counted_and_not_all_shown(entry):
    file = entry / "EXPR_Set" / "first.txt"
    file.write_text("\n".join([TRACK_FORMATS["expression"].header, *["8"] * 200]))
    report = check_submission(entry, entry.parent / "data" / "videos")
    assert len(report.to_dict()["violations"]) == 201
    assert "151 more" in report.render()
