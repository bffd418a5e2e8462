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
from abaw_ray.preprocess.crops import CROPS, BadGeometry, Crop
from abaw_ray.preprocess.decoding import DamagedImage, UnreadableImage, read_image
from abaw_ray.preprocess.photos import Photo, read_reduced, whole_photo
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
            for row, photo in _photos(root / file_name(path), same, numbers, geometries, crop, stream.size, settings):
                left.remove(row)
                try:
                    place = crop.place(photo.shape, geometries[row].values.to_numpy())
                except BadGeometry as error:
                    reasons[row], places[row] = "bad_geometry", f"{names[row]}: {error}"
                    continue
                if min(place.height, place.width) < least:
                    found = f"{place.width} x {place.height} pixels"
                    reasons[row], places[row] = "tiny_face", f"{names[row]}: {found}"
                else:
                    images[row] = photo.face(place, stream.size)
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


def _photos(
    path: Path,
    rows: list[int],
    numbers: list[int],
    geometries: pa.ListArray,
    crop: Crop,
    size: int,
    settings: CutSettings,
) -> Iterator[tuple[int, Photo]]:
    """Each of `rows` with the picture at `path`; of a video or a table, with that of its number, if it can be read."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix == pixel_table.SUFFIX:
        read = read_frames if suffix in SUFFIXES else pixel_table.read_pictures
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            rows_of[numbers[row]].append(row)
        for number, image in read(path, sorted(rows_of)):
            yield from ((row, whole_photo(image)) for row in rows_of[number])
        return
    if settings.reduced_decoding:
        photo = read_reduced(path, crop, [geometries[r].values.to_numpy() for r in rows], size, settings.keep_damaged)
    else:
        photo = whole_photo(read_image(path, crop.num_values == 0, settings.keep_damaged))
    yield from ((row, photo) for row in rows)


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
