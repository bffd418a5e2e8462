"""The clip that the demo leaves to try predictions on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abaw_ray.synthetic.clip import write_clip
from abaw_ray.video import read_frames


def test_the_clip_shows_two_people_and_is_the_same_again(tmp_path: Path) -> None:
    for name in ("one.avi", "two.avi"):
        write_clip(tmp_path / name, seed=3, num_frames=20)
    assert (tmp_path / "one.avi").read_bytes() == (tmp_path / "two.avi").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.avi", "two.avi"]
    frames = [image for _, image in read_frames(tmp_path / "one.avi", range(40))]
    assert [frame.shape for frame in frames] == [(480, 640, 3)] * 20
    moved = np.abs(frames[0].astype(int) - frames[-1]).mean(axis=(0, 2))
    assert moved[:320].mean() > 1
    assert moved[320:].mean() > 1
