"""Windows over time: which frames of each video make up a window (the paper's reference code). NumPy only.

Positions count the frames of all videos one after the other; `starts` is the first position of each video.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def window_starts(num_frames: int, length: int, stride: int, pad: bool = False) -> np.ndarray:
    """First frame of each window of a video, int64.

    Windows begin every `stride` frames; one that reaches the end is moved back to end there, so that several can be the
    same.

    Args:
        num_frames: of the video.
        length: of a window.
        stride: between the beginnings of windows.
        pad: give a video shorter than a window one (that is to be filled up) instead of none.
    """
    if num_frames < length:
        return np.zeros(int(pad and num_frames > 0), np.int64)
    return np.minimum(np.arange(0, num_frames, stride, dtype=np.int64), num_frames - length)


def gap_free_windows(frames: np.ndarray, starts: np.ndarray, length: int, stride: int) -> np.ndarray:
    """Windows without a gap, of all videos.

    Args:
        frames: (n,) frame numbers, ascending in each video.
        starts: (videos,) first position of each video.
        length: frames of a window; videos with fewer have none.
        stride: between the beginnings of windows.

    Returns:
        (windows, length) int64 positions.
    """
    bounds = np.append(starts, len(frames)).tolist()
    firsts = [first + window_starts(last - first, length, stride) for first, last in pairwise(bounds)]
    first = np.concatenate([np.empty(0, np.int64), *firsts])
    # frames ascend: nothing is missing if the last is length - 1 after the first
    whole = frames[first + length - 1] - frames[first] == length - 1
    return first[whole][:, None] + np.arange(length)


def covering_windows(starts: np.ndarray, num_frames: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows that cover every frame, as on the test set.

    They follow one another, the last of a video moved back to its end; a shorter video is filled up with its
    last frame.

    Args:
        starts: (videos,) first position of each video.
        num_frames: of all videos.
        length: frames of a window.

    Returns:
        (windows, length) int64 positions, and the place (num_frames,) in them, flat, at which each comes first.
    """
    bounds = np.append(starts, num_frames).tolist()
    windows = [np.empty((0, length), np.int64)]
    for first, last in pairwise(bounds):
        within = window_starts(last - first, length, length, pad=True)[:, None] + np.arange(length)
        windows.append(first + np.minimum(within, last - first - 1))
    positions = np.concatenate(windows)
    return positions, np.unique(positions.reshape(-1), return_index=True)[1]
