"""Source videos: found by the track's name, and their frames counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_layouts import avi, write

from abaw_ray.databases.reading.videos import count_frames, find_video
from abaw_ray.errors import DatabaseFormatError


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


def test_frames_are_counted(tmp_path: Path) -> None:
    assert count_frames(avi(tmp_path / "12.avi", 13)) == 13


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes | None) -> None:
    video = tmp_path / "12.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(DatabaseFormatError, match=r"12\.mp4: found no frame") as error:
        count_frames(video)
    assert error.value.file == str(video)
