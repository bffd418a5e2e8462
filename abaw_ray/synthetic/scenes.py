"""Pictures of drawn faces: background, light, lens and sensor around them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from abaw_ray.synthetic.faces import Actions, Identity, Pose, Shape, face_shape
from abaw_ray.synthetic.painting import paint_body, paint_face

ZOOM = 2  # faces are painted at twice the size and averaged down
# larger than any picture; each takes its grain from another place of it
_NOISE = np.random.default_rng(0).normal(0, 1, (1024, 1024, 3)).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """How a picture is lit and taken.

    Args:
        light: (x, y) change of brightness from the middle to the right and lower edges.
        gain: brightness of each colour (blue, green, red).
        blur: deviation of the blur in pixels; below 0.3 there is none.
        noise: deviation of the sensor noise in grey levels.
        jpeg_quality: 1-100.
    """

    light: tuple[float, float]
    gain: tuple[float, float, float]
    blur: float
    noise: float
    jpeg_quality: int


def random_camera(rng: np.random.Generator) -> Camera:
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.45)
    gain = rng.uniform(0.6, 1.2) * rng.normal(1, 0.06, 3)
    return Camera(
        light=(float(strength * np.cos(angle)), float(strength * np.sin(angle))),
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        blur=float(rng.uniform(0, 1.3)),
        noise=float(rng.uniform(1, 9)),
        jpeg_quality=int(rng.integers(55, 96)),
    )


def random_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(ZOOM * height, ZOOM * width, 3) uint8: soft patches of colour with a few hard edges."""
    patches = np.clip(rng.uniform(50, 190) + rng.normal(0, 30, 3) + rng.normal(0, 25, (4, 5, 3)), 0, 255).astype(
        np.uint8
    )
    canvas = cv2.resize(patches, (ZOOM * width, ZOOM * height), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(0, 4)):
        x, y = rng.integers(0, ZOOM * width), rng.integers(0, ZOOM * height)
        w, h = rng.integers(5, ZOOM * width // 2), rng.integers(5, ZOOM * height // 2)
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return canvas


@dataclass(frozen=True)
class Face:
    """A face in a picture; `centre` in pixels, `scale` in pixels per face unit."""

    who: Identity
    actions: Actions
    pose: Pose
    centre: tuple[float, float]
    scale: float


def box_of(shape: Shape) -> np.ndarray:
    """Left, top, right, bottom (4,) float64 of a face in a picture: from above the brows to the chin."""
    landmarks = shape.landmarks()
    left, top = landmarks.min(axis=0) - (0.02 * shape.scale, 0.3 * shape.scale)
    right, bottom = landmarks.max(axis=0) + 0.02 * shape.scale
    return np.array([left, top, right, bottom])


def take_picture(
    rng: np.random.Generator, background: np.ndarray, faces: list[Face], camera: Camera
) -> tuple[np.ndarray, list[Shape]]:
    """(height, width, 3) uint8 picture (blue, green, red), and where each face's parts are in it."""
    canvas = background.copy()
    shapes = [face_shape(f.who, f.actions, f.pose, f.centre, f.scale) for f in faces]
    # all bodies first: no shoulder hides a neighbour's face
    for face, shape in zip(faces, shapes, strict=True):
        paint_body(canvas, face.who, shape, ZOOM)
    for face, shape in zip(faces, shapes, strict=True):
        paint_face(canvas, face.who, face.actions, shape, ZOOM)
    height, width = canvas.shape[0] // ZOOM, canvas.shape[1] // ZOOM
    picture = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return _expose(rng, picture, camera), shapes


def _expose(rng: np.random.Generator, picture: np.ndarray, camera: Camera) -> np.ndarray:
    height, width = picture.shape[:2]
    if camera.blur >= 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), camera.blur)
    across = np.linspace(-camera.light[0], camera.light[0], width, dtype=np.float32)
    down = np.linspace(1 - camera.light[1], 1 + camera.light[1], height, dtype=np.float32)
    light = cv2.merge([(across[None, :] + down[:, None]) * np.float32(gain) for gain in camera.gain])
    x, y = rng.integers(0, _NOISE.shape[0] - np.array([width, height]))
    grain = _NOISE[y : y + height, x : x + width]
    exposed = cv2.scaleAdd(grain, camera.noise, cv2.multiply(picture, light, dtype=cv2.CV_32F))
    return np.clip(exposed, 0, 255, out=exposed).astype(np.uint8)
