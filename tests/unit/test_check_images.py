"""The checker of entries with a line for an image, on right ones and on everything that can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from native_layouts import avi, write

from abaw_ray.cli import main
from abaw_ray.competition import EntryEdition
from abaw_ray.competition.check_submission import check_submission
from abaw_ray.competition.entry_file import Violation
from abaw_ray.competition.image_files import IMAGE_EDITIONS
from abaw_ray.competition.write_entry import write_images
from abaw_ray.errors import ConfigurationError, MissingInputError

NUM_FRAMES = {"first": 7, "2-30_left": 5, "2-30_right": 5}
NUMBERS = {"expression": [7], "valence_arousal": [0.25, -1], "action_units": [0, 1] * 6}
HEADERS = {
    "EXPR.txt": "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    "VA.txt": "image_location,valence,arousal",
    "AU.txt": "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
    "MTL.txt": "image,valence,arousal,expression,aus",
}
LISTED = {"first": [0, 3], "2-30_left": [4]}


def answers() -> dict[str, dict[str, np.ndarray]]:
    return {t: {track: np.array([row] * n) for track, n in NUM_FRAMES.items()} for t, row in NUMBERS.items()}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry of three tasks, and the videos and test lists that it is about."""
    avi(tmp_path / "data/batch1/first.avi", 7)
    avi(tmp_path / "data/batch2/2-30.avi", 5)
    for name in ("Expression_Classification_Challenge", "VA", "AU"):
        write(tmp_path / f"data/6th ABAW Annotations/{name}_test_set_release.txt", "first\n2-30_left\n2-30_right\n")
    written = write_images(tmp_path / "entry", "abaw3", answers())
    assert written == {task: {"num_files": 1, "num_frames": 17} for task in NUMBERS}
    return tmp_path / "entry"


@pytest.fixture
def multi_task(tmp_path: Path) -> Path:
    """An entry of the multi-task challenge, and `lists` beside it with the list of its images."""
    listed = {track: np.array(frames) for track, frames in LISTED.items()} | {"2-30_right": np.array([], int)}
    assert write_images(tmp_path / "mtl", "mtl", answers(), listed) == {"MTL.txt": {"num_files": 1, "num_frames": 3}}
    images = [f"{track}/{frame + 1:05d}.jpg" for track, frames in LISTED.items() for frame in frames]
    write(tmp_path / "lists/MTL_Challenge_test_set_release.txt", "\n".join(["image", *images]) + "\n")
    return tmp_path / "mtl"


def violations(entry: Path, edition: EntryEdition = "abaw3") -> list[Violation]:
    return check_submission(entry, entry.parent / "data", edition).violations


def mtl_violations(entry: Path) -> list[Violation]:
    return check_submission(entry, None, "mtl", entry.parent / "lists").violations


def change(file: Path, line: int, text: str | None) -> Path:
    """Replaces a 1-based line, or takes it away."""
    lines = file.read_text().split("\n")
    lines[line - 1 : line] = [] if text is None else [text]
    file.write_text("\n".join(lines))
    return file


def test_what_is_written_has_nothing_wrong(entry: Path, multi_task: Path) -> None:
    report = check_submission(entry, entry.parent / "data", "abaw3")
    assert report.violations == []
    assert report.num_frames == dict.fromkeys(NUMBERS, 17)
    assert mtl_violations(multi_task) == []
    for name, header in HEADERS.items():
        file = (multi_task if name == "MTL.txt" else entry) / name
        assert file.read_text().split("\n")[0] == header
    assert (entry / "EXPR.txt").read_text().split("\n")[1:3] == ["2-30_left/00001.jpg,7", "2-30_left/00002.jpg,7"]
    assert (entry / "VA.txt").read_text().split("\n")[-1] == "first/00007.jpg,0.2500,-1.0000"
    assert (multi_task / "MTL.txt").read_text().split("\n")[1:] == [
        f"{image},0.2500,-1.0000,7,0,1,0,1,0,1,0,1,0,1,0,1"
        for image in ("2-30_left/00005.jpg", "first/00001.jpg", "first/00004.jpg")
    ]


@pytest.mark.parametrize("folder", ["data/batch1", "data"])
def test_lines_in_another_order_and_a_last_line_end_are_right(entry: Path, folder: str) -> None:
    file = entry / "VA.txt"
    header, *rows = file.read_text().split("\n")
    file.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert violations(entry) == []
    # where only one folder of videos is named, the others' tracks have none
    found = check_submission(entry, entry.parent / folder, "abaw3").violations
    assert all("no video of track '2-30_" in v.found for v in found)
    assert len(found) == (0 if folder == "data" else 6)


@pytest.mark.parametrize(
    ("name", "line", "text", "expected"),
    [
        ("EXPR.txt", 1, "image_location,expression", "the header image_location,Neutral"),
        ("EXPR.txt", 1, "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise", "the header image_loc"),
        ("VA.txt", 1, "valence,arousal", "the header image_location,valence,arousal"),
        ("AU.txt", 1, "image,AU1", "the header image_location,AU1"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg,8", "video/00001.jpg and one class number from 0 to 7, in plain"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg,-1", "video/00001.jpg and one class"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg,1.0", "video/00001.jpg and one class"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg,1,2", "video/00001.jpg and one class"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg,", "video/00001.jpg and one class"),
        ("EXPR.txt", 2, "2-30_left/00001.jpg", "video/00001.jpg and one class"),
        ("VA.txt", 2, "2-30_left/00001.jpg,1.01,0", "video/00001.jpg and two numbers"),
        ("VA.txt", 2, "2-30_left/00001.jpg,nan,0", "video/00001.jpg and two numbers"),
        ("VA.txt", 2, "2-30_left/00001.jpg,-5,-5", "video/00001.jpg and two numbers"),
        ("AU.txt", 2, "2-30_left/00001.jpg," + ",".join(["2"] * 12), "video/00001.jpg and 12 numbers"),
        ("AU.txt", 2, "2-30_left/00001.jpg," + ",".join(["1"] * 11), "video/00001.jpg and 12 numbers"),
    ],
)
def test_a_wrong_line_is_named(entry: Path, name: str, line: int, text: str, expected: str) -> None:
    file = change(entry / name, line, text)
    (violation,) = violations(entry)
    assert (violation.file, violation.line) == (file, line)
    assert violation.expected.startswith(expected)


@pytest.mark.parametrize(
    "numbers", ["0,0,8,0,1,0,1,0,1,0,1,0,1,0,1", "0,0,7.0,0,1,0,1,0,1,0,1,0,1,0,1", "0,2,7,0,1,0,1,0,1,0,1,0,1,0,1"]
)
def test_a_wrong_line_of_the_multi_task_challenge_is_named(multi_task: Path, numbers: str) -> None:
    file = change(multi_task / "MTL.txt", 3, f"first/00001.jpg,{numbers}")
    (violation,) = mtl_violations(multi_task)
    assert (violation.file, violation.line) == (file, 3)
    assert violation.expected.startswith("video/00001.jpg and two numbers from -1 to 1")


def test_a_line_too_few_is_named_by_track(entry: Path, multi_task: Path) -> None:
    file = change(change(entry / "VA.txt", 18, None), 2, None)
    assert [(v.file, v.line, v.found) for v in violations(entry)] == [
        (file, None, "no line of 1 images of track first, as first/00007.jpg"),
        (file, None, "no line of 1 images of track 2-30_left, as 2-30_left/00001.jpg"),
    ]
    change(multi_task / "MTL.txt", 2, None)
    assert [v.found for v in mtl_violations(multi_task)] == [
        "no line of 1 images of track 2-30_left, as 2-30_left/00005.jpg"
    ]


def test_images_that_come_twice_and_unknown_ones(entry: Path, multi_task: Path) -> None:
    file = entry / "EXPR.txt"
    file.write_text(file.read_text() + "\nfirst/00003.jpg,1\nfirst/00008.jpg,1\nfirst/1.jpg,1\nthird/00001.jpg,1")
    found = violations(entry)
    assert [(v.file, v.line, v.found) for v in found] == [
        (file, 19, "image 'first/00003.jpg' again"),
        (file, 20, "image 'first/00008.jpg'"),
        (file, 21, "image 'first/1.jpg'"),
        (file, 22, "image 'third/00001.jpg'"),
    ]
    assert found[0].expected == "it once, as in line 14"
    change(multi_task / "MTL.txt", 2, "first/00002.jpg,0,0,7,0,1,0,1,0,1,0,1,0,1,0,1")
    assert [(v.line, v.found) for v in mtl_violations(multi_task)] == [
        (2, "image 'first/00002.jpg'"),
        (None, "no line of 1 images of track 2-30_left, as 2-30_left/00005.jpg"),
    ]


def test_byte_order_marks_and_carriage_returns(entry: Path, multi_task: Path) -> None:
    for file in (entry / "AU.txt", multi_task / "MTL.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
        found = violations(entry) if file.name == "AU.txt" else mtl_violations(multi_task)
        assert [(v.file, v.line) for v in found] == [(file, 1), (file, 1)]
        assert found[0].found == "a byte order mark"


@pytest.mark.parametrize("name", ["CVPR_6th_ABAW_VA_test_set_sample.txt", "CVPR_6th_ABAW_VA_test_set_example.txt"])
def test_a_sample_says_which_images_there_are(entry: Path, name: str) -> None:
    header, *rows = (entry / "VA.txt").read_text().split("\n")
    sample = write(entry.parent / "data" / name, "\n".join(["image_location,valence,arousal", *rows[:-1]]) + "\n")
    (violation,) = violations(entry)
    assert (violation.line, violation.found) == (18, "image 'first/00007.jpg'")
    assert str(sample) in violation.expected
    (entry / "EXPR.txt").unlink()
    (entry / "AU.txt").unlink()
    (entry / "VA.txt").write_text("\n".join([header, *rows[:-1]]))
    assert check_submission(entry, None, "abaw3", sample.parent).violations == []
    write(sample.with_name("ABAW_VA_test_set_sample.txt"), "image_location\n")
    with pytest.raises(ConfigurationError, match="samples"):
        violations(entry)


def test_without_a_list_the_tracks_are_those_of_the_entry(entry: Path) -> None:
    (entry.parent / "data/6th ABAW Annotations/VA_test_set_release.txt").unlink()
    for _ in range(2):
        change(entry / "VA.txt", 2, None)
    assert [v.found for v in violations(entry)] == ["no line of 2 images of track 2-30_left, as 2-30_left/00001.jpg"]
    for _ in range(3):
        change(entry / "VA.txt", 2, None)
    assert violations(entry) == []


def test_what_is_needed_to_check_and_is_not_there(entry: Path, multi_task: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected --videos"):
        check_submission(entry, None, "abaw3", entry.parent / "data/6th ABAW Annotations")
    with pytest.raises(MissingInputError, match="no MTL_Challenge_test_set_release"):
        check_submission(multi_task, entry.parent / "data", "mtl")
    for lists in (None, multi_task):  # no entry is its own list
        with pytest.raises(MissingInputError, match="see --lists"):
            check_submission(multi_task, None, "mtl", lists)
    for edition in ("abaw2", "abaw3"):
        with pytest.raises(MissingInputError, match="nowhere"):
            check_submission(entry, entry.parent / "data", edition, tmp_path / "nowhere")
        with pytest.raises(MissingInputError, match="nowhere"):
            check_submission(entry, tmp_path / "nowhere", edition)
    with pytest.raises(ConfigurationError, match="--videos"):
        check_submission(entry, None, "abaw2")


def test_what_cannot_be_read_is_named_and_all_else_is_checked(entry: Path) -> None:
    lists = entry.parent / "data/6th ABAW Annotations"
    twice = write(lists / "VA_test_set_release.txt", "first\nfirst\n")
    video = write(entry.parent / "data/batch1/first.avi", b"no video")
    (entry / "notes.txt").write_text("")
    (entry / "AU.txt").unlink()
    (entry / "AU.txt").mkdir()
    assert {(v.file, v.line) for v in violations(entry)} == {
        (entry / "notes.txt", None),
        (entry / "AU.txt", None),
        (twice, 2),
        (video, None),
    }


def test_an_entry_of_no_task(tmp_path: Path) -> None:
    for folder in ("entry", "videos"):
        (tmp_path / folder).mkdir()
    for edition in ("abaw3", "mtl"):
        (violation,) = check_submission(tmp_path / "entry", tmp_path / "videos", edition).violations
        assert violation.found == "no file of a task"
        assert all(form.file in violation.expected for form in IMAGE_EDITIONS[edition])


def test_the_command(
    entry: Path, multi_task: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    change(entry / "VA.txt", 3, "first/00001.jpg,2,2")
    command = ["abaw-ray", "check-submission", str(entry), "--videos", str(entry.parent / "data"), "--json"]
    monkeypatch.setattr("sys.argv", [*command, "--edition", "abaw3"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert [v["line"] for v in json.loads(capfd.readouterr().out)["violations"]] == [3, 12, None]
    lists = str(multi_task.parent / "lists")
    monkeypatch.setattr(
        "sys.argv", ["abaw-ray", "check-submission", str(multi_task), "--edition", "mtl", "--lists", lists]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "MTL.txt: 1 files, 3 frames" in capfd.readouterr().err
    monkeypatch.setattr("sys.argv", [*command, "--edition", "abaw9"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "expected any of abaw2, abaw3, mtl" in capfd.readouterr().err
