"""Images of a stream: each file, or part of a video, is read once, its samples cut out, resized and encoded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.databases.reading import pixel_table
from abaw_ray.databases.reading.names import file_name, portable
from abaw_ray.databases.reading.videos import SUFFIXES
from abaw_ray.limits import regular
from abaw_ray.preprocess.crops import IMAGE_CROPS, BadGeometry
from abaw_ray.preprocess.decoding import ChangedFile, DamagedImage, UnreadableImage, read_image, version_of
from abaw_ray.preprocess.photos import Photo, read_reduced, whole_photo
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.kind import Cut, CutSettings
from abaw_ray.video import UnreadableVideo, read_frames


def cut_images(rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
    """See `Kind.cut`. Of the stream of faces those with a side of less than `settings.smallest_face` are left out."""
    return cut_together([(rows, stream)], root, settings)[0]


def cut_together(parts: Sequence[tuple[pa.Table, Stream]], root: Path, settings: CutSettings) -> list[Cut]:
    """See `Kind.cut_together`: frames that several of the parts need are decoded once."""
    made = [_Samples(rows, stream, settings) for rows, stream in parts]
    wanted_of: dict[str, list[_Wanted]] = defaultdict(list)
    for samples in made:
        for row, path in enumerate(samples.paths):
            wanted_of[path].append((samples, row))
    for path, wanted in wanted_of.items():
        left = dict.fromkeys(wanted)
        try:
            for each, photo in _photos(root / file_name(path), wanted, settings):
                del left[each]
                samples, row = each
                samples.take(row, photo)
        except FileNotFoundError:
            for samples, row in left:
                samples.leave_out(row, "missing_image")
        except ChangedFile as error:
            for samples, row in wanted:  # those that were taken before, too
                samples.leave_out(row, "changed_while_read", str(error))
        except OSError as error:
            for samples, row in left:
                samples.leave_out(row, "unreadable_image", error.strerror or type(error).__name__)
        except (UnreadableImage, UnreadableVideo) as error:
            reason = "damaged_image" if isinstance(error, DamagedImage) else "unreadable_image"
            for samples, row in left:
                samples.leave_out(row, reason, str(error))
        else:
            for samples, row in left:
                samples.leave_out(row, "unreadable_frame", f"frame {samples.numbers[row]}")
    return [samples.cut(settings.jpeg_quality) for samples in made]


class _Samples:
    """The images of a stream that rows have."""

    def __init__(self, rows: pa.Table, stream: Stream, settings: CutSettings) -> None:
        self.paths: list[str] = rows["image"].to_pylist()
        self.numbers: list[int] = rows["frame"].to_pylist()
        self.crop, self.size = IMAGE_CROPS[stream.crop], stream.size
        self._names = portable(rows["image"]).to_pylist()
        self._geometries = rows["geometry"].combine_chunks()
        self._encoding, self._least = stream.encoding, settings.smallest_face if stream.name == FACE else 1
        self._images = np.zeros((len(self.paths), stream.size, stream.size, 3), np.uint8)
        self._reasons, self._places = [""] * len(self.paths), [""] * len(self.paths)

    def geometry(self, row: int) -> np.ndarray:
        """What the crop needs of a row."""
        return np.asarray(self._geometries[row].values.to_numpy())

    def take(self, row: int, photo: Photo) -> None:
        """Cuts the image of a row out of its photo."""
        try:
            place = self.crop.place(photo.shape, self.geometry(row))
        except BadGeometry as error:
            self.leave_out(row, "bad_geometry", str(error))
            return
        if min(place.height, place.width) < self._least:
            self.leave_out(row, "tiny_face", f"{place.width} x {place.height} pixels")
        else:
            self._images[row] = photo.face(place, self.size)

    def leave_out(self, row: int, reason: str, found: str = "") -> None:
        """Of a row without an image: why."""
        self._reasons[row], self._places[row] = reason, f"{self._names[row]}: {found}" if found else self._names[row]

    def cut(self, jpeg_quality: int) -> Cut:
        """All of them."""
        column = _raw(self._images) if self._encoding == "raw" else _jpeg(self._images, self._reasons, jpeg_quality)
        return Cut(column, self._reasons, self._places, self._images)


_Wanted = tuple[_Samples, int]
"""A row whose image is wanted."""


def _photos(path: Path, wanted: Sequence[_Wanted], settings: CutSettings) -> Iterator[tuple[_Wanted, Photo]]:
    """Each wanted row with the picture at `path`; of a video or a table, with that of its number, if it can be read."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix == pixel_table.SUFFIX:
        read = read_frames if suffix in SUFFIXES else pixel_table.read_pictures
        wanted_of: dict[int, list[_Wanted]] = defaultdict(list)
        for samples, row in wanted:
            wanted_of[samples.numbers[row]].append((samples, row))
        before = regular(path)
        for number, image in read(path, sorted(wanted_of)):
            photo = whole_photo(image)
            yield from ((each, photo) for each in wanted_of[number])
        if version_of(path.stat()) != version_of(before):
            raise ChangedFile("written to while it was read")
        return
    rows_of: dict[_Samples, list[int]] = defaultdict(list)
    for samples, row in wanted:
        rows_of[samples].append(row)
    for samples, rows in rows_of.items():
        photo = _photo(path, samples, rows, settings)
        yield from (((samples, row), photo) for row in rows)


def _photo(path: Path, samples: _Samples, rows: Sequence[int], settings: CutSettings) -> Photo:
    if settings.reduced_decoding:
        geometries = map(samples.geometry, rows)
        return read_reduced(path, samples.crop, geometries, samples.size, settings.keep_damaged)
    return whole_photo(read_image(path, samples.crop.num_values == 0, settings.keep_damaged))


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
