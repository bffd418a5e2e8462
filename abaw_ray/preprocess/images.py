"""Images of a stream: each file, or part of a video, is read once, its samples cut out, resized and encoded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.databases.reading import pixel_table
from abaw_ray.databases.reading.names import file_name, portable
from abaw_ray.databases.reading.videos import SUFFIXES
from abaw_ray.preprocess.crops import CROPS, BadGeometry, fit
from abaw_ray.preprocess.decoding import DamagedImage, UnreadableImage, read_image
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.kind import Cut, CutSettings
from abaw_ray.video import UnreadableVideo, read_frames


def cut_images(rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
    """See `Kind.cut`. Of the stream of faces those with a side of less than `settings.smallest_face` are left out."""
    paths, names, numbers = (
        rows["image"].to_pylist(),
        portable(rows["image"]).to_pylist(),
        rows["frame"].to_pylist(),
    )
    geometries = rows["geometry"].combine_chunks()
    crop, least = CROPS[stream.crop], settings.smallest_face if stream.name == FACE else 1
    images = np.zeros((len(paths), stream.size, stream.size, 3), np.uint8)
    reasons, places = [""] * len(paths), [""] * len(paths)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        rows_of[path].append(row)
    for path, same in rows_of.items():
        left = set(same)
        try:
            apply_orientation = crop.num_values == 0
            for row, image in _images(root / file_name(path), same, numbers, apply_orientation, settings.keep_damaged):
                left.remove(row)
                try:
                    part = crop(image, geometries[row].values.to_numpy())
                except BadGeometry as error:
                    reasons[row], places[row] = "bad_geometry", f"{names[row]}: {error}"
                    continue
                if min(part.shape[:2]) < least:
                    found = f"{part.shape[1]} x {part.shape[0]} pixels"
                    reasons[row], places[row] = "tiny_face", f"{names[row]}: {found}"
                else:
                    images[row] = fit(part, stream.size)
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
    column = _raw(images) if stream.encoding == "raw" else _jpeg(images, reasons, settings.jpeg_quality)
    return Cut(column, reasons, places, images)


def _images(
    path: Path, rows: list[int], numbers: list[int], apply_orientation: bool, keep_damaged: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Each of `rows` with the image at `path`; of a video or a table, with that of its number, if that can be read."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix == pixel_table.SUFFIX:
        read = read_frames if suffix in SUFFIXES else pixel_table.read_pictures
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            rows_of[numbers[row]].append(row)
        for number, image in read(path, sorted(rows_of)):
            yield from ((row, image) for row in rows_of[number])
    else:
        image = read_image(path, apply_orientation, keep_damaged)
        yield from ((row, image) for row in rows)


def _raw(images: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), images[0].size)


def _jpeg(images: np.ndarray, reasons: list[str], quality: int) -> pa.Array:
    files = []
    for image, reason in zip(images, reasons, strict=True):
        encoded = b""
        if not reason:
            done, buffer = cv2.imencode(
                ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )
            assert done, "an image of bytes can be a JPEG"
            encoded = buffer.tobytes()
        files.append(encoded)
    return pa.array(files, pa.large_binary())
