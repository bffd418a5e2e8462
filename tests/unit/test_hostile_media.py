"""Pictures, videos and sounds that are not what they seem: left out by reason, and not decoded to gigabytes."""

from __future__ import annotations

import io
import os
import struct
import threading
import wave
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from faces import cut_faces
from films import film, picture
from PIL import Image
from serial import prepare_here
from test_crops import planned

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.folder import DATABASE
from abaw_ray.databases.reading.picture_sizes import stated_size
from abaw_ray.limits import MOST_PIXELS, MOST_SECONDS
from abaw_ray.preprocess import images as image_files
from abaw_ray.preprocess.decoding import ChangedFile, UnreadableImage, read_image
from abaw_ray.preprocess.plan import Source
from abaw_ray.sound import UnreadableSound, read_sound
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import CutSettings
from abaw_ray.streams.vector import KIND as VECTORS
from abaw_ray.video import UnreadableVideo, num_frames

SIZE = 16


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def red(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (SIZE, SIZE), (200, 30, 40)).convert(mode)


def png_of(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    whole = encoded(red(), "JPEG")
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def bmp_of(width: int, height: int) -> bytes:
    whole = encoded(red(), "BMP")
    return whole[:18] + struct.pack("<ii", width, height) + whole[26:]


def webp_of(width: int, height: int) -> bytes:
    whole = bytearray(encoded(red(), "WEBP"))
    whole[26:30] = struct.pack("<HH", width, height)
    return bytes(whole)


def tiff_of(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "TIFF", compression="tiff_deflate")
    return buffer.getvalue()


BOMBS = {
    "a.png": png_of(30_000, 30_000),
    "far.png": png_of(2**31 - 1, 2**31 - 1),
    "a.jpg": jpeg_of(60_000, 60_000),
    "a.bmp": bmp_of(30_000, 30_000),
    "a.webp": webp_of(16_000, 16_000),
    "named otherwise.jpg": png_of(12_000, 12_000),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_pictures_that_unpack_to_gigabytes_are_refused_by_their_pixels(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BOMBS[name])
    with pytest.raises(UnreadableImage, match=r"pixels, expected at most 134,217,728"):
        read_image(tmp_path / name, apply_orientation=True)


def test_the_size_of_a_tiff_is_told(tmp_path: Path) -> None:
    assert stated_size(tiff_of(40, 30)) == (40, 30)
    assert stated_size(b"no picture") is None
    assert stated_size(png_of(7, 5)) == (7, 5)


def test_a_large_photo_is_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((3000, 4000, 3), np.uint8))
    assert read_image(tmp_path / "a.jpg", apply_orientation=True).shape == (3000, 4000, 3)
    assert MOST_PIXELS > 100e6, "more than cameras have"


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path: Path) -> None:
    whole = encoded(red(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(whole[:-2] + whole[last:-2] * 600 + whole[-2:])
    with pytest.raises(UnreadableImage, match="more than 500 scans"):
        read_image(tmp_path / "a.jpg", apply_orientation=True)
    (tmp_path / "b.jpg").write_bytes(whole)
    assert read_image(tmp_path / "b.jpg", apply_orientation=True).shape == (SIZE, SIZE, 3)


def near(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(image[4:-4, 4:-4].astype(int) - colour) <= 12).all())


def test_colours_of_four_inks_and_of_16_bits_and_palettes_are_those_of_the_picture(tmp_path: Path) -> None:
    contents = {
        "cmyk.jpg": encoded(red("CMYK"), "JPEG", quality=95),
        "palette.png": encoded(red().quantize(), "PNG"),
        "grey.jpg": encoded(red("L"), "JPEG"),
        "alpha.png": encoded(red("RGBA"), "PNG"),
        "wrong ending.jpg": encoded(red(), "PNG"),
        "wrong ending.png": encoded(red(), "JPEG", quality=95),
        "a.webp": encoded(red(), "WEBP", quality=95),
        "16 bits.png": cv2.imencode(".png", np.full((SIZE, SIZE, 3), (40 << 8, 30 << 8, 200 << 8), np.uint16))[1],
        "16 bits.tiff": cv2.imencode(".tiff", np.full((SIZE, SIZE, 3), (40 << 8, 30 << 8, 200 << 8), np.uint16))[1],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(bytes(content))
        image = read_image(tmp_path / name, apply_orientation=True)
        assert near(image, (82, 82, 82) if name == "grey.jpg" else (200, 30, 40)), (name, image[8, 8])


def test_a_picture_is_turned_as_it_says_where_it_is_taken_whole(tmp_path: Path) -> None:
    photo = Image.new("RGB", (40, 20), (200, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg", apply_orientation=True).shape == (40, 20, 3)
    assert read_image(tmp_path / "a.jpg", apply_orientation=False).shape == (20, 40, 3)
    whole = (tmp_path / "a.jpg").read_bytes()
    damaged = whole.replace(exif.tobytes()[6:], b"\xff" * len(exif.tobytes()[6:]))
    (tmp_path / "b.jpg").write_bytes(damaged)
    assert read_image(tmp_path / "b.jpg", apply_orientation=True).shape == (20, 40, 3), "as far as it can be told"


def odd_places(root: Path) -> dict[str, str]:
    """Pictures and what else may lie in a folder of them: name -> reason, empty of those that are taken."""
    folder = root / "Anger"
    folder.mkdir(parents=True)
    good = encoded(red(), "PNG")
    contents = {
        "with blanks .png": (good, ""),
        "ünïcode 表情.png": (good, ""),
        "two\nlines.png": (good, ""),
        os.fsdecode(b"no \xff utf.png"): (good, ""),
        "-rf.png": (good, ""),
        "<b>&amp;'\".png": (good, ""),
        "a" * 250 + ".png": (good, ""),
        "jpeg called.png": (encoded(red(), "JPEG"), ""),
        "text.png": (b"no picture", "unreadable_image"),
        "empty.jpg": (b"", "unreadable_image"),
        "page.jpg": (b"<html>404</html>", "unreadable_image"),
        "bomb.png": (png_of(30_000, 30_000), "unreadable_image"),
        "cut.jpg": (encoded(red(), "JPEG")[:-40], "unreadable_image"),
        "film.jpg": (film(root.parent / "f.mp4", [picture(1)]).read_bytes(), "unreadable_image"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    reasons = {name: reason for name, (_, reason) in contents.items()}
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("not there.png")
    (folder / "null.png").symlink_to("/dev/zero")
    (folder / "inner").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    return reasons | {
        "loop.png": "unreadable_image",
        "nowhere.png": "missing_image",
        "null.png": "unreadable_image",
        "pipe.png": "unreadable_image",
    }


def test_a_folder_of_anything_is_prepared_and_all_is_accounted_for(tmp_path: Path) -> None:
    reasons = odd_places(tmp_path / "data")
    source = Source(
        DATABASE, tmp_path / "data", DATABASE.options(), DATABASE.read(tmp_path / "data", DATABASE.options())
    )
    assert source.table.problems.counts == {"unexpected_folder": 1}
    manifest = prepare_here(PrepareConfig(image_size=SIZE), tmp_path / "store", [source])
    assert manifest.num_images == sum(not reason for reason in reasons.values())
    counts = {reason: problem.count for reason, problem in manifest.databases[0].problems.items()}
    wanted = {name: list(reasons.values()).count(name) for name in ("unreadable_image", "missing_image")}
    assert counts == wanted | {"unexpected_folder": 1}
    assert (tmp_path / "store" / "manifest.json").read_text().isascii() is not None


def test_a_picture_that_is_written_to_while_it_is_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(red(), "PNG"))
    looks = iter(range(10))
    monkeypatch.setattr("abaw_ray.preprocess.decoding.version_of", lambda status: (next(looks), 0, 0))
    with pytest.raises(ChangedFile):
        read_image(file, apply_orientation=True)
    made = cut_faces(planned([("a.png", [0, 0, 8, 8])]), tmp_path, "box", 8)
    assert made.reasons == ["changed_while_read"]


def test_a_video_that_is_written_to_while_it_is_read_is_left_out_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "a.mp4", [picture(number) for number in range(6)])
    real, rows = image_files.read_frames, [("a.mp4", [])] * 4

    def changing(path: Path, numbers: list[int]) -> object:
        for number, image in real(path, numbers):
            yield number, image
            with path.open("ab") as out:
                out.write(b"x")

    monkeypatch.setattr(image_files, "read_frames", changing)
    made = cut_faces(planned(rows), tmp_path, "whole", 8)
    assert made.reasons == ["changed_while_read"] * 4


@pytest.mark.parametrize("kind", ["pipe", "loop", "zero", "folder", "text", "empty", "picture"])
def test_what_is_no_video_is_said(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.mp4"
    make = {
        "pipe": lambda: os.mkfifo(file),
        "loop": lambda: file.symlink_to(file),
        "zero": lambda: file.symlink_to("/dev/zero"),
        "folder": file.mkdir,
        "text": lambda: file.write_text("no video"),
        "empty": lambda: file.write_bytes(b""),
        "picture": lambda: file.write_bytes(encoded(red(), "PNG")[:60]),
    }
    make[kind]()
    done: list[str] = []

    def look() -> None:
        for read in (num_frames, lambda path: read_sound(path, 16_000)):
            with pytest.raises((UnreadableVideo, UnreadableSound)):
                read(file)
            done.append("x")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(60)
    assert len(done) == 2, "neither waits for a writer that never comes"


def test_frames_of_any_size_are_refused_by_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4", [picture(0)])
    monkeypatch.setattr("abaw_ray.video.MOST_PIXELS", 1000)
    with pytest.raises(UnreadableVideo, match=r"a\.mp4: found frames of 6,912 pixels, expected at most 1,000"):
        num_frames(tmp_path / "a.mp4")


def sound(file: Path, rate: int, num_samples: int) -> Path:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(rate)
        out.writeframes(bytes(num_samples))
    return file


def test_a_sound_of_any_rate_or_length_is_not_unpacked_to_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnreadableSound, match="1 samples a second, expected at least 1,000"):
        read_sound(sound(tmp_path / "a.wav", 1, 100_000), 16_000)
    assert MOST_SECONDS > 3600, "longer than films"
    monkeypatch.setattr("abaw_ray.sound.MOST_SECONDS", 2)
    with pytest.raises(UnreadableSound, match="more than 2 seconds"):
        read_sound(sound(tmp_path / "b.wav", 8000, 30_000), 16_000)


@pytest.mark.parametrize("header", [b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,", b"(" * 40, b"\xff" * 40])
def test_vectors_with_a_header_that_is_none(tmp_path: Path, header: bytes) -> None:
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)
    (tmp_path / "a.npy").write_bytes(content)
    stream = Stream(name="vectors", kind="vector", size=4, encoding="float32")
    made = VECTORS.cut(planned([("a.npy", [])]), tmp_path, stream, CutSettings())
    assert made.reasons == ["unreadable_vector"]


def test_a_title_that_is_no_utf8_costs_no_frame(tmp_path: Path) -> None:
    """As old programs write it: `Café` in Latin-1."""
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        out.metadata["title"] = "Cafe TITLE"
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 48, 32
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(48, 32, "yuv420p")))
        out.mux(stream.encode(None))
    whole = (tmp_path / "a.mp4").read_bytes()
    assert b"Cafe TITLE" in whole
    (tmp_path / "b.mp4").write_bytes(whole.replace(b"Cafe TITLE", b"Caf\xe9 TITLE"))
    assert num_frames(tmp_path / "b.mp4") == 3
    with pytest.raises(UnreadableSound, match="no sound track"):
        read_sound(tmp_path / "b.mp4", 16_000)


@pytest.mark.parametrize("stated", [0, 1, 2**31 - 1, 2**32 - 1])
def test_a_stated_number_of_frames_is_not_believed(tmp_path: Path, stated: int) -> None:
    whole = bytearray(film(tmp_path / "a.avi", [picture(n) for n in range(6)], "mjpeg", "yuvj420p").read_bytes())
    head, stream = whole.index(b"avih") + 8 + 16, whole.index(b"strh") + 8 + 32
    for at in (head, stream):
        whole[at : at + 4] = struct.pack("<I", stated)
    (tmp_path / "a.avi").write_bytes(whole)
    assert num_frames(tmp_path / "a.avi") == 6
