"""Text files of the ABAW competition that have a line for an image: labels, test lists and entries.

The organisers' own files are not public. In readers and writers of participants (2022 to 2025) are seen:

- labels of the multi-task challenge (s-Aff-Wild2), ABAW4 and ABAW7: a header, which all skip, then
  `video/00001.jpg,valence,arousal,expression` and twelve units; -5, -1 and -1 where there is no label; one drops lines
  that come twice;
- its test lists: a header, which nearly all skip, then `video/00001.jpg`, of which some take the part before a comma;
- its entries, of 2022 and 2024: `image,valence,arousal,expression,aus`, then a line as of labels (all of ten writers);
- entries of the tasks since ABAW5 (2023), and the samples of entries that come with the test lists: `image_location,`
  and the names of classes, dimensions or units, then `video/00001.jpg` and one class number, two numbers or twelve;
  every frame of a video from 00001.jpg on (all of twenty writers; one checks its own file for it). Entries of ABAW3
  itself (2022) were files a track, as in 2021 but of eight classes (one writer); such are not written.

Assumed: that labels have the header of the multi-task entries, or one that names the units; that the order of lines in
an entry does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.competition import EntryEdition
from abaw_ray.competition.track_files import EDITIONS, TrackFormat
from abaw_ray.databases.reading.parsing import parse_numbers, read_lines
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.errors import DatabaseFormatError, quoted, shortened

IMAGE = "video/00001.jpg"
UNITS = "aus"
"""All action units in the header of the multi-task challenge."""


@dataclass(frozen=True)
class ImageFormat:
    """How a file looks that has an image and the answers of one or more tasks in a line.

    Args:
        file: name in an entry.
        header: the first line.
        tasks: whose answers, in their order, and the format of each.
        test_lists: names that the list of the test set comes by.
        sample: what the organisers' sample of an entry is called, in `CVPR_6th_ABAW_<sample>_test_set_sample.txt`, in
            any case, or `..._example.txt`; empty: there is none.
    """

    file: str
    header: str
    tasks: dict[str, TrackFormat]
    test_lists: tuple[str, ...]
    sample: str = ""

    def is_sample(self, name: str) -> bool:
        """Whether a file of this name is a sample of an entry."""
        pattern = rf".*abaw_{self.sample}_test_set_(sample|example)\.txt"
        return bool(self.sample) and re.fullmatch(pattern, name, re.IGNORECASE) is not None

    @property
    def num_fields(self) -> int:
        """Numbers in a line, after the image."""
        return sum(form.num_fields for form in self.tasks.values())

    @property
    def line(self) -> str:
        """What a line must be, for people."""
        return f"{IMAGE} and {'; '.join(form.line for form in self.tasks.values())}"

    def fields(self) -> list[TrackFormat]:
        """The format of each number in a line."""
        return [field for form in self.tasks.values() for field in form.fields()]

    @property
    def integers(self) -> bool:
        """Whether fractions are wrong anywhere."""
        return all(form.integers for form in self.tasks.values())

    def write(self, file: Path, images: Iterable[str], answers: dict[str, np.ndarray]) -> None:
        """Writes a line for each of `images` (n,) with the `answers` (n, num_fields) of each task.

        Integers as such, others with four decimals; no line end at the end.
        """
        columns = np.concatenate([answers[task] for task in self.tasks], axis=1)
        pattern = ",".join("{:.0f}" if form.integers else "{:.4f}" for form in self.fields())
        numbers = (pattern.format(*row) for row in columns.tolist())
        lines = (f"{image},{row}" for image, row in zip(images, numbers, strict=True))
        file.write_text("\n".join([self.header, *lines]), encoding="utf-8", errors="surrogateescape", newline="\n")


def _of_one(file: str, task: str, sample: str) -> ImageFormat:
    form = EDITIONS["abaw3"][task]
    header = ",".join(["image_location", *form.names])
    return ImageFormat(file, header, {task: form}, form.test_lists, sample)


MULTI_TASK_FILE = ImageFormat(
    file="MTL.txt",
    header=f"image,valence,arousal,expression,{UNITS}",
    tasks={task: EDITIONS["abaw3"][task] for task in (VALENCE_AROUSAL.name, EXPRESSION.name, ACTION_UNITS.name)},
    test_lists=(
        "MTL_Challenge_test_set_release.txt",
        "Multi_Task_Learning_Challenge_test_set_release.txt",
        "MTL.txt",
    ),
)
"""The file of an entry of the multi-task challenge."""

IMAGE_EDITIONS: dict[EntryEdition, tuple[ImageFormat, ...]] = {
    "abaw3": (
        _of_one("EXPR.txt", EXPRESSION.name, "expr"),
        _of_one("VA.txt", VALENCE_AROUSAL.name, "va"),
        _of_one("AU.txt", ACTION_UNITS.name, "au"),
    ),
    "mtl": (MULTI_TASK_FILE,),
}
"""The files of an entry with a line for an image. Their names are ours: each is handed in by itself."""


@dataclass(frozen=True)
class ImageLabels:
    """The lines of a file of labels, header included, and below it images (n,) and numbers (n, num_fields) by task."""

    lines: list[str]
    images: list[str]
    numbers: dict[str, np.ndarray]


def read_image_labels(file: Path, form: ImageFormat) -> ImageLabels:
    """The labels of a file.

    Raises:
        DatabaseFormatError: another header, or a line that is not of this format; ranges are not looked at.
    """
    lines = read_lines(file)
    named = form.header.replace(UNITS, ",".join(ACTION_UNITS.names))
    header = ",".join(name.strip().lower() for name in lines[0].split(",")) if lines else ""
    if header.replace("image_location,", "image,") not in (form.header.lower(), named.lower()):
        what = quoted(lines[0]) if lines else "an empty file"
        raise DatabaseFormatError(file, 1, what, f"the header {form.header}, or {named}")
    split = [line.partition(",") for line in lines[1:]]
    numbers = parse_numbers(file, [rest for _, _, rest in split], 2, form.num_fields, form.line)
    parts, start = {}, 0
    for task, of_task in form.tasks.items():
        parts[task] = numbers[:, start : start + of_task.num_fields]
        start += of_task.num_fields
        fractions = np.flatnonzero((parts[task] % 1).any(axis=1) & of_task.integers)
        if len(fractions):
            raise DatabaseFormatError(file, int(fractions[0]) + 2, quoted(lines[fractions[0] + 1]), form.line)
    return ImageLabels(lines, [image.strip() for image, _, _ in split], parts)


def read_image_list(file: Path) -> dict[str, int]:
    """The images that a test list or a sample of an entry names, and the line of each.

    The first line is passed over if it names no image. Of a line with several fields the first is the image.

    Raises:
        DatabaseFormatError: a line that names no image, or an image that is named twice.
    """
    images: dict[str, int] = {}
    for number, line in enumerate(read_lines(file), 1):
        name = line.split(",")[0].strip()
        if not is_image(name):
            if number == 1:
                continue
            raise DatabaseFormatError(file, number, quoted(line), f"an image, as {IMAGE}")
        if name in images:
            raise DatabaseFormatError(
                file, number, f"image {shortened(name)} again", f"it once, as in line {images[name]}"
            )
        images[name] = number
    return images


def is_image(name: str) -> bool:
    """Whether a name is that of an image in the folder of a track."""
    track, _, file = name.partition("/")
    return bool(track and file) and "/" not in file
