"""Frames of videos by number, and faces cut out of them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
from faces import cut_faces
from films import film, number_of, picture, scenes
from native_layouts import write
from paper import EXPRESSIONS

from abaw_ray.databases import affwild2
from abaw_ray.databases.affwild2 import AffWild2Options
from abaw_ray.databases.reading import videos as affwild2_videos
from abaw_ray.databases.reading.boxes import read_boxes
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.spaces import Split
from abaw_ray.streams.kind import Cut
from abaw_ray.video import UnreadableVideo, num_frames, read_frames

TITLES = ",".join(EXPRESSIONS)


def read(path: Path, numbers: list[int]) -> dict[int, int]:
    """Number asked for -> number that the picture shows."""
    return {number: number_of(image) for number, image in read_frames(path, numbers)}


@pytest.mark.parametrize(("name", "b_frames"), [("a.mp4", 0), ("a.mp4", 2), ("a.mkv", 2), ("a.avi", 0)])
def test_frames_are_those_asked_for(tmp_path, name, b_frames):
    video = film(tmp_path / name, [picture(n) for n in range(100)], b_frames=b_frames)
    assert num_frames(video) == 100
    for numbers in (list(range(100)), [0], [99], [50, 51, 52], [11, 12, 13, 60], list(range(37, 90, 7))):
        assert read(video, numbers) == {n: n for n in numbers}


def test_frames_shown_at_irregular_times_have_numbers_in_a_row(tmp_path):
    times = [3 * n + n % 2 + 40 for n in range(60)]
    video = film(tmp_path / "a.mkv", [picture(n) for n in range(60)], times=times)
    assert num_frames(video) == 60
    assert read(video, [0, 1, 30, 59]) == {0: 0, 1: 1, 30: 30, 59: 59}


def test_frames_beyond_the_end_are_left_out(tmp_path):
    video = film(tmp_path / "a.mp4", [picture(n) for n in range(20)])
    assert read(video, [18, 19, 20, 500]) == {18: 18, 19: 19}
    assert read(video, [500]) == {}
    assert read(video, []) == {}


def test_of_a_video_cut_short_the_frames_before_are_read_and_none_is_shifted(tmp_path):
    whole = film(tmp_path / "whole.mkv", [picture(n) for n in range(120)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = read(cut, list(range(120)))
    assert 20 < len(found) < 100
    assert found == {n: n for n in found}


def test_a_damaged_packet_is_left_out_and_nothing_is_shifted(tmp_path):
    video = film(tmp_path / "a.avi", [picture(n) for n in range(120)])
    with av.open(str(video)) as container:
        packet = next(bytes(p) for p in container.demux(video=0) if p.pts == 50)
    content = video.read_bytes()
    place = content.index(packet) + 8
    video.write_bytes(content[:place] + bytes(len(packet) - 8) + content[place + len(packet) - 8 :])
    found = read(video, list(range(120)))
    assert 50 not in found
    after = 60  # the next key frame; what is predicted from frame 50 is spoiled
    assert {n: found[n] for n in found if n < 50 or n >= after} == {n: n for n in range(120) if n < 50 or n >= after}


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"a\.mp4"):
        num_frames(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError):
        list(read_frames(tmp_path / "none.mp4", [0]))


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)], ids=["90", "180", "270"])
def test_frames_are_turned_as_opencv_turns_them(tmp_path, matrix):
    video = film(tmp_path / "a.mp4", [np.tril(picture(5)[:, :, 0])[:, :, None].repeat(3, 2)] * 3)
    content = bytearray(video.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = (int(v * 65536).to_bytes(4, "big", signed=True) for v in matrix)
    content[place : place + 36] = a + b + bytes(4) + c + d + bytes(4) + bytes(8) + content[place + 32 : place + 36]
    video.write_bytes(content)
    ((_, image),) = read_frames(video, [1])
    expected = cv2.cvtColor(cv2.VideoCapture(str(video)).read()[1], cv2.COLOR_BGR2RGB)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 12


def test_faces_cut_out_of_a_video_are_those_of_its_pictures(tmp_path):
    frames = scenes(np.random.default_rng(0), 30)
    film(tmp_path / "videos" / "a.mkv", frames, codec="ffv1", pixels="bgr0")
    numbers = [2, 3, 4, 17, 29, 31]
    boxes = np.array([[10 + n, 5, 50 + n, 45] for n in numbers], np.float32)
    for n in numbers[:-1]:
        cv2.imwrite(str(tmp_path / f"{n}.png"), cv2.cvtColor(frames[n], cv2.COLOR_RGB2BGR))

    def faces(images: list[str]) -> Cut:
        geometry = pa.ListArray.from_arrays(np.arange(0, 25, 4, dtype=np.int32), pa.array(boxes.reshape(-1)))
        rows = pa.table({"frame": pa.array(numbers, pa.int32()), "image": images, "geometry": geometry})
        return cut_faces(rows, tmp_path, "box", 32)

    of_video, of_files = faces(["videos/a.mkv"] * 6), faces([f"{n}.png" for n in numbers])
    assert of_video.samples.slice(0, 5).equals(of_files.samples.slice(0, 5))
    assert of_video.reasons == [""] * 5 + ["unreadable_frame"]
    assert of_video.places[5] == "videos/a.mkv: frame 31"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Aff-Wild2 with two tracks of one video, and boxes instead of crops."""
    film(tmp_path / "videos" / "5-60.mkv", scenes(np.random.default_rng(0), 6), codec="ffv1", pixels="bgr0")
    write(tmp_path / "EXPR_Set/Train_Set/5-60_left.txt", TITLES + "\n0\n1\n-1\n3\n4\n5\n")
    write(tmp_path / "EXPR_Set/Validation_Set/5-60_right.txt", TITLES + "\n6\n6\n6\n6\n6\n6\n")
    head = "frame,left,top,right,bottom\n"
    write(tmp_path / "boxes/5-60_left.csv", head + "0,1,2,30,40\n1,1,2,31,40\n2,1,2,32,40\n4,1,2,33,40\n")
    write(tmp_path / "boxes/5-60_right.csv", head + "3,60.5,2,90,40\n")
    write(tmp_path / "boxes/7-30.csv", head + "0,1,2,30,40\n")
    write(tmp_path / "boxes/notes.txt", "by a detector")
    return tmp_path


def test_boxes_and_videos_stand_in_for_crops(layout):
    table = affwild2.read(layout, AffWild2Options(boxes=layout / "boxes"))
    rows = table.rows.to_pylist()
    assert [(r["video"], r["frame"], r["image"]) for r in rows] == [
        ("5-60_left", 0, "videos/5-60.mkv"),
        ("5-60_left", 1, "videos/5-60.mkv"),
        ("5-60_left", 4, "videos/5-60.mkv"),
        ("5-60_right", 3, "videos/5-60.mkv"),
    ]
    assert [r["geometry"] for r in rows] == [[1, 2, 30, 40], [1, 2, 31, 40], [1, 2, 33, 40], [60.5, 2, 90, 40]]
    assert rows[3]["expression_split"] == Split.VALIDATION
    assert table.crop == "box"
    assert table.unseen.num_rows == 2 + 5, "labelled frames without a box"
    counts = table.problems.counts
    assert counts["image_without_label"] == 1
    assert table.problems.examples["image_without_label"] == ["videos/5-60.mkv: frame 2"]
    assert (counts["boxes_without_video"], counts["unexpected_file"]) == (1, 1)


def test_a_video_that_opencv_counts_otherwise_is_named(layout, monkeypatch):
    monkeypatch.setattr(affwild2_videos, "numbers_need_decoding", lambda video: True)
    agreed = affwild2.read(layout, AffWild2Options(boxes=layout / "boxes")).problems
    assert "opencv_counts_otherwise" not in agreed.counts
    monkeypatch.setattr(affwild2_videos, "num_frames", lambda video: 7)
    noted = affwild2.read(layout, AffWild2Options(boxes=layout / "boxes")).problems
    video = layout / "videos" / "5-60.mkv"
    assert noted.examples["opencv_counts_otherwise"][0] == f"{video}: 7 frames, OpenCV reads 6"


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "nothing"),
        ("frame,x,y,w,h\n0,1,2,3,4\n", 1, "'frame,x,y,w,h'"),
        ("frame,left,top,right,bottom\n0,1,2,3\n", 2, "'0,1,2,3'"),
        ("frame,left,top,right,bottom\n0,1,2,3,4\n1,1,2,x,4\n", 3, "'x'"),
        ("frame,left,top,right,bottom\n1,1,2,3,4\n1,1,2,3,4\n", 3, "'1,1,2,3,4'"),
        ("frame,left,top,right,bottom\n-1,1,2,3,4\n", 2, "'-1,1,2,3,4'"),
        ("frame,left,top,right,bottom\n0.5,1,2,3,4\n", 2, "'0.5,1,2,3,4'"),
        ("frame,left,top,right,bottom\n0,1,2,3,4\n2,3,2,1,4\n", 3, "'2,3,2,1,4'"),
    ],
)
def test_lines_that_are_no_boxes_are_named(tmp_path, text, line, found):
    with pytest.raises(DatabaseFormatError, match=r"a\.csv") as error:
        read_boxes(write(tmp_path / "a.csv", text))
    assert (error.value.line, error.value.found) == (line, found)
