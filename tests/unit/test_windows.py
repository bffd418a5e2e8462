"""Windows over time: the reference's, by its own numbers, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.sampling.windows import covering_windows, gap_free_windows, window_starts

VIDEOS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("num_frames", "starts"),
    [
        (31, []),
        (32, [0, 0]),
        (33, [0, 1, 1]),
        (48, [0, 16, 16]),
        (64, [0, 16, 32, 32]),
        (100, [0, 16, 32, 48, 64, 68, 68]),
    ],
)
def test_training_windows_of_the_reference(num_frames, starts):
    assert window_starts(num_frames, 32, 16).tolist() == starts


@pytest.mark.parametrize(
    ("num_frames", "starts"),
    [(20, []), (32, [0]), (33, [0, 1]), (48, [0, 16]), (64, [0, 32]), (100, [0, 32, 64, 68])],
)
def test_evaluation_windows_of_the_reference(num_frames, starts):
    assert window_starts(num_frames, 32, 32).tolist() == starts


def test_a_short_video_can_be_filled_up():
    assert window_starts(20, 32, 32, pad=True).tolist() == [0]
    assert window_starts(0, 32, 32, pad=True).tolist() == []


def test_windows_with_a_gap_are_left_out():
    frames = np.array([0, 1, 2, 3, 5, 6, 7, 8])
    assert gap_free_windows(frames, np.array([0]), 4, 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7]]


def gappy(lengths: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers of videos that miss one frame in twenty, and first positions."""
    rng = np.random.default_rng(seed)
    frames = [np.flatnonzero(np.append(True, rng.random(n - 1) > 0.05)) for n in lengths]
    counts = [len(f) for f in frames]
    return np.concatenate(frames), np.cumsum([0, *counts[:-1]])


@given(VIDEOS, st.integers(2, 9), st.integers(0, 100))
def test_gap_free_windows_are_consecutive_frames_of_one_video(lengths, length, seed):
    frames, starts = gappy(lengths, seed)
    video = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(frames)))
    found = gap_free_windows(frames, starts, length, length // 2)
    assert found.shape[1:] == (length,)
    assert (np.diff(frames[found], axis=1) == 1).all()
    assert (video[found] == video[found[:, :1]]).all()
    expected = 0
    for first, last in zip(starts, np.append(starts[1:], len(frames)), strict=True):
        for start in window_starts(last - first, length, length // 2):
            expected += bool((np.diff(frames[first + start : first + start + length]) == 1).all())
    assert len(found) == expected


@given(VIDEOS, st.integers(2, 9))
def test_covering_windows_cover_every_frame_and_the_first_counts(lengths, length):
    starts, total = np.cumsum([0, *lengths[:-1]]), sum(lengths)
    windows, owner = covering_windows(starts, total, length)
    assert windows[:, 0].tolist() == sorted(windows[:, 0].tolist())
    flat = windows.reshape(-1)
    assert flat[owner].tolist() == list(range(total))
    assert owner.tolist() == [flat.tolist().index(position) for position in range(total)]
    video = np.repeat(np.arange(len(lengths)), lengths)
    assert (video[windows] == video[windows[:, :1]]).all()


def test_a_short_video_is_filled_up_with_its_last_frame():
    windows, owner = covering_windows(np.array([0, 3]), 9, 4)
    assert windows.tolist() == [[0, 1, 2, 2], [3, 4, 5, 6], [5, 6, 7, 8]]
    assert owner.tolist() == [0, 1, 2, 4, 5, 6, 7, 10, 11]
