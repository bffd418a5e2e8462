"""Photos decoded at a part of their size give the faces that whole ones give, and the same errors."""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from faces import cut_faces
from PIL import Image

from abaw_ray.preprocess.crops import CROPS
from abaw_ray.preprocess.decoding import REDUCTIONS, UnreadableImage, decoded, jpeg_header
from abaw_ray.preprocess.photos import Photo, read_reduced, whole_photo
from abaw_ray.streams.kind import CutSettings

SIZE = 24
NEAR = 3.5
"""Of 255: mean difference of a face with thin lines, which photos have fewer of (there it is about 1)."""
NOTHING = np.empty(0, np.float32)


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture with edges, shades and a camera's noise."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(
        rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(30):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        colour = rng.integers(0, 256, 3).tolist()
        cv2.circle(picture, (x, y), int(rng.integers(5, 40)), colour, int(rng.integers(1, 5)), cv2.LINE_AA)
    return cv2.add(picture, rng.integers(0, 8, picture.shape, dtype=np.uint8))


def saved(file: Path, picture: np.ndarray, orientation: int = 1) -> Path:
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(picture).save(file, "jpeg", quality=90, exif=tags if orientation != 1 else b"")
    return file


def eyes_and_mouth(middle: tuple[float, float], side: float, degrees: float) -> np.ndarray:
    """68 landmarks (136,) whose `eye_aligned` square has this middle and side."""
    angle = math.radians(degrees)
    right, down = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    points = np.tile(middle, (68, 1))
    points[[36, 39]] -= (right + down) * side / 4
    points[[42, 45]] += (right - down) * side / 4
    points[[48, 54]] += down * side / 4
    return points.reshape(-1).astype(np.float32)


def square_landmarks(left: float, top: float, side: float) -> np.ndarray:
    points = np.tile([left + side / 2, top + side / 2], (68, 1))
    points[0], points[1] = (left, top), (left + side, top + side)
    return points.reshape(-1).astype(np.float32)


def both(file: Path, crop: str, geometry: np.ndarray) -> tuple[Photo, np.ndarray, np.ndarray]:
    """The reduced photo, and its face, exact and reduced."""
    cut, content = CROPS[crop], file.read_bytes()
    exact, reduced = (
        whole_photo(decoded(content, cut.num_values == 0)),
        read_reduced(file, cut, [geometry], SIZE, False),
    )
    assert reduced.shape == exact.shape
    place = cut.place(exact.shape, geometry)
    return reduced, exact.face(place, SIZE).astype(int), reduced.face(place, SIZE).astype(int)


@pytest.mark.parametrize(
    ("crop", "geometry", "reduction"),
    [
        ("whole", NOTHING, 8),
        ("box", [31, 50, 31 + 53, 50 + 53], 2),
        ("box", [31, 50, 31 + 52, 200], 1),
        ("box", [31, 50, 31 + 106, 200], 4),
        ("box", [31, 50, 31 + 105, 200], 2),
        ("box", [-61, -53, 142, 160], 4),
        ("box", [193, 99, 402, 305], 4),
        ("eye_aligned", eyes_and_mouth((160.3, 129.6), 200, 23), 4),
        ("eye_aligned", eyes_and_mouth((40.3, 29.6), 100, -60), 2),
        ("landmark_square", square_landmarks(77, 21, 190), 4),
    ],
)
@pytest.mark.parametrize("size", [(333, 251), (336, 256)])
def test_faces_are_those_of_the_whole_photo(
    tmp_path: Path, size: tuple[int, int], crop: str, geometry: list[float], reduction: int
) -> None:
    photo = saved(tmp_path / "a.jpg", scene(*size))
    reduced, exact, face = both(photo, crop, np.array(geometry, np.float32))
    assert reduced.reduction == reduction
    assert reduced.image.shape[0] == math.ceil(size[1] / reduction)
    assert np.abs(face - exact).mean() < (NEAR if reduction > 1 else 1e-9)
    inside = exact.any(axis=2)
    assert abs((face - exact)[inside].mean()) < 0.3, "neither brighter nor darker"
    assert (face.any(axis=2) == inside).mean() > 0.97, "what is outside is black"


def test_the_place_is_exact_to_a_part_of_a_pixel(tmp_path: Path) -> None:
    """Of a gradient, values say where they are from."""
    x = np.mgrid[:400, :400][1]
    photo = saved(tmp_path / "a.jpg", np.repeat((x * 0.6)[..., None], 3, axis=2).astype(np.uint8))
    for left in range(20, 29):
        geometry = np.array([left, 30, left + 197, 227], np.float32)
        reduced, exact, face = both(photo, "box", geometry)
        assert reduced.reduction == 4
        assert abs((face - exact).mean()) < 0.25, "a pixel of the reduced photo is 2.4"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(333, 250), (400, 256)])
def test_photos_are_turned_as_their_tag_says(tmp_path: Path, size: tuple[int, int], orientation: int) -> None:
    photo = saved(tmp_path / "a.jpg", scene(*size), orientation)
    reduced, exact, face = both(photo, "whole", NOTHING)
    assert np.abs(face - exact).mean() < NEAR
    assert reduced.reduction == (8 if orientation == 1 or size == (400, 256) else 1)
    assert both(photo, "box", np.array([20, 20, 220, 220], np.float32))[0].reduction == 4, "boxes are of stored pixels"


def planned(file: str, geometries: list[list[float]]) -> pa.Table:
    rows = len(geometries)
    return pa.table(
        {
            "video": [file] * rows,
            "frame": pa.array(range(rows), pa.int32()),
            "image": [file] * rows,
            "geometry": pa.array(geometries, pa.list_(pa.float32())),
        }
    )


def faces(rows: pa.Table, root: Path, smallest: int, reduced: bool) -> tuple[np.ndarray, list[str], list[str]]:
    settings = CutSettings(smallest_face=smallest, reduced_decoding=reduced)
    made = cut_faces(rows, root, "box", SIZE, settings=settings)
    assert made.images is not None
    return made.images.astype(int), made.reasons, made.places


def test_faces_of_a_photo_are_decided_together(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", scene(333, 251))
    large, small, wrong, outside = [31, 50, 231, 250], [31, 50, 81, 100], [5, 5, 4, 4], [900, 5, 990, 95]
    for boxes in ([large, wrong, outside], [large, small, wrong, outside]):
        exact, *reasons = faces(planned("a.jpg", boxes), tmp_path, 8, reduced=False)
        found, *same = faces(planned("a.jpg", boxes), tmp_path, 8, reduced=True)
        assert same == reasons
        assert np.array_equal(found, exact) == (small in boxes)
        assert np.abs(found - exact).mean(axis=(1, 2, 3)).max() < NEAR


def test_small_faces_are_measured_in_pixels_of_the_whole_photo(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", scene(333, 251))
    rows = planned("a.jpg", [[31, 50, 231, 249]])
    assert faces(rows, tmp_path, 199, reduced=True)[1:] == ([""], [""])
    assert faces(rows, tmp_path, 200, reduced=True)[1:] == (["tiny_face"], ["a.jpg: 200 x 199 pixels"])


@pytest.mark.parametrize("ending", ["png", "bmp", "webp"])
def test_other_formats_are_read_whole(tmp_path: Path, ending: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{ending}"), scene(333, 251))
    rows = planned(f"a.{ending}", [[31, 50, 231, 250]])
    exact, reduced = (faces(rows, tmp_path, 8, reduced=reduced) for reduced in (False, True))
    assert np.array_equal(exact[0], reduced[0])


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("parameters", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
def test_damage_is_found_as_in_the_whole_photo(parameters: dict[str, int], reduction: int) -> None:
    rng, num_damaged = np.random.default_rng(0), 0
    for seed in range(40):
        encoded = io.BytesIO()
        Image.fromarray(scene(160, 128, seed)).save(encoded, "jpeg", **parameters)
        content = bytearray(encoded.getvalue())
        assert decoded(bytes(content), True, reduction=reduction).shape == (128 // reduction, 160 // reduction, 3)
        first = content.index(b"\xff\xda") + 20
        start = int(rng.integers(first, len(content) - 210))
        content[start : start + 200] = rng.bytes(200)
        verdicts = []
        for each in (1, reduction):
            try:
                decoded(bytes(content), True, reduction=each)
                verdicts.append("")
            except UnreadableImage as error:
                verdicts.append(str(error))
        assert verdicts[0] == verdicts[1]
        num_damaged += verdicts[0] != ""
        with pytest.raises(UnreadableImage, match="cut short"):
            decoded(bytes(content[: len(content) // 3]), True, reduction=reduction)
    assert num_damaged >= 20


def test_headers_of_jpegs() -> None:
    encoded = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(50, 30)).save(encoded, "jpeg", exif=exif, progressive=True)
    content = encoded.getvalue()
    header = jpeg_header(content)
    assert header is not None
    assert (header.height, header.width, header.has_exif, header.has_more_scans) == (30, 50, True, True)
    start = 4 + int.from_bytes(content[4:6], "big")
    assert jpeg_header(content[:start] + b"of a camera" + content[start:]) is None
    for end in range(len(content)):
        if end < content.index(b"\xff\xda"):
            assert jpeg_header(content[:end]) is None
    assert jpeg_header(b"\x89PNG") is None
    assert set(REDUCTIONS) == {1, 2, 4, 8}


def test_only_a_sequential_scan_of_all_components_is_the_only_one() -> None:
    encoded = io.BytesIO()
    Image.fromarray(scene(50, 30)).save(encoded, "jpeg")
    header = jpeg_header(encoded.getvalue())
    assert header is not None
    assert not header.has_more_scans
    changed = bytearray(encoded.getvalue())
    place = changed.index(b"\xff\xda") + 4
    assert changed[place] == 3
    changed[place] = 1
    header = jpeg_header(bytes(changed))
    assert header is not None
    assert header.has_more_scans
