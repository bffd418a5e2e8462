"""What a model says of one person over time is what an evaluation of the same frames says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.evaluation.calibration import calibrated
from abaw_ray.evaluation.smoothing import Smoothing, parse_smoothing
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.inference.people import Batch, Person, Sight
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.spaces import LabelSpace

MOOD = LabelSpace(name="mood", kind="multiclass", names=("good", "bad"))
LEVEL = LabelSpace(name="level", kind="regression", names=("height",), low=0.0, high=1.0)
TEMPERATURE = 1.7


class Counting:
    """Says of each face a number that its first pixel and the faces around it in the window make."""

    def __init__(self, window: int | None) -> None:
        self.info = ModelInfo(
            kind="cnn",
            role="teacher",
            spaces=(MOOD, LEVEL),
            image_size=1,
            crop="box",
            window=window,
            temperatures={"mood": [TEMPERATURE]},
        )
        self.num_calls = 0

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        self.num_calls += 1
        pixel = faces[:, 0, 0, 0].astype(np.float32) / 255
        if self.info.window is not None:
            pixel = pixel * 0.5 + np.roll(pixel, 1) * 0.2 + pixel.mean() * 0.2
        good = 0.05 + 0.9 * pixel
        mood = calibrated(MOOD, np.stack([good, 1 - good], 1).astype(np.float32), {"temperature": [TEMPERATURE]})
        return {"mood": mood, "level": pixel[:, None], "level:deviation": pixel[:, None] / 10}


def crop(number: int) -> np.ndarray:
    return np.full((1, 1, 3), number, np.uint8)


def followed(model: Counting, pixels: list[int | None], smoothing: Smoothing | None, batch_size: int) -> list[Sight]:
    """The sights of one person; None: a frame in which there is none."""
    batch = Batch(model, batch_size)
    person = Person(model, batch, smoothing)
    sights = []
    for pixel in pixels:
        if pixel is None:
            person.miss()
            continue
        sights.append(Sight(0, Face(np.zeros(4), 1.0), crop(pixel)))
        person.see(sights[-1])
    person.end()
    batch.flush()
    return sights


def evaluated(model: Counting, pixels: list[int | None], smoothing: Smoothing | None) -> dict[str, np.ndarray]:
    """As evaluation has it: frames without a face have the last one, windows cover the video, then it is smoothed."""
    held: list[int] = []
    for pixel in pixels:
        held.append(pixel if pixel is not None else held[-1])
    faces = np.stack([crop(pixel) for pixel in held])
    if model.info.window is None:
        vectors = model.predict(faces)
    else:
        windows, owner = covering_windows(np.zeros(1, np.int64), len(faces), model.info.window)
        parts = [model.predict(faces[window]) for window in windows]
        vectors = {task: np.concatenate([part[task] for part in parts])[owner] for task in parts[0]}
    if smoothing is None:
        return vectors
    start = np.zeros(1, np.int64)
    raw = vectors | {"mood": calibrated(MOOD, vectors["mood"], {"temperature": [1 / TEMPERATURE]})}
    smooth = {task: smoothing.apply(values, start) for task, values in raw.items()}
    return smooth | {"mood": calibrated(MOOD, smooth["mood"], {"temperature": [TEMPERATURE]})}


@given(
    pixels=st.lists(st.integers(0, 255) | st.none(), min_size=0, max_size=40),
    first=st.integers(0, 255),
    last=st.integers(0, 255),
    window=st.sampled_from([None, 1, 2, 5, 8]),
    smoothing=st.sampled_from([None, "median:3", "median:9", "gaussian:1", "gaussian:0.3"]),
    batch_size=st.sampled_from([1, 3, 32]),
)
def test_it_is_what_an_evaluation_says(
    pixels: list[int | None], first: int, last: int, window: int | None, smoothing: str | None, batch_size: int
) -> None:
    model, frames = Counting(window), [first, *pixels, last]
    smooth = parse_smoothing(smoothing) if smoothing else None
    sights = followed(model, frames, smooth, batch_size)
    expected = evaluated(model, frames, smooth)
    seen = [place for place, pixel in enumerate(frames) if pixel is not None]
    assert all(sight.answer is not None for sight in sights)
    for task, values in expected.items():
        found = np.stack([sight.answer[task] for sight in sights if sight.answer is not None])
        np.testing.assert_allclose(found, values[seen], atol=1e-5, err_msg=task)


@pytest.mark.parametrize("window", [None, 4])
def test_answers_come_before_the_end(window: int | None) -> None:
    """Memory does not grow with the length: no more frames wait than a window, a batch and the smoothing need."""
    model = Counting(window)
    smoothing = parse_smoothing("median:5")
    batch = Batch(model, 3)
    person = Person(model, batch, smoothing)
    sights = []
    for number in range(100):
        sights.append(Sight(0, Face(np.zeros(4), 1.0), crop(number)))
        person.see(sights[-1])
        num_waiting = sum(sight.answer is None for sight in sights)
        assert num_waiting <= (window or 3) + smoothing.reach
        assert all(sight.crop is None for sight in sights)


def test_faces_after_the_last_sight_do_not_count() -> None:
    model = Counting(4)
    with_misses = followed(model, [10, 20, 30, None, None], None, 1)
    without = followed(model, [10, 20, 30], None, 1)
    for a, b in zip(with_misses, without, strict=True):
        assert a.answer is not None
        assert b.answer is not None
        np.testing.assert_array_equal(a.answer["level"], b.answer["level"])


def test_single_faces_are_asked_about_together() -> None:
    model = Counting(None)
    followed(model, list(range(64)), None, 32)
    assert model.num_calls == 2
