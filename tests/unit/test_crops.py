"""Crops land where the formulas say; files that are no whole images are told apart."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from faces import cut_faces
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from abaw_ray.preprocess import images as cutting
from abaw_ray.preprocess.crops import CROPS, BadGeometry, fit
from abaw_ray.preprocess.decoding import DamagedImage, UnreadableImage, read_image
from abaw_ray.streams.kind import CutSettings

NOTHING = np.empty(0, np.float32)


def position_image(width: int, height: int) -> np.ndarray:
    """Each pixel says where it is: red = x, green = y (modulo 251), blue = 255."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 251, y % 251, np.full_like(x, 255)], axis=2).astype(np.uint8)


def landmarks(left_eye: np.ndarray, right_eye: np.ndarray, mouth: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """68 landmarks (136,) whose eye and mouth corners lie along `direction` around the given centres."""
    points = np.tile((left_eye + right_eye + 2 * mouth) / 4, (68, 1))
    for centre, first, second in ((left_eye, 36, 39), (right_eye, 42, 45), (mouth, 48, 54)):
        points[first], points[second] = centre - 4 * direction, centre + 4 * direction
    return points.reshape(-1).astype(np.float32)


def tilted_face(degrees: float, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a face turned clockwise, 60 between the eyes, 50 from eyes to mouth; and its three centres."""
    angle = math.radians(degrees)
    right, down = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    middle = np.array(centre)
    centres = np.stack([middle - 30 * right - 25 * down, middle + 30 * right - 25 * down, middle + 25 * down])
    return landmarks(*centres, right), centres


def dots(width: int, height: int, centres: np.ndarray) -> np.ndarray:
    """A smooth red, green and blue spot, each around one centre (in coordinates of pixel edges)."""
    y, x = np.mgrid[:height, :width] + 0.5
    spots = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.5**2)) for cx, cy in centres]
    return (255 * np.stack(spots, axis=2)).astype(np.uint8)


def spot_centres(image: np.ndarray) -> np.ndarray:
    """Centres of mass (3, 2) of the three colours, in coordinates of pixel edges."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weights = image.astype(float)
    return np.stack([(weights * x[..., None]).sum((0, 1)), (weights * y[..., None]).sum((0, 1))], 1) / weights.sum(
        (0, 1)
    ).reshape(-1, 1)


@pytest.mark.parametrize("degrees", [0, 17, -35, 80])
def test_eye_aligned_levels_the_eyes_and_centres_the_face(degrees: float) -> None:
    geometry, centres = tilted_face(degrees, (130.3, 120.8))
    face = CROPS["eye_aligned"](dots(260, 240, centres), geometry)
    # half the side is the larger of 60 (between the eyes) and 50 (eyes to mouth)
    assert face.shape == (120, 120, 3)
    assert np.allclose(spot_centres(face), [[30, 35], [90, 35], [60, 85]], atol=0.15)


def test_eye_aligned_of_a_face_on_its_side() -> None:
    # the reference divides by zero here
    geometry, centres = tilted_face(90, (130, 120))
    points = geometry.reshape(-1, 2)
    points[[36, 39, 42, 45], 0] = 155
    face = CROPS["eye_aligned"](dots(260, 240, centres), points.reshape(-1))
    assert np.allclose(spot_centres(face), [[30, 35], [90, 35], [60, 85]], atol=0.15)


def test_eye_aligned_is_the_reference_geometry() -> None:
    """Rotating the whole photo on a larger canvas by PIL and then cutting gives the same picture."""
    geometry, _ = tilted_face(25, (150, 110))
    y, x = np.mgrid[:230, :300]
    photo = np.stack([x * 0.8, y, (x + y) * 0.4], axis=2).astype(np.uint8)
    face = CROPS["eye_aligned"](photo, geometry)
    rotated = Image.fromarray(photo).rotate(25, expand=True, resample=Image.Resampling.BICUBIC)
    cos, sin = math.cos(math.radians(25)), math.sin(math.radians(25))

    def turn(px: float, py: float) -> tuple[float, float]:
        dx, dy = px - 150, py - 115
        return cos * dx + sin * dy + rotated.width / 2, -sin * dx + cos * dy + rotated.height / 2

    cx, cy = turn(150, 110)
    expected = np.asarray(rotated.crop((round(cx - 60), round(cy - 60), round(cx + 60), round(cy + 60))))
    difference = np.abs(face.astype(int) - expected.astype(int))
    # the whole-pixel rounding of PIL's crop and canvas moves a gradient of 1 a pixel by at most one pixel
    assert difference.max() <= 3


def test_black_where_the_face_leaves_the_photo() -> None:
    geometry, _ = tilted_face(0, (10, 60))
    face = CROPS["eye_aligned"](np.full((120, 120, 3), 200, np.uint8), geometry)
    assert (face[:, :49] == 0).all()
    assert (face[:, 51:] == 200).all()


@given(st.tuples(st.integers(-30, 60), st.integers(-30, 50), st.integers(1, 80), st.integers(1, 80)))
def test_box_is_the_crop_of_pil(numbers: tuple[int, int, int, int]) -> None:
    left, top, width, height = numbers
    photo = position_image(50, 40)
    geometry = np.array([left, top, left + width, top + height], np.float32)
    overlaps = left < 50 and top < 40 and left + width > 0 and top + height > 0
    if not overlaps:
        with pytest.raises(BadGeometry, match="outside"):
            CROPS["box"](photo, geometry)
    else:
        assert np.array_equal(CROPS["box"](photo, geometry), np.asarray(Image.fromarray(photo).crop(geometry.tolist())))


def square_at(face: np.ndarray) -> tuple[int, int, int]:
    """Left, top and side of a square cut out of `position_image` (below 251)."""
    assert face.shape[0] == face.shape[1]
    return int(face[0, 0, 0]), int(face[0, 0, 1]), len(face)


@pytest.mark.parametrize(
    ("size", "bounds", "expected"),
    [
        # gap 5, side 130; 0.65 of 145 is 94, whose square ends at 224 above the chin at 270: moved down to 140
        ((400, 400), (100, 150, 200, 270), (85, 140, 130)),
        # gap 4.5, side 99; 0.65 of 5.5 is 3, whose square ends at 102 below the chin at 100
        ((400, 400), (100, 10, 190, 100), (95, 3, 99)),
        # left of the photo: x is 0; top 3 would end at 101 below the photo: moved up to 2
        ((240, 100), (-20, 10, 70, 95), (0, 2, 98)),
        # side cut to the photo's: 100 of 130; neither forehead nor chin fits
        ((240, 100), (100, 5, 200, 125), (100, 0, 100)),
        # left 142 would end at 206 beyond the photo: 136; top 37 would end at 101 above the chin: 56
        ((200, 240), (150, 60, 199, 120), (136, 56, 64)),
    ],
)
def test_landmark_square(
    size: tuple[int, int], bounds: tuple[int, int, int, int], expected: tuple[int, int, int]
) -> None:
    x0, y0, x1, y1 = bounds
    points = np.tile([(x0 + x1) / 2, (y0 + y1) / 2], (68, 1))
    points[0], points[1] = (x0, y0), (x1, y1)
    face = CROPS["landmark_square"](position_image(*size), points.reshape(-1).astype(np.float32))
    assert square_at(face) == expected


@pytest.mark.parametrize(
    ("crop", "geometry", "message"),
    [
        ("whole", [1.0], "1 numbers, expected 0"),
        ("box", [1, 2, 3], "3 numbers, expected 4"),
        ("box", [5, 5, 5, 9], "empty box"),
        ("box", [0, 0, math.nan, 9], "not finite"),
        ("box", [0, 0, 1e6, 9], "a face of 1000000 pixels"),
        ("eye_aligned", [3.0] * 136, "both eyes in one place"),
        ("eye_aligned", tilted_face(0, (900, 900))[0], "no landmark inside"),
        ("eye_aligned", tilted_face(180, (50, 50))[0], "without extent"),
        ("landmark_square", [3.0] * 136, "without extent"),
        ("landmark_square", tilted_face(0, (-900, 20))[0], "no landmark inside"),
    ],
)
def test_geometry_that_gives_no_face(crop: str, geometry: list[float], message: str) -> None:
    with pytest.raises(BadGeometry, match=message):
        CROPS[crop](position_image(100, 100), np.array(geometry, np.float32))


def test_an_image_of_the_stored_size_stays_as_it_is() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert np.array_equal(fit(CROPS["whole"](photo, NOTHING), 112), photo)


@pytest.mark.parametrize(("width", "height"), [(100, 60), (60, 100), (24, 90), (31, 32), (1, 500)])
def test_fit_keeps_the_aspect_and_the_middle(width: int, height: int) -> None:
    y, x = np.mgrid[:height, :width]
    inside_square = (abs(x + 0.5 - width / 2) * 2 <= min(width, height) + 1) & (
        abs(y + 0.5 - height / 2) * 2 <= min(width, height) + 1
    )
    photo = np.where(inside_square[..., None], np.uint8(90), np.uint8(200)).repeat(3, axis=2)
    face = fit(photo, 48)
    assert face.shape == (48, 48, 3)
    assert (face == 90).all()


def test_shrinking_averages() -> None:
    lines = np.zeros((192, 192, 3), np.uint8)
    lines[:, ::4] = 200
    assert (fit(lines, 48) == 50).all()


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_files_that_are_no_whole_images(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    whole, png = jpeg(photo), cv2.imencode(".png", photo)[1].tobytes()
    bad = {
        "cut.jpg": (whole[: len(whole) // 2], "cut short"),
        "cut.png": (png[:-40], "cut short"),
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"not a picture", "not an image"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImage, match=message):
            read_image(tmp_path / name, apply_orientation=True)
    with pytest.raises(UnreadableImage, match="regular file"):
        read_image(tmp_path, apply_orientation=True)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg", apply_orientation=True)


def scene(rng: np.random.Generator) -> np.ndarray:
    """A picture with edges and shades, as a photo has them."""
    noise = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), (0, 0), 3)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("parameters", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]])
def test_a_jpeg_that_is_damaged_within_is_told_from_a_whole_one(tmp_path: Path, parameters: list[int]) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "a.jpg"
    num_found = 0
    for _ in range(40):
        content = bytearray(cv2.imencode(".jpg", scene(rng), parameters)[1].tobytes())
        file.write_bytes(content)
        assert read_image(file, apply_orientation=True).shape == (96, 96, 3), "no whole one is taken for damaged"
        first = content.index(b"\xff\xda") + 20
        start = int(rng.integers(first, len(content) - 210))
        content[start : start + 200] = rng.bytes(200)
        file.write_bytes(content)
        try:
            read_image(file, apply_orientation=True)
        except UnreadableImage:
            num_found += 1
        with contextlib.suppress(UnreadableImage):  # of some, nothing can be decoded at all
            assert read_image(file, apply_orientation=True, keep_damaged=True).shape == (96, 96, 3)
    assert num_found >= 20


def test_what_is_left_over_within_a_progressive_jpeg_is_damage(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "a.jpg"
    content = cv2.imencode(".jpg", scene(rng), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    end = content.index(b"\xff\xc4", content.index(b"\xff\xda"))  # of the first scan: the next one's tables begin
    file.write_bytes(content[:end] + bytes(60) + content[end:])
    with pytest.raises(DamagedImage, match="extraneous bytes before marker 0xc4"):
        read_image(file, apply_orientation=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_unusual_jpegs_are_whole(tmp_path: Path, mode: str, progressive: bool) -> None:
    photo, thumbnail = Image.fromarray(scene(np.random.default_rng(0))), io.BytesIO()
    photo.resize((32, 24)).save(thumbnail, "jpeg")
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00" + thumbnail.getvalue()
    encoded = io.BytesIO()
    photo.convert(mode).save(encoded, "jpeg", progressive=progressive, exif=exif, restart_marker_blocks=3)
    content = encoded.getvalue()
    start = 4 + int.from_bytes(content[4:6], "big")  # the end of the first part of the header
    for whole in (content, content + thumbnail.getvalue(), content[:start] + b"of a camera" + content[start:]):
        (tmp_path / "a.jpg").write_bytes(whole)
        assert read_image(tmp_path / "a.jpg", apply_orientation=True).shape == (96, 96, 3)


def test_a_png_with_any_changed_byte_of_its_picture_is_found(tmp_path: Path) -> None:
    whole = cv2.imencode(".png", position_image(40, 40))[1].tobytes()
    data = whole.index(b"IDAT") + 4
    for place in range(data, len(whole) - 16, 7):
        content = bytearray(whole)
        content[place] ^= 1
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(DamagedImage, match="IDAT"):
            read_image(tmp_path / "a.png", apply_orientation=True)


def test_padding_at_the_end_of_a_scan_is_harmless(tmp_path: Path) -> None:
    content = jpeg(position_image(64, 48))
    (tmp_path / "a.jpg").write_bytes(content[:-2] + bytes(4) + content[-2:])
    assert read_image(tmp_path / "a.jpg", apply_orientation=True).shape == (48, 64, 3)
    (tmp_path / "b.jpg").write_bytes(content[:-2] + bytes(range(100)) + content[-2:])
    with pytest.raises(DamagedImage, match="extraneous"):
        read_image(tmp_path / "b.jpg", apply_orientation=True)


def test_jpeg_with_bytes_after_its_end_and_png_are_read(tmp_path: Path) -> None:
    photo = position_image(64, 48)
    (tmp_path / "a.jpg").write_bytes(jpeg(photo) + b"trailer of a camera")
    cv2.imwrite(str(tmp_path / "b.png"), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "grey.png"), photo[..., 0])
    assert read_image(tmp_path / "a.jpg", apply_orientation=True).shape == (48, 64, 3)
    assert np.array_equal(read_image(tmp_path / "b.png", apply_orientation=True), photo)
    assert np.array_equal(read_image(tmp_path / "grey.png", apply_orientation=True), photo[..., :1].repeat(3, 2))


def test_orientation_turns_only_pictures_without_coordinates(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(position_image(64, 48)).save(tmp_path / "phone.jpg", exif=exif)
    assert read_image(tmp_path / "phone.jpg", apply_orientation=True).shape == (64, 48, 3)
    assert read_image(tmp_path / "phone.jpg", apply_orientation=False).shape == (48, 64, 3)


def planned(rows: list[tuple[str, list[float]]]) -> pa.Table:
    images, geometries = zip(*rows, strict=True)
    return pa.table(
        {
            "video": pa.array(images),
            "frame": pa.array([0] * len(rows)),
            "image": pa.array(images),
            "geometry": pa.array(geometries, pa.list_(pa.float32())),
        }
    )


def test_three_faces_of_one_photo_are_three_crops_of_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    boxes = [[10, 10, 40, 40], [50, 20, 90, 60], [5, 60, 45, 100]]
    photo = np.full((110, 100, 3), 128, np.uint8)
    for (left, top, right, bottom), colour in zip(boxes, colours, strict=True):
        photo[top:bottom, left:right] = colour
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    read: list[Path] = []
    monkeypatch.setattr(cutting, "read_image", lambda path, *args: (read.append(path), read_image(path, *args))[1])
    made = cut_faces(planned([("photo.png", b) for b in boxes]), tmp_path, "box", 32)
    images = made.samples.flatten().to_numpy().reshape(3, 32, 32, 3)
    assert [tuple(image.reshape(-1, 3).mean(0)) for image in images] == colours
    assert made.reasons == ["", "", ""]
    assert len(read) == 1


def test_damaged_images_and_tiny_faces_are_left_out_by_name(tmp_path: Path) -> None:
    content = bytearray(jpeg(scene(np.random.default_rng(1))))
    content[-400:-100] = bytes(300)
    (tmp_path / "damaged.jpg").write_bytes(content)
    cv2.imwrite(str(tmp_path / "good.png"), position_image(50, 50))
    rows = planned([("damaged.jpg", [0, 0, 40, 40]), ("good.png", [3, 3, 4, 4]), ("good.png", [0, 0, 30, 7])])
    made = cut_faces(rows, tmp_path, "box", 16, settings=CutSettings(smallest_face=8))
    assert made.reasons == ["damaged_image", "tiny_face", "tiny_face"]
    assert made.places[1:] == ["good.png: 1 x 1 pixels", "good.png: 30 x 7 pixels"]
    made = cut_faces(rows, tmp_path, "box", 16, settings=CutSettings(smallest_face=1, keep_damaged=True))
    assert made.reasons == ["", "", ""]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_rows_without_a_face_say_why(tmp_path: Path, encoding: str) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), position_image(50, 50))
    (tmp_path / "bad.png").write_bytes(b"x")
    rows = [("good.png", [0, 0, 9, 9]), ("good.png", [9, 9, 3, 3]), ("bad.png", [0, 0, 9, 9]), ("no.png", [0, 0, 9, 9])]
    made = cut_faces(planned(rows), tmp_path, "box", 16, encoding)
    assert made.reasons == ["", "bad_geometry", "unreadable_image", "missing_image"]
    assert made.places[1:] == ["good.png: empty box 9, 9, 3, 3", "bad.png: not an image", "no.png"]
    assert len(made.samples) == 4
    assert made.samples.null_count == 0
