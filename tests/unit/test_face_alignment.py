"""Faces are cut out of pictures as training had them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.inference.faces.alignment import TEMPLATE, cut_face
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.whole import WholePicture
from abaw_ray.preprocess.crops import CROPS, BadGeometry, fit
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.scenes import Face as Drawn
from abaw_ray.synthetic.scenes import random_background, random_camera, take_picture

SIZE = 96
USUAL = np.array([[-0.233, -0.117], [0.228, -0.121], [-0.004, 0.074], [-0.191, 0.239], [0.194, 0.237]])
"""Landmarks in boxes of detected faces of web photos, from the box's centre in its width and height: medians."""


def drawn(seed: int, roll: float = 0.0, centre: tuple[float, float] = (150.0, 130.0)) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a drawn face, and its 68 landmarks (68, 2)."""
    rng = np.random.default_rng(seed)
    face = Drawn(random_identity(rng), Actions(*[0.0] * 14), Pose(roll=roll), centre, 55.0)
    picture, shapes = take_picture(rng, random_background(rng, 320, 280), [face], random_camera(rng))
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), shapes[0].landmarks()


def perfect(points: np.ndarray) -> Face:
    """What a detector without error says of 68 landmarks."""
    five = np.stack([points[[36, 39]].mean(0), points[[42, 45]].mean(0), points[30], points[48], points[54]])
    start, end = points.min(0), points.max(0)
    centre, sides = (start + end) / 2, (end - start) / (1.0, 0.74)
    centre = centre - (0, 0.11 * sides[1])
    return Face(np.concatenate([centre - sides / 2, centre + sides / 2]), 1.0, five)


def spots(image: np.ndarray, points: np.ndarray, radius: float = 3.0) -> np.ndarray:
    """Five points (5, 2) as bright spots: one picture each (5, height, width, 3)."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    heights = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points]
    return np.stack([(255 * h).astype(np.uint8)[..., None].repeat(3, 2) for h in heights])


def spot_place(image: np.ndarray) -> np.ndarray:
    """Centre of mass (2,) in parts of the picture's side."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weight = image[..., 0].astype(float)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum() / len(image)


@pytest.mark.parametrize("roll", [0, 0.4, -0.9])
@pytest.mark.parametrize("seed", range(4))
def test_eye_aligned_is_the_crop_of_training(seed: int, roll: float) -> None:
    image, points = drawn(seed, roll)
    trained = fit(CROPS["eye_aligned"](image, points.reshape(-1)), SIZE)
    assert np.array_equal(cut_face(image, perfect(points), "eye_aligned", SIZE), trained)


@pytest.mark.parametrize("centre", [(150.0, 130.0), (40.0, 120.0), (300.0, 250.0)])
@pytest.mark.parametrize("seed", range(4))
def test_landmark_square_is_nearly_the_crop_of_training(seed: int, centre: tuple[float, float]) -> None:
    image, points = drawn(seed, centre=centre)
    image = cv2.GaussianBlur(image, (0, 0), 2)  # a pixel's rounding of the square changes little
    trained = fit(CROPS["landmark_square"](image, points.reshape(-1)), SIZE)
    found = cut_face(image, perfect(points), "landmark_square", SIZE)
    assert np.abs(found.astype(int) - trained).mean() < 3


@pytest.mark.parametrize("box", [(20, 30, 120, 130), (-30, -20, 60, 70), (250, 200, 400, 350)])
def test_a_square_box_is_the_crop_of_training(box: tuple[int, int, int, int]) -> None:
    image, _ = drawn(0)
    trained = fit(CROPS["box"](image, np.array(box, float)), SIZE)
    assert np.array_equal(cut_face(image, Face(np.array(box, float), 0.9), "box", SIZE), trained)


def test_a_box_that_is_higher_than_wide_becomes_a_square_of_its_height() -> None:
    x, y = np.meshgrid(np.arange(200), np.arange(200))
    image = np.stack([x, y, x], axis=2).astype(np.uint8)
    found = cut_face(image, Face(np.array([60.0, 50.0, 130.0, 150.0]), 0.9), "box", 100)
    # its centre 95, 100 - 0.2 * 30
    assert found[0, 0].tolist() == [45, 44, 45]
    assert found[-1, -1].tolist() == [144, 143, 144]


@pytest.mark.parametrize("size", [48, 112, 224])
@pytest.mark.parametrize("degrees", [0, 30, -70, 170])
def test_whole_faces_have_their_landmarks_where_the_template_has_them(size: int, degrees: float) -> None:
    turn = 1.7 * np.exp(1j * math.radians(degrees))
    points = (TEMPLATE - 56) @ (1, 1j) * turn + 200 + 180j
    landmarks = np.stack([points.real, points.imag], axis=1)
    face = Face(np.array([100.0, 80, 300, 280]), 0.9, landmarks)
    for picture, place in zip(spots(np.zeros((360, 400)), landmarks), TEMPLATE / 112, strict=True):
        assert np.allclose(spot_place(cut_face(picture, face, "whole", size)), place, atol=0.006)


@pytest.mark.parametrize("crop", ["whole", "eye_aligned"])
def test_without_landmarks_a_usual_face_is_cut_out_alike(crop: str) -> None:
    box = np.array([150.0, 120, 240, 243])
    landmarks = (box[:2] + box[2:]) / 2 + USUAL * (box[2:] - box[:2])
    for picture in spots(np.zeros((360, 400)), landmarks):
        known = spot_place(cut_face(picture, Face(box, 0.9, landmarks), crop, SIZE))
        assert np.allclose(spot_place(cut_face(picture, Face(box, 0.9), crop, SIZE)), known, atol=0.025)


@pytest.mark.parametrize("crop", ["whole", "eye_aligned"])
@pytest.mark.parametrize("by_picture", [False, True])
def test_a_face_upside_down_is_cut_out_upright(crop: str, by_picture: bool) -> None:
    image, points = drawn(1)
    upright, height, width = perfect(points), image.shape[0], image.shape[1]
    landmarks = (width, height) - upright.landmarks
    if by_picture:  # a detector that names the sides of the picture, not those of the face
        landmarks = landmarks[[1, 0, 2, 4, 3]]
    left, top, right, bottom = upright.box
    turned = Face(np.array([width - right, height - bottom, width - left, height - top]), 1.0, landmarks)
    found = cut_face(cv2.rotate(image, cv2.ROTATE_180), turned, crop, SIZE)
    assert np.abs(found.astype(int) - cut_face(image, upright, crop, SIZE)).mean() < 1.5


@pytest.mark.parametrize("crop", CROPS)
def test_a_picture_that_is_a_face_stays_as_it_is(crop: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    (face,) = WholePicture().detect(image)
    assert np.array_equal(cut_face(image, face, crop, 112), image)
    wide = np.hstack([image, image])
    (face,) = WholePicture().detect(wide)
    assert np.array_equal(cut_face(wide, face, crop, 112), fit(wide, 112))


def test_black_where_the_face_leaves_the_picture() -> None:
    image = np.full((200, 200, 3), 200, np.uint8)
    box = np.array([-40.0, 60, 40, 160])
    landmarks = (box[:2] + box[2:]) / 2 + USUAL * (box[2:] - box[:2])
    for face in (Face(box, 0.9), Face(box, 0.9, landmarks)):
        for crop in ("whole", "box", "eye_aligned"):
            found = cut_face(image, face, crop, 64)
            assert (found[:, :28] == 0).all()
            assert (found[:, 36:] == 200).all()


@pytest.mark.parametrize("crop", sorted(CROPS))
@pytest.mark.parametrize(
    "box",
    [(139.7, 40, 170, 70), (-30, 40, 0.3, 70), (40, 99.7, 70, 130), (40, -80, 70, 0.3), (139.9, 99.9, 141, 200)],
)
def test_a_face_of_which_a_sliver_is_inside(crop: str, box: tuple[float, float, float, float]) -> None:
    image = np.full((100, 140, 3), 90, np.uint8)
    assert cut_face(image, Face(np.array(box, np.float64), 0.9), crop, 7).shape == (7, 7, 3)


@given(
    st.tuples(*[st.floats(-1, 1)] * 2, *[st.floats(0.02, 3)] * 2),
    st.one_of(st.none(), st.tuples(st.floats(-math.pi, math.pi), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))),
    st.sampled_from(sorted(CROPS)),
    st.sampled_from([1, 7, 48]),
)
def test_every_face_that_is_seen_can_be_cut_out(
    box: tuple[float, float, float, float], turn: tuple[float, float, float] | None, crop: str, size: int
) -> None:
    """Larger than the picture, at its edge, of a few pixels, turned and profile."""
    image = np.full((100, 140, 3), 90, np.uint8)
    x, y, width, height = np.array(box) * (140, 100, 140, 100)
    centre = np.array([70 + x * 0.5 + np.sign(x) * width * 0.45, 50 + y * 0.5 + np.sign(y) * height * 0.45])
    sides = np.array([max(width, 2), max(height, 2)])
    landmarks = None
    if turn:
        angle, across, down = turn
        usual = USUAL * sides
        usual[2] += (across, down) * sides
        cos, sin = math.cos(angle), math.sin(angle)
        landmarks = centre + usual @ np.array([[cos, sin], [-sin, cos]])
    face = Face(np.concatenate([centre - sides / 2, centre + sides / 2]), 0.9, landmarks)
    found = cut_face(image, face, crop, size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((10, 10, math.nan, 50), "not finite"),
        ((10, 10, 10, 50), "empty box"),
        ((300, 10, 350, 50), "outside the photo of 100 x 80"),
        ((10, -90, 50, -2), "outside the photo of 100 x 80"),
    ],
)
def test_boxes_that_hold_no_face(crop: str, box: tuple[float, ...], message: str) -> None:
    with pytest.raises(BadGeometry, match=message):
        cut_face(np.zeros((80, 100, 3), np.uint8), Face(np.array(box, float), 0.9), crop, 48)
