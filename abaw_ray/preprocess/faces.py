"""Makes the faces of one planned block: each image, or part of a video, is read once, its faces cut and encoded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.blocks.schema import Encoding, image_field
from abaw_ray.databases.reading import pixel_table
from abaw_ray.databases.reading.names import file_name
from abaw_ray.databases.reading.videos import SUFFIXES
from abaw_ray.preprocess.crops import CROPS, BadGeometry, fit
from abaw_ray.preprocess.decoding import DamagedImage, UnreadableImage, read_image
from abaw_ray.preprocess.plan import portable
from abaw_ray.video import UnreadableVideo, read_frames

REASON, WHERE = "reason", "where"
"""Columns that say why a row has no image ("" where it has one), and which row it is."""


@dataclass(frozen=True)
class FaceSettings:
    """Size and encoding of stored images, and which are left out: see `config.PrepareConfig`."""

    image_size: int
    encoding: Encoding
    jpeg_quality: int
    smallest_face: int = 1
    keep_damaged: bool = False


def add_faces(rows: pa.Table, root: Path, crop: str, settings: FaceSettings) -> pa.Table:
    """Adds the columns `image`, `reason` and `where` to planned rows; no row goes.

    Args:
        rows: with the columns image (a path below `root`, of an image or of the video that `frame` is a frame of) and
            geometry, which the result does without.
        root: of the database.
        crop: name of a crop.
        settings: size and encoding.
    """
    paths, names = rows["image"].to_pylist(), portable(rows["image"]).to_pylist()
    geometries = rows["geometry"].combine_chunks()
    size = settings.image_size
    faces = np.zeros((len(paths), size, size, 3), np.uint8)
    reasons, places = [""] * len(paths), [""] * len(paths)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        rows_of[path].append(row)
    numbers = rows["frame"].to_pylist()
    for path, same in rows_of.items():
        left = set(same)
        try:
            file, apply_orientation = root / file_name(path), CROPS[crop].num_values == 0
            for row, image in _images(file, same, numbers, apply_orientation, settings.keep_damaged):
                left.remove(row)
                try:
                    face = CROPS[crop](image, geometries[row].values.to_numpy())
                except BadGeometry as error:
                    reasons[row], places[row] = "bad_geometry", f"{names[row]}: {error}"
                    continue
                if min(face.shape[:2]) < settings.smallest_face:
                    found = f"{face.shape[1]} x {face.shape[0]} pixels"
                    reasons[row], places[row] = "tiny_face", f"{names[row]}: {found}"
                else:
                    faces[row] = fit(face, size)
        except FileNotFoundError:
            for row in left:
                reasons[row], places[row] = "missing_image", names[row]
        except (UnreadableImage, UnreadableVideo) as error:
            reason = "damaged_image" if isinstance(error, DamagedImage) else "unreadable_image"
            for row in left:
                reasons[row], places[row] = reason, f"{names[row]}: {error}"
        else:
            for row in left:
                reasons[row], places[row] = "unreadable_frame", f"{names[row]}: frame {numbers[row]}"
    column = _raw(faces, size) if settings.encoding == "raw" else _jpeg(faces, reasons, settings.jpeg_quality)
    result = rows.drop_columns(["image", "geometry"]).append_column(image_field(size, settings.encoding), column)
    return result.append_column(REASON, pa.array(reasons, pa.string())).append_column(
        WHERE, pa.array(places, pa.string())
    )


def _images(
    path: Path, rows: list[int], numbers: list[int], apply_orientation: bool, keep_damaged: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Each of `rows` with the image at `path`; of a video or a table, with that of its number, if that can be read."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix == pixel_table.SUFFIX:
        row_of = {numbers[row]: row for row in rows}
        read = read_frames if suffix in SUFFIXES else pixel_table.read_pictures
        yield from ((row_of[number], image) for number, image in read(path, sorted(row_of)))
    else:
        image = read_image(path, apply_orientation, keep_damaged)
        yield from ((row, image) for row in rows)


def _raw(faces: np.ndarray, size: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(faces.reshape(-1)), size * size * 3)


def _jpeg(faces: np.ndarray, reasons: list[str], quality: int) -> pa.Array:
    files = []
    for face, reason in zip(faces, reasons, strict=True):
        encoded = b""
        if not reason:
            done, buffer = cv2.imencode(
                ".jpg", cv2.cvtColor(face, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )
            assert done, "an image of bytes can be a JPEG"
            encoded = buffer.tobytes()
        files.append(encoded)
    return pa.array(files, pa.large_binary())
