"""A part of a video that several tracks or streams have samples of is decoded once, and gives them the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from films import HEIGHT, WIDTH, film, picture
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.preprocess import images
from abaw_ray.preprocess.shared_videos import MOST, made_together
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.image import KIND
from abaw_ray.streams.kind import CutSettings
from abaw_ray.video import read_frames

NUM_PICTURES = 60


def planned(file: str, frames: Sequence[int], box: Sequence[float] = ()) -> pa.Table:
    return pa.table(
        {
            "video": [file] * len(frames),
            "frame": pa.array(frames, pa.int32()),
            "image": [file] * len(frames),
            "geometry": pa.array([list(box)] * len(frames), pa.list_(pa.float32())),
        }
    )


def test_tracks_and_streams_of_a_video_are_cut_out_of_one_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "a.mp4", [picture(n) for n in range(NUM_PICTURES)])
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    face = Stream(name=FACE, kind="image", size=16, encoding="raw", crop="box")
    body = Stream(name="body", kind="image", size=24, encoding="jpeg")
    left, right = [0, 0, 40, 40], [WIDTH - 40, HEIGHT - 40, WIDTH, HEIGHT]
    parts = [
        (planned("a.mp4", range(40), left), face),
        (planned("a.mp4", range(10, 50, 2), right), face),
        (planned("a.mp4", [5, 30, 30, 999]), body),
        (planned("a.mp4", [1, 2], [9, 9, 3, 3]), face),
        (planned("bad.mp4", [0], left), face),
        (planned("none.mp4", [0], left), face),
    ]
    asked: list[tuple[str, list[int]]] = []
    apart = [KIND.cut(rows, tmp_path, stream, CutSettings()) for rows, stream in parts]
    monkeypatch.setattr(
        images, "read_frames", lambda path, n: (asked.append((path.name, list(n))), read_frames(path, n))[1]
    )
    together = KIND.cut_together(parts, tmp_path, CutSettings())
    for one, other in zip(together, apart, strict=True):
        assert one.samples.equals(other.samples)
        assert (one.reasons, one.places) == (other.reasons, other.places)
    whole = [*range(41), *range(42, 50, 2), 999]
    assert asked == [("a.mp4", whole), ("bad.mp4", [0])], "what is not there is not asked for"
    assert [sorted(set(made.reasons)) for made in together] == [
        [""], [""], ["", "unreadable_frame"], ["bad_geometry"], ["unreadable_image"], ["missing_image"]
    ]  # fmt: skip


def test_blocks_of_the_same_part_are_made_together() -> None:
    tables = [
        planned("a.mp4", range(1024)),
        planned("a.mp4", range(1024, 2048)),
        planned("b.mp4", range(1024)),
        planned("a.jpg", [0, 1]),
        planned("a.mp4", range(300, 1500)),  # another track
        planned("a.mp4", range(1500, 1600)),
        planned("a.mp4", range(1024)),  # of another root
        planned("a.jpg", [0, 1]),
    ]
    makers = ["root"] * 6 + ["elsewhere", "root"]
    assert made_together(tables, makers) == [[0, 4], [1, 5], [2], [3], [6], [7]]
    photos_of_several_files = pa.concat_tables([planned("a.mp4", [0]), planned("b.mp4", [1])])
    assert made_together([photos_of_several_files] * 2, ["root"] * 2) == [[0], [1]]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90)), max_size=12))
def test_every_block_is_made_once_and_with_those_that_it_shares_frames_with(parts: list[tuple[int, int]]) -> None:
    tables = [planned("a.mp4", range(first, first + length)) for first, length in parts]
    groups = made_together(tables, [""] * len(parts))
    assert sorted(place for group in groups for place in group) == list(range(len(parts)))
    assert all(len(group) <= MOST for group in groups)
    for group in groups:
        for one, other in combinations(group, 2):
            if len(group) == 2:
                shared = np.intersect1d(tables[one]["frame"], tables[other]["frame"])
                assert 2 * (len(shared) + 1) >= min(tables[one].num_rows, tables[other].num_rows)
    assert made_together([tables[0]] * 3, [""] * 3) == [[0, 1, 2]] if tables else groups == []
