"""Predictions for videos and pictures: every frame is there, people keep their numbers, broken files are reported."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from people import BLUE, RED, ColourModel, SquareDetector, clip, picture

from abaw_ray.databases.reading.names import file_name
from abaw_ray.inference.answers import answers_schema
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.inputs import find_inputs
from abaw_ray.inference.looking import FaceLook
from abaw_ray.inference.predict_inputs import Outcome, Settings, predict_inputs

Frames = list[Mapping[tuple[int, int], tuple[int, int, int]]]
TABLE_ONLY = Settings(files=False)


def predicted(
    folder: Path, *texts: str | Path, model: ColourModel | None = None, settings: Settings = TABLE_ONLY
) -> tuple[pa.Table, list[Outcome]]:
    inputs, _ = find_inputs([str(text) for text in texts])
    part = folder / "out" / "part.parquet"
    model = model or ColourModel()
    outcomes = predict_inputs(inputs, model, FaceLook(SquareDetector(), model.info), folder / "out", part, settings)
    table = pq.read_table(part)
    assert table.schema.equals(answers_schema(model.info))
    return table, outcomes


def two_people(num_frames: int) -> Frames:
    """Red is there always; blue comes at frame 4, and is gone from 8 to 11."""
    frames = []
    for number in range(num_frames):
        squares = {(8 + number, 20): RED}
        if number >= 4 and not 8 <= number < 12:
            squares[(110 - number, 40)] = BLUE
        frames.append(squares)
    return frames


def test_every_frame_has_a_row_and_people_keep_their_numbers(tmp_path: Path) -> None:
    table, (outcome,) = predicted(tmp_path, clip(tmp_path / "two.mp4", two_people(20)))
    rows = table.to_pylist()
    assert [row["frame"] for row in rows] == [n for n in range(20) for _ in range(1 + (n >= 4 and not 8 <= n < 12))]
    assert sorted({(row["face"], row["level"] if "level" in row else row["red"] > 0.5) for row in rows}) == [
        (0, True),
        (1, False),
    ]
    assert {row["mood"] for row in rows} == {"bright"}
    assert all(row["warm_present"] == (row["face"] == 0) for row in rows)
    assert [row["time"] for row in rows if row["face"] == 0] == pytest.approx([n / 25 for n in range(20)])
    red = rows[0]
    assert [red[name] for name in ("left", "top", "right", "bottom")] == pytest.approx([8, 20, 40, 52], abs=3)
    assert (outcome.num_frames, outcome.num_people, outcome.num_frames_without_face, outcome.error) == (20, 2, 0, "")


def test_frames_without_a_face_are_marked(tmp_path: Path) -> None:
    frames: Frames = [{(8, 20): RED} if number < 5 else {} for number in range(12)]
    table, (outcome,) = predicted(tmp_path, clip(tmp_path / "gone.mp4", frames))
    assert table["frame"].to_pylist() == list(range(12))
    assert table["face"].to_pylist() == [0] * 5 + [None] * 7
    assert table["red"].null_count == table["mood"].null_count == table["warm_present"].null_count == 7
    assert outcome.num_frames_without_face == 7


def test_a_video_without_any_face_has_all_its_frames(tmp_path: Path) -> None:
    table, (outcome,) = predicted(tmp_path, clip(tmp_path / "none.mp4", [{}] * 30))
    assert len(table) == table["face"].null_count == outcome.num_frames_without_face == 30


@pytest.mark.parametrize(("window", "smoothing"), [(None, None), (5, None), (None, "median:5"), (4, "gaussian:1")])
def test_windows_and_smoothing_lose_no_frame(tmp_path: Path, window: int | None, smoothing: str | None) -> None:
    path = clip(tmp_path / "two.mp4", two_people(23))
    plain, _ = predicted(tmp_path, path)
    table, _ = predicted(tmp_path, path, model=ColourModel(window, smoothing))
    for name in ("frame", "face", "left"):
        assert table[name].equals(plain[name])
    # the colours do not change, but as they come out of the codec
    np.testing.assert_allclose(table["red"].to_numpy(), plain["red"].to_numpy(), atol=0.05)


def test_every_nth_frame_keeps_its_number_and_time(tmp_path: Path) -> None:
    table, (outcome,) = predicted(
        tmp_path, clip(tmp_path / "two.mp4", two_people(20)), settings=Settings(every=6, files=False)
    )
    assert sorted(set(table["frame"].to_pylist())) == [0, 6, 12, 18]
    assert sorted(set(table["time"].to_pylist())) == pytest.approx([0, 0.24, 0.48, 0.72])
    assert (outcome.num_frames, outcome.num_unreadable_frames) == (4, 0)


def test_at_most_so_many_faces(tmp_path: Path) -> None:
    table, _ = predicted(
        tmp_path, clip(tmp_path / "two.mp4", two_people(20)), settings=Settings(max_faces=1, files=False)
    )
    assert table["frame"].to_pylist() == list(range(20))
    assert set(table["face"].to_pylist()) == {0}


def test_pictures_are_asked_about_together_and_are_apart(tmp_path: Path) -> None:
    for number in range(40):
        squares = {(20, 20): RED, (100, 20): BLUE} if number % 2 else {}
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture(squares)[:, :, ::-1])
    model = ColourModel()
    table, outcomes = predicted(tmp_path, str(tmp_path / "*.png"), model=model)
    assert sum(model.batches) == 40
    assert len(model.batches) == 2
    assert len(outcomes) == 40
    rows = [(Path(row["source"]).stem, row["face"]) for row in table.to_pylist()]
    expected = [[(f"{n:02}", 0), (f"{n:02}", 1)] if n % 2 else [(f"{n:02}", None)] for n in range(40)]
    assert rows == [row for rows_of_one in expected for row in rows_of_one]
    assert set(table["time"].to_pylist()) == {None}


def test_a_broken_file_among_many_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = clip(tmp_path / "b.mp4", two_people(6))
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "d.png"), picture({(20, 20): RED})[:, :, ::-1])
    table, outcomes = predicted(tmp_path, tmp_path / "a.mp4", good, tmp_path / "c.jpg", tmp_path / "d.png")
    errors = {Path(outcome.source).name: outcome.error for outcome in outcomes}
    assert "a.mp4" in errors["a.mp4"]
    assert "c.jpg" in errors["c.jpg"]
    assert errors["b.mp4"] == errors["d.png"] == ""
    assert {Path(source).name for source in table["source"].to_pylist()} == {"b.mp4", "d.png"}


def test_a_video_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.avi", two_people(60))
    content = whole.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    table, (outcome,) = predicted(tmp_path, tmp_path / "cut.avi")
    assert 0 < len(set(table["frame"].to_pylist())) < 60
    assert outcome.num_frames == len(set(table["frame"].to_pylist()))


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    from PIL import Image

    upright = picture({(8, 56): RED})
    lying = Image.fromarray(np.rot90(upright))  # turned to the left; the tag says: turn to the right
    tags = Image.Exif()
    tags[0x0112] = 6
    lying.save(tmp_path / "phone.jpg", exif=tags, quality=95)
    table, _ = predicted(tmp_path, tmp_path / "phone.jpg")
    (row,) = table.to_pylist()
    assert [row[name] for name in ("left", "top", "right", "bottom")] == pytest.approx([8, 56, 40, 88], abs=3)


def test_names_that_are_no_utf8_and_have_line_breaks(tmp_path: Path) -> None:
    content = cv2.imencode(".png", picture({(20, 20): RED})[:, :, ::-1])[1].tobytes()
    for name in (b"caf\xe9.png", b"two\nlines.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(content)
    table, outcomes = predicted(tmp_path, tmp_path, settings=Settings())
    assert [file_name(source) for source in table["source"].to_pylist()] == [
        str(tmp_path / os.fsdecode(name)) for name in (b"caf\xe9.png", b"two\nlines.png")
    ]
    written = [file for outcome in outcomes for file in outcome.files]
    assert all((tmp_path / "out" / file).is_file() and file.isprintable() for file in written)
    assert len(written) == 2
    json.dumps([outcome.to_dict() for outcome in outcomes]).encode()


def test_a_camera_ends_when_it_is_told_to(tmp_path: Path) -> None:
    path = clip(tmp_path / "camera.avi", two_people(25))
    table, (outcome,) = predicted(tmp_path, f"camera:{path}")
    assert sorted(set(table["frame"].to_pylist())) == list(range(25))
    times = table["time"].to_pylist()
    assert times == sorted(times)
    assert outcome.kind == "camera"


def test_a_camera_is_stopped_and_what_it_saw_is_kept(tmp_path: Path) -> None:
    stop = Event()

    class StoppingDetector(SquareDetector):
        def detect(self, image: np.ndarray) -> list[Face]:
            stop.set()
            return super().detect(image)

    inputs, _ = find_inputs([f"camera:{clip(tmp_path / 'camera.avi', [{(20, 20): RED}] * 200)}"])
    part = tmp_path / "part.parquet"
    model = ColourModel()
    look = FaceLook(StoppingDetector(), model.info)
    (outcome,) = predict_inputs(inputs, model, look, tmp_path, part, TABLE_ONLY, stop=stop)
    assert 0 < outcome.num_frames < 200
    assert pq.read_table(part)["frame"].to_pylist() == list(range(outcome.num_frames))
    assert outcome.error == ""


def test_a_camera_that_is_not_there_is_reported(tmp_path: Path) -> None:
    table, (outcome,) = predicted(tmp_path, f"camera:{tmp_path / 'none.avi'}")
    assert len(table) == 0
    assert "no camera" in outcome.error
