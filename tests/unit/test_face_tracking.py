"""Who is followed keeps the id, through gaps and past others; who is new gets a new one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.tracking import Tracker, limit

FPS = 32
"""Of which the times of frames are exact."""


def face(x: float, y: float, side: float = 80.0, confidence: float = 0.9) -> Face:
    """A face around a place."""
    return Face(np.array([x - side / 2, y - 0.6 * side, x + side / 2, y + 0.6 * side]), confidence)


def follow(frames: list[list[Face]], tracker: Tracker | None = None, start: float = 0.0) -> list[list[int]]:
    """Ids frame by frame, at FPS."""
    tracker = tracker or Tracker()
    return [tracker.update(start + number / FPS, faces) for number, faces in enumerate(frames)]


@st.composite
def scenes(draw: st.DrawFn) -> list[list[Face]]:
    """Up to four people who walk about, each now and then unseen."""
    numbers = st.floats(0, 600, allow_nan=False)
    people = draw(st.lists(st.tuples(numbers, numbers, st.floats(-8, 8), st.floats(20, 120)), min_size=1, max_size=4))
    frames = []
    for number in range(draw(st.integers(1, 8))):
        seen = [person for person in people if draw(st.integers(0, 4))]
        frames.append([face(x + number * speed, y, side, 0.5 + side / 300) for x, y, speed, side in seen])
    return frames


@given(scenes(), st.randoms())
def test_the_order_of_faces_does_not_matter(frames: list[list[Face]], random: object) -> None:
    tracker, shuffled = Tracker(), Tracker()
    for number, faces in enumerate(frames):
        ids = tracker.update(number / FPS, faces)
        order = list(range(len(faces)))
        random.shuffle(order)  # type: ignore[attr-defined]
        found = shuffled.update(number / FPS, [faces[place] for place in order])
        boxes = sorted(zip((f.box.tolist() for f in faces), ids, strict=True))
        assert sorted((faces[p].box.tolist(), known) for p, known in zip(order, found, strict=True)) == boxes


@given(scenes(), st.integers(-500, 500), st.integers(-500, 500), st.integers(0, 1000))
def test_ids_are_the_same_elsewhere_and_later(frames: list[list[Face]], x: int, y: int, seconds: int) -> None:
    whole = [[Face(np.rint(f.box), f.confidence) for f in faces] for faces in frames]
    shift = np.array([x, y, x, y])
    moved = [[Face(f.box + shift, f.confidence) for f in faces] for faces in whole]
    assert follow(moved, start=seconds) == follow(whole)


@given(scenes())
def test_each_face_has_an_id_of_its_own_and_they_are_counted_from_0(frames: list[list[Face]]) -> None:
    found = follow(frames)
    assert all(len(set(ids)) == len(ids) == len(faces) for ids, faces in zip(found, frames, strict=True))
    seen = [known for ids in found for known in sorted(ids)]
    assert sorted(set(seen)) == list(range(len(set(seen))))
    assert list(dict.fromkeys(seen)) == sorted(set(seen)), "in the order of first appearance"


def test_of_faces_that_appear_together_the_largest_is_first() -> None:
    assert follow([[face(100, 100, 40), face(300, 100, 90), face(500, 100, 60)]]) == [[2, 0, 1]]


@pytest.mark.parametrize("speed", [3, 6, 12])
def test_two_who_cross_keep_their_ids(speed: int) -> None:
    frames = [[face(100 + speed * n, 200), face(500 - speed * n, 215)] for n in range(400 // speed)]
    assert follow(frames) == [[1, 0]] * len(frames) or follow(frames) == [[0, 1]] * len(frames)


def test_one_who_is_hidden_while_they_cross_comes_back_on_the_other_side() -> None:
    frames = []
    for n in range(60):
        left, right = face(100 + 7 * n, 200), face(520 - 7 * n, 205, 90)
        hidden = abs(left.box[0] - right.box[0]) < 60
        frames.append([right] if hidden else [left, right])
    found = follow(frames)
    assert any(len(ids) == 1 for ids in found)
    assert all(ids in ([1, 0], [0]) for ids in found)


@pytest.mark.parametrize(("num_missing", "same"), [(1, True), (15, True), (31, True), (32, False), (100, False)])
def test_a_gap_is_survived_up_to_a_second(num_missing: int, same: bool) -> None:
    frames = [[face(200 + n, 150)] for n in range(20)]
    later: list[list[Face]] = [[face(220 + num_missing + n, 150)] for n in range(5)]
    found = follow([*frames, *([[]] * num_missing), *later])
    assert found[:20] == [[0]] * 20
    assert found[-5:] == [[0 if same else 1]] * 5


def test_the_longest_gap_can_be_chosen() -> None:
    frames = [[face(200, 150)], *([[]] * 50), [face(200, 150)]]
    assert follow(frames, Tracker(max_gap_seconds=3))[-1] == [0]
    assert follow(frames, Tracker(max_gap_seconds=0.5))[-1] == [1]


def test_after_a_change_of_scene_ids_are_new() -> None:
    before = [[face(150, 200, 90), face(400, 200, 80)]] * 10
    closer = [[face(320, 220, 260)]] * 10
    elsewhere = [[face(560, 150, 85)]] * 10
    found = follow([*before, *closer, *elsewhere])
    assert found == [[0, 1]] * 10 + [[2]] * 10 + [[3]] * 10


def test_a_false_alarm_takes_nobodys_id() -> None:
    frames = [[face(200 + n, 150)] for n in range(20)]
    frames[8] = [face(500, 300, 50, 0.99), *frames[8]]
    found = follow(frames)
    assert found[8] == [1, 0]
    assert all(ids == [0] for n, ids in enumerate(found) if n != 8)


def test_one_picture_a_second_is_enough_to_follow_who_hardly_moves() -> None:
    tracker = Tracker(max_gap_seconds=2)
    assert [tracker.update(n, [face(200 + 25 * (n % 2), 150)]) for n in range(6)] == [[0]] * 6


def test_the_nearest_is_assigned_so_that_all_fit() -> None:
    """The first is nearer to the second's place, but the second could be nobody else."""
    tracker = Tracker()
    assert tracker.update(0, [face(100, 100), face(150, 100)]) == [0, 1]
    assert tracker.update(1 / FPS, [face(130, 100), face(185, 100)]) == [0, 1]


def test_times_that_stand_still_or_go_back_are_no_end() -> None:
    tracker = Tracker()
    for time in (0.0, 0.0, 0.04, 0.02, 0.06):
        assert tracker.update(time, [face(100, 100)]) == [0]


def test_who_is_long_gone_is_forgotten() -> None:
    tracker = Tracker()
    for number in range(300):
        tracker.update(float(2 * number), [face(100, 100), face(300, 100)])
    assert len(tracker._tracks) == 2


def test_limit_keeps_large_and_certain_faces_in_their_order() -> None:
    faces = [face(100, 100, 30), face(200, 100, 80, 0.9), face(300, 100, 85, 0.4), face(400, 100, 60)]
    assert limit(faces, 2) == [faces[1], faces[3]]
    assert limit(faces, 9) == faces
    assert limit([], 3) == []


def test_limit_prefers_who_is_followed_already() -> None:
    tracker = Tracker()
    tracker.update(0, [face(100, 100, 60)])
    faces = [face(400, 100, 110), face(101, 100, 60)]
    assert limit(faces, 1, tracker, 1 / FPS) == [faces[1]]
    assert limit(faces, 1, tracker, 30.0) == [faces[0]], "who is forgotten is preferred no more"
    assert tracker.update(1 / FPS, limit(faces, 1, tracker, 1 / FPS)) == [0], "asking changes nothing"
