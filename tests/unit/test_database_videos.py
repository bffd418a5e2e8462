"""Source videos: found by the track's name, and their frames counted."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from native_layouts import avi, write

from abaw_ray.databases.videos import count_frames, find_video
from abaw_ray.errors import DatabaseFormatError

VideoCapture = cv2.VideoCapture


@pytest.mark.parametrize(
    ("track", "name"),
    [
        ("a", "a.MP4"),
        ("a_left", "a.MP4"),
        ("a_right", "a_right.webm"),
        ("10-60-1280x720_right", "10-60-1280x720.mkv"),
        ("dots.in.name", "dots.in.name.mov"),
        ("b", None),
        ("left", None),
        ("a_middle", None),
        ("notes", None),
    ],
)
def test_find_video(tmp_path: Path, track: str, name: str | None) -> None:
    for video in (
        "a.MP4",
        "a_right.webm",
        "10-60-1280x720.mkv",
        "dots.in.name.mov",
        "notes.txt",
        "._b.mp4",
        "_left.mp4",
    ):
        write(tmp_path / video, "video")
    assert find_video(tmp_path, track) == (tmp_path / name if name else None)


def test_find_video_without_a_folder_or_with_two_videos(tmp_path: Path) -> None:
    assert find_video(tmp_path / "none", "a") is None
    for name in ("a.avi", "a.mp4"):
        write(tmp_path / name, "video")
    with pytest.raises(DatabaseFormatError, match=r"a\.avi and a\.mp4, expected one video of track a_left"):
        find_video(tmp_path, "a_left")


class Capture:
    """A container that states another number of frames than it has."""

    stated: float

    def __init__(self, path: str) -> None:
        self._capture = VideoCapture(path)
        self.grab, self.release = self._capture.grab, self._capture.release

    def get(self, _: int) -> float:
        return self.stated


@pytest.mark.parametrize("stated", [0.0, -9.2e18, 1e300, float("nan"), 20.0])
def test_frames_are_counted_where_no_number_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: float
) -> None:
    video = avi(tmp_path / "12.avi", 13)
    assert count_frames(video) == 13
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(Capture, "stated", stated, raising=False)
    assert count_frames(video) == (20 if stated == 20 else 13)


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes | None) -> None:
    video = tmp_path / "12.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(DatabaseFormatError, match=r"12\.mp4: found no frame") as error:
        count_frames(video)
    assert error.value.file == str(video)
