"""The shape of a drawn face: who it is, what its muscles do, how the head is turned, and its 68 landmarks.

Lengths are in face units: the half width of an average head is 1, x grows to the right of the image, y
downwards, z towards the camera; the origin is between the eyes and the middle of the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NUM_LANDMARKS = 68


class Actions(NamedTuple):
    """What the face does; 0 is rest, 1 a full movement, negative the opposite where there is one."""

    brow_raise: float
    inner_brow: float
    frown: float
    eye_open: float
    cheek_raise: float
    nose_wrinkle: float
    corner: float
    """Mouth corners: up where positive."""
    stretch: float
    """Mouth width."""
    jaw_open: float
    upper_lip: float
    press: float
    """Lips pressed together, thin."""
    flush: float
    """Redness of the skin."""
    gaze: float
    blink: float


class Pose(NamedTuple):
    """Turn of the head in radians: yaw to the right of the image, pitch up, roll clockwise."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Identity:
    """What stays the same on one person's face. Sizes are factors around 1; colours are (blue, green, red)."""

    width: float
    chin: float
    squareness: float
    forehead: float
    eye_spacing: float
    eye_size: float
    eye_slant: float
    brow_height: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    mouth_height: float
    mouth_width: float
    lip_thickness: float
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    lips: tuple[float, float, float]
    clothes: tuple[float, float, float]
    long_hair: bool
    bald: bool
    hairline: float
    beard: float
    moustache: bool
    glasses: bool


_SKINS = np.array([[190, 208, 236], [165, 190, 228], [130, 165, 212], [95, 130, 180], [65, 95, 140], [48, 68, 105]])
_HAIRS = np.array([[20, 22, 28], [30, 45, 70], [45, 80, 120], [95, 150, 195], [30, 60, 140], [150, 150, 150]])
_IRISES = np.array([[25, 45, 75], [40, 80, 100], [150, 110, 70], [90, 120, 80]])


def random_identity(rng: np.random.Generator) -> Identity:
    """One person."""

    def size(spread: float) -> float:
        return float(np.clip(rng.normal(1.0, spread), 1 - 2.5 * spread, 1 + 2.5 * spread))

    def colour(palette: np.ndarray, spread: float) -> tuple[float, float, float]:
        return _colour(palette[rng.integers(len(palette))] + rng.normal(0, spread, 3))

    skin = colour(_SKINS, 8)
    rosy = np.array(skin) * [0.62, 0.58, 0.86] + rng.normal(0, 6, 3)
    male = rng.random() < 0.5
    return Identity(
        width=size(0.06),
        chin=size(0.06),
        squareness=size(0.12),
        forehead=size(0.08),
        eye_spacing=size(0.06),
        eye_size=size(0.10),
        eye_slant=float(rng.normal(0, 0.03)),
        brow_height=size(0.12),
        brow_thickness=size(0.25),
        nose_length=size(0.10),
        nose_width=size(0.15),
        mouth_height=size(0.04),
        mouth_width=size(0.09),
        lip_thickness=size(0.22),
        skin=skin,
        hair=colour(_HAIRS, 10),
        iris=colour(_IRISES, 10),
        lips=_colour(rosy),
        clothes=_colour(rng.uniform(20, 230, 3)),
        long_hair=bool(not male and rng.random() < 0.8),
        bald=bool(male and rng.random() < 0.15),
        hairline=size(0.15),
        beard=float(rng.uniform(0.25, 0.7)) if male and rng.random() < 0.3 else 0.0,
        moustache=bool(male and rng.random() < 0.15),
        glasses=bool(rng.random() < 0.2),
    )


def _colour(values: np.ndarray) -> tuple[float, float, float]:
    blue, green, red = np.clip(values, 0, 255)
    return float(blue), float(green), float(red)


class Shape:
    """Points of a face's parts in the image, and its landmarks.

    Args:
        parts: part name -> (points, 2) pixels.
        scale: pixels per face unit.
    """

    def __init__(self, parts: dict[str, np.ndarray], scale: float) -> None:
        self.parts, self.scale = parts, scale

    def landmarks(self) -> np.ndarray:
        """(68, 2) pixels, in the iBUG order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67."""
        p = self.parts
        left, right, outer, inner = p["left_eye"], p["right_eye"], p["mouth"], p["mouth_inside"]
        return np.concatenate(
            [
                p["jaw"],
                p["left_brow"],
                p["right_brow"],
                p["nose_bridge"],
                p["nose_base"],
                left[_EYE_LANDMARKS],
                right[_EYE_LANDMARKS],
                outer[_MOUTH_LANDMARKS],
                inner[_INSIDE_LANDMARKS],
            ]
        )


_JAW = np.linspace(0, np.pi, 17)
_JAW_COS, _JAW_SIN = -np.cos(_JAW), np.sin(_JAW)
_TOP = np.linspace(0, np.pi, 13)
_TOP_COS, _TOP_SIN = np.cos(_TOP), np.sin(_TOP)
_T = np.linspace(-1, 1, 13)
_T2 = _T**2
_ARCH = 1 - _T2
_LIP = _ARCH**0.7
_CUPID = 0.25 * np.exp(-((_T / 0.16) ** 2))
_E = np.linspace(-1, 1, 7)
_LID = np.maximum(1 - np.abs(_E) ** 2.2, 0)
_B = np.linspace(-1, 1, 5)
_ANCHOR = np.array([[0.0, 0.12, 0.0]])
# a closed line runs over the upper edge from left to right, then back over the lower one
_EYE_LANDMARKS = [0, 2, 4, 6, 8, 10]
_MOUTH_LANDMARKS = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
_INSIDE_LANDMARKS = [0, 3, 6, 9, 12, 15, 18, 21]


def face_shape(who: Identity, actions: Actions, pose: Pose, centre: tuple[float, float], scale: float) -> Shape:
    """Where everything on a face is.

    Args:
        centre: pixel (x, y) of a point on the bridge of the nose, which stays there while the head turns, as in
            an aligned video.
        scale: pixels per face unit.
    """
    flat: dict[str, np.ndarray] = {}
    flat.update(_head(who, actions))
    flat.update(_eyes(who, actions))
    flat.update(_nose(who, actions))
    flat.update(_mouth(who, actions))
    names = list(flat)
    ends = np.cumsum([len(flat[n]) for n in names])
    points = np.concatenate([flat[n] for n in names])
    pixels = (_turn(points, pose) - _turn(_ANCHOR, pose)) * scale + (centre[0], centre[1])
    parts = {name: pixels[end - len(flat[name]) : end] for name, end in zip(names, ends, strict=True)}
    return Shape(parts, scale)


def _surface(x: np.ndarray, y: np.ndarray, lift: float = 0.0) -> np.ndarray:
    """Points on the front of the head, `lift` above it. (points, 3): x, y, lift."""
    part = np.empty((len(x), 3))
    part[:, 0], part[:, 1], part[:, 2] = x, y, lift
    return part


def _contour(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Points in the plane of the head's outline, wherever it is seen from."""
    return _surface(x, y, np.nan)


def _turn(points: np.ndarray, pose: Pose) -> np.ndarray:
    x, y, lift = points.T
    front = 0.8 * np.sqrt(np.maximum(1 - (x / 1.1) ** 2 - 0.3 * y**2, 0))
    z = np.where(np.isnan(lift), 0.0, front + lift)
    cos, sin = np.cos(pose), np.sin(pose)
    x, z = x * cos[0] + z * sin[0], z * cos[0] - x * sin[0]
    y = y * cos[1] - z * sin[1]
    return np.stack([x * cos[2] - y * sin[2], x * sin[2] + y * cos[2]], axis=1)


def _head(who: Identity, a: Actions) -> dict[str, np.ndarray]:
    jaw_x = who.width * np.sign(_JAW_COS) * np.abs(_JAW_COS) ** (0.85 / who.squareness)
    jaw_y = -0.1 + 1.28 * who.chin * _JAW_SIN + 0.17 * max(a.jaw_open, 0) * _JAW_SIN**3
    top_x, top_y = who.width * _TOP_COS, -0.1 - 1.12 * who.forehead * _TOP_SIN
    line_y = -0.25 - 0.62 * who.hairline * who.forehead * (1 - 0.55 * _TOP_COS**2)
    fall_x, fall_y = (1.2, 1.25) if who.long_hair else (0.98, 0.15)
    back = np.stack([np.append(1.1 * top_x, [-fall_x, fall_x]), np.append(1.1 * top_y, [fall_y, fall_y])])
    ear = np.stack([0.11 * np.cos(2 * _TOP), 0.2 * np.sin(2 * _TOP) + 0.05])
    brows = []
    for sign in (-1, 1):
        inner = -sign * _B  # 1 at the end near the nose
        x = sign * 0.46 * who.eye_spacing + 0.29 * _B - sign * 0.06 * a.frown * (inner + 1) / 2
        y = -0.33 * who.brow_height - 0.05 * (1 - _B**2) - 0.15 * a.brow_raise + 0.03 * np.maximum(-inner, 0)
        y = y + (inner + 1) / 2 * (0.13 * a.frown - 0.15 * a.inner_brow) + 0.05 * a.nose_wrinkle
        brows.append(_surface(x, y))
    crease = 0.35 * _B
    shade = np.stack([0.42 * np.cos(_TOP * 2), 0.3 * np.sin(_TOP * 2)])
    return {
        "jaw": _contour(jaw_x, jaw_y),
        "top": _contour(top_x, top_y),
        "hair": _contour(np.append(1.05 * top_x, top_x[::-1] * 0.98), np.append(1.07 * top_y, line_y[::-1])),
        "back_hair": _contour(*back),
        "left_ear": _contour(ear[0] - 1.02 * who.width, ear[1]),
        "right_ear": _contour(ear[0] + 1.02 * who.width, ear[1]),
        "left_brow": brows[0],
        "right_brow": brows[1],
        "forehead_crease": _surface(crease, -0.62 - 0.1 * a.brow_raise + 0.05 * crease**2),
        "beard": _surface(
            np.array([0.8, 0.5, 0.25, 0, -0.25, -0.5, -0.8]), np.array([0.3, 0.55, 0.5, 0.52, 0.5, 0.55, 0.3])
        ),
        "glabella": _surface(np.array([-0.07, -0.09, 0.07, 0.09]), np.array([-0.4, -0.18, -0.4, -0.18])),
        "left_cheek": _surface(shade[0] * 0.6 - 0.55, shade[1] * 0.6 + 0.35 - 0.06 * a.cheek_raise),
        "right_cheek": _surface(shade[0] * 0.6 + 0.55, shade[1] * 0.6 + 0.35 - 0.06 * a.cheek_raise),
        "neck": _contour(np.array([-0.5, 0.5, 0.55, -0.55]), np.array([0.6, 0.6, 1.7, 1.7])),
        "clothes": _contour(
            np.array([-0.6, 0.0, 0.6, 1.9, 2.1, -2.1, -1.9]), np.array([1.35, 1.6, 1.35, 1.6, 4, 4, 1.6])
        ),
    }


def _eyes(who: Identity, a: Actions) -> dict[str, np.ndarray]:
    half = 0.19 * who.eye_size
    opening = who.eye_size * min(max(1 + 0.75 * a.eye_open, 0.15), 2) * (1 - 0.92 * a.blink)
    upper, lower = 0.095 * opening, 0.06 * opening * (1 - 0.5 * min(max(a.cheek_raise, -0.5), 1))
    parts = {}
    for name, sign in (("left", -1), ("right", 1)):
        x = sign * 0.45 * who.eye_spacing + half * _E
        middle = -who.eye_slant * sign * _E
        lids = np.append(middle - upper * _LID, (middle + lower * _LID)[-2:0:-1])
        parts[f"{name}_eye"] = _surface(np.append(x, x[-2:0:-1]), lids)
        centre = np.array([sign * 0.45 * who.eye_spacing + 0.07 * a.gaze])
        parts[f"{name}_iris"] = _surface(centre, np.array([-0.015]))
        parts[f"{name}_bag"] = _surface(x[1:-1], middle[1:-1] + lower * _LID[1:-1] + 0.06)
        rim = np.stack([0.3 * np.cos(2 * _TOP), 0.2 * np.sin(2 * _TOP)])
        parts[f"{name}_rim"] = _surface(rim[0] + sign * 0.45 * who.eye_spacing, rim[1] + 0.02, 0.1)
    return parts


def _nose(who: Identity, a: Actions) -> dict[str, np.ndarray]:
    bottom = 0.42 * who.nose_length - 0.05 * a.nose_wrinkle
    bridge_y = np.linspace(-0.02, bottom - 0.08, 4)
    base_x = np.linspace(-0.17, 0.17, 5) * who.nose_width * (1 + 0.15 * a.nose_wrinkle)
    base_y = bottom + np.array([-0.03, 0.01, 0.03, 0.01, -0.03])
    bridge = _surface(np.zeros(4), bridge_y)
    bridge[:, 2] += np.linspace(0.08, 0.32, 4)
    base = _surface(base_x, base_y)
    base[:, 2] += np.array([0.05, 0.13, 0.2, 0.13, 0.05])
    wrinkle = _surface(np.array([-0.17, -0.07, 0.17, 0.07]), np.array([0.1, 0.02, 0.1, 0.02]), 0.1)
    return {"nose_bridge": bridge, "nose_base": base, "nose_wrinkle": wrinkle}


def _mouth(who: Identity, a: Actions) -> dict[str, np.ndarray]:
    y0 = 0.70 * who.mouth_height + 0.04 * max(a.jaw_open, 0)
    half = 0.32 * who.mouth_width * max(1 + 0.28 * a.stretch + 0.12 * max(a.corner, 0), 0.5)
    corner = y0 + _T2 * -0.15 * a.corner
    thick = 0.075 * who.lip_thickness * min(max(1 - 0.8 * a.press, 0.25), 1.2)
    up = 0.02 * max(a.jaw_open, 0) + 0.085 * max(a.upper_lip, 0)
    down = 0.32 * max(a.jaw_open, 0)
    x = half * _T
    upper = corner - up * _ARCH - thick * (_LIP - _CUPID * _ARCH) - 0.03 * max(a.upper_lip, 0)
    lower = corner + down * _ARCH + 1.15 * thick * _LIP
    outer = _surface(np.append(x, x[-2:0:-1]), np.append(upper, lower[-2:0:-1]), 0.05)
    inside = _surface(
        0.9 * np.append(x, x[-2:0:-1]),
        np.append(corner - up * _ARCH, (corner + down * _ARCH + 0.004)[-2:0:-1]),
        0.05,
    )
    # teeth hang from the upper lip and are seen as far as the mouth opens
    teeth_depth = np.minimum(up + down, 0.10) * _ARCH
    teeth = _surface(
        0.8 * np.append(x, x[::-1]),
        np.append(corner - up * _ARCH, (corner - up * _ARCH + teeth_depth)[::-1]),
        0.05,
    )
    fold = np.linspace(0, 1, 5)
    fold_x = 0.2 + (0.14 + 0.06 * a.stretch + 0.05 * a.corner) * fold + 0.1 * np.sin(fold * np.pi) * max(a.corner, 0)
    fold_y = 0.36 - 0.05 * a.nose_wrinkle + fold * (y0 - 0.36 - 0.1 * a.corner)
    lip_top = np.append(x, x[::-1])
    chin_y = y0 + down + 1.15 * thick + 0.06 + 0.05 * _B**2
    return {
        "mouth": outer,
        "mouth_inside": inside,
        "teeth": teeth,
        "left_fold": _surface(-fold_x, fold_y),
        "right_fold": _surface(fold_x, fold_y),
        "chin_crease": _surface(0.16 * _B, chin_y),
        "moustache": _surface(lip_top * 0.9, np.append(upper - 0.1 * _LIP - 0.01, (upper - 0.01)[::-1]), 0.06),
    }
