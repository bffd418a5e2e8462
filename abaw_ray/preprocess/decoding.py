"""Reads image files; one that is cut short or damaged is an error, not a picture with a grey part or of noise."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from abaw_ray.databases.reading.picture_sizes import PNG_START, stated_size
from abaw_ray.limits import MOST_PIXELS, regular

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
JPEG_FRAMES = {bytes((0xFF, code)) for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC)}
"""Markers of the part of a header that states the picture's size."""
JPEG_SEQUENTIAL = (b"\xff\xc0", b"\xff\xc1")
"""Those of them after which a scan that has all components is the only one."""
JPEG_APP1, EXIF = b"\xff\xe1", b"Exif\0"
PNG_END = b"IEND"
PNG_TAIL = 64

JPEG_DAMAGE = (
    b"premature end of data",
    b"Premature end of JPEG",
    b"bad Huffman",
    b"bad arithmetic",
    b"instead of RST",
    b"Inconsistent progression",
)
"""What libjpeg says of a scan that is none."""

EXTRANEOUS = re.compile(rb"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
MOST_SCANS = 500
"""Of a progressive JPEG: libjpeg-turbo's own programs advise to stop there."""
PADDING = 8
"""Bytes at the end of the last scan that mean nothing, as some cameras write them."""

REDUCTIONS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""OpenCV's flags; reduced pictures are BGR."""

_standard_error = threading.Lock()


class UnreadableImage(ValueError):
    """A file that is no whole image."""


class DamagedImage(UnreadableImage):
    """An image with a part that is not as it was written."""


class ChangedFile(UnreadableImage):
    """A file that was written to while it was read: of what was read, nobody knows whose labels it has."""


def version_of(status: os.stat_result) -> tuple[int, int, int]:
    """Numbers that are others when a file is another, or was written to."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_image(path: Path, apply_orientation: bool, keep_damaged: bool = False) -> np.ndarray:
    """An image (height, width, 3) uint8 RGB.

    Damage is found where the file tells of it: by the sums of a PNG, and in a JPEG where what follows cannot be decoded
    any more. A JPEG has no sums: a changed bit that leaves it decodable, a fault of its colours, is not found.

    Args:
        path: a file of any format that OpenCV reads.
        apply_orientation: turn the picture as its EXIF tag says. Not where coordinates refer to the stored pixels.
        keep_damaged: take what OpenCV makes of a damaged image.

    Raises:
        FileNotFoundError: no such file.
        UnreadableImage: not an image, not whole, too large, or not allowed to be read.
        DamagedImage: damaged within.
    """
    return decoded(read_content(path), apply_orientation, keep_damaged)


def read_content(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        FileNotFoundError: no such file.
        UnreadableImage: empty, no regular file, or not allowed to be read.
        ChangedFile: written to meanwhile.
    """
    try:
        regular(path)
        with path.open("rb") as file:
            before = version_of(os.fstat(file.fileno()))
            content = file.read()
            after = version_of(os.fstat(file.fileno()))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be read") from None
    if before != after:
        raise ChangedFile("written to while it was read")
    if not content:
        raise UnreadableImage("empty file")
    return content


def decoded(content: bytes, apply_orientation: bool, keep_damaged: bool = False, reduction: int = 1) -> np.ndarray:
    """As `read_image`, of the bytes of a file.

    Args:
        content: the bytes.
        apply_orientation: as of `read_image`.
        keep_damaged: as of `read_image`.
        reduction: 1, 2, 4 or 8; a JPEG is decoded at 1 / `reduction` of its width and height, both rounded up. Damage
            is found as at full size.
    """
    if _is_cut_short(content):
        raise UnreadableImage("file cut short")
    _require_bounded(content)
    flags = REDUCTIONS[reduction] | (0 if apply_orientation else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image, said = _decode(content, flags)
    except cv2.error as error:
        raise UnreadableImage(error.err) from None
    damage = _png_damage(content) if content.startswith(PNG_START) else _jpeg_damage(content, said)
    if damage and not keep_damaged:
        raise DamagedImage(damage)
    os.write(2, said)
    if image is None:
        raise UnreadableImage("not an image")
    return image if reduction == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says of itself up to its first scan.

    Args:
        height, width: in pixels as stored.
        has_exif: whether there are EXIF tags.
        has_more_scans: whether decoders look for another scan than the first, as in progressive JPEGs.
    """

    height: int
    width: int
    has_exif: bool
    has_more_scans: bool


def jpeg_header(content: bytes) -> JpegHeader | None:
    """The header of a JPEG; None: it is none, or one whose header has gaps."""
    if not content.startswith(JPEG_START):
        return None
    marker, height, width, num_components, num_in_scan = b"", 0, 0, 0, 0
    has_exif = is_sequential = False
    for marker, start in _jpeg_parts(content):
        if marker in JPEG_FRAMES:
            height, width = (int.from_bytes(content[at : at + 2], "big") for at in (start + 3, start + 5))
            num_components, is_sequential = _byte(content, start + 7), marker in JPEG_SEQUENTIAL
        elif marker == JPEG_SCAN:
            num_in_scan = _byte(content, start + 2)
        elif marker == JPEG_APP1 and content.startswith(EXIF, start + 2):
            has_exif = True
    if not (height and width and marker == JPEG_SCAN):
        return None
    return JpegHeader(height, width, has_exif, not is_sequential or num_in_scan < num_components)


def _byte(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 1], "big")


def _require_bounded(content: bytes) -> None:
    """Refuses pictures that would take gigabytes, or minutes, to decode."""
    header = jpeg_header(content)
    width, height = (header.width, header.height) if header else stated_size(content) or (0, 0)
    if width * height > MOST_PIXELS:
        raise UnreadableImage(f"{width:,} x {height:,} pixels, expected at most {MOST_PIXELS:,}")
    if header and header.has_more_scans and content.count(JPEG_SCAN) > MOST_SCANS:
        raise UnreadableImage(f"a JPEG of more than {MOST_SCANS} scans, each of which goes through all pixels")


def _is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; OpenCV would fill up the rest of the picture without a word."""
    if content.startswith(JPEG_START):
        # bytes after the end are common; the pair of an end never occurs within a scan, a thumbnail has its own
        return not content.endswith(JPEG_END) and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN)
    return content.startswith(PNG_START) and PNG_END not in content[-PNG_TAIL:]


def _decode(content: bytes, flags: int) -> tuple[np.ndarray | None, bytes]:
    """The image, and of a JPEG what libjpeg says on the process's standard error, which is the only place."""
    encoded = np.frombuffer(content, np.uint8)
    if not content.startswith(JPEG_START):
        return cv2.imdecode(encoded, flags), b""
    with _standard_error:
        said = _said()
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            image = cv2.imdecode(encoded, flags)
        finally:
            os.dup2(before, 2)
            os.close(before)
        length = os.lseek(said.fileno(), 0, os.SEEK_CUR)
        if not length:
            return image, b""
        text = os.pread(said.fileno(), length, 0)
        os.lseek(said.fileno(), 0, os.SEEK_SET)
        return image, text


@lru_cache(1)
def _said() -> BinaryIO:
    """A file of this process for what libjpeg says."""
    return tempfile.TemporaryFile(buffering=0)


def _jpeg_damage(content: bytes, said: bytes) -> str:
    """What is wrong with the scans of a JPEG by what libjpeg says; empty if nothing is."""
    for line in said.splitlines():
        extraneous = EXTRANEOUS.search(line)
        if extraneous:
            is_padding = extraneous[2] == b"d9" and int(extraneous[1]) <= PADDING
            is_damage = not is_padding and _is_header_gapless(content)  # between parts of a header they do no harm
        else:
            is_damage = any(damage in line for damage in JPEG_DAMAGE)
        if is_damage:
            return line.decode(errors="replace")
    return ""


def _is_header_gapless(content: bytes) -> bool:
    """Whether the parts of a JPEG's header, up to its first scan, lie end to end."""
    return any(marker == JPEG_SCAN for marker, _ in _jpeg_parts(content))


def _jpeg_parts(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Marker of each part of a JPEG's header, and where its length stands; ends with the first scan, or at a gap."""
    start = len(JPEG_START)
    while content[start : start + 1] == b"\xff":
        marker = content[start : start + 2]
        if marker == b"\xff\xff":  # a byte that fills up
            start += 1
            continue
        yield marker, start + 2
        if marker == JPEG_SCAN:
            return
        start += 2 + int.from_bytes(content[start + 2 : start + 4], "big")


def _png_damage(content: bytes) -> str:
    """What is wrong with a PNG by the sums of its chunks; empty if nothing is."""
    for name, start, stop in _png_chunks(content):
        is_critical = name[:1].isupper()
        if is_critical and zlib.crc32(content[start - 4 : stop]) != int.from_bytes(content[stop : stop + 4], "big"):
            return f"the sum of the part {name.decode(errors='replace')} at byte {start} is wrong"
    return ""


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and byte after the last of the data of each chunk."""
    start = len(PNG_START) + 8
    while start <= len(content):
        name, stop = content[start - 4 : start], start + int.from_bytes(content[start - 8 : start - 4], "big")
        yield name, start, stop
        start = stop + 12
