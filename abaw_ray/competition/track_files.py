"""The text files of the ABAW competition: one a face track and task, for labels and for submissions alike.

The first line is a header; line k after it (from 0) is frame k of the video.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from abaw_ray.below import is_name
from abaw_ray.databases.reading.parsing import parse_numbers, read_lines
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, EXPRESSION_OR_OTHER, VALENCE_AROUSAL
from abaw_ray.errors import DatabaseFormatError, quoted, shortened


@dataclass(frozen=True)
class TrackFormat:
    """How one task's files look.

    Args:
        folder: of the task's files, as `EXPR_Set`.
        test_list: file that names the tracks of the task's test set, one a line.
        names: the header's.
        num_fields: numbers in a line.
        line: what a line must be, for people.
        low: least valid number.
        high: greatest valid number.
        integers: whether fractions are wrong.
        unlabelled: a frame with this number anywhere in its line has no label.
        other_folders: other names that the folder is handed out under.
        other_test_lists: other names that the test list is handed out under.
    """

    folder: str
    test_list: str
    names: tuple[str, ...]
    num_fields: int
    line: str
    low: float
    high: float
    integers: bool
    unlabelled: float
    other_folders: tuple[str, ...] = ()
    other_test_lists: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """All names of the folder of labels."""
        return (self.folder, *self.other_folders)

    @property
    def test_lists(self) -> tuple[str, ...]:
        """All names of the test list."""
        return (self.test_list, *self.other_test_lists)

    @property
    def header(self) -> str:
        """The first line of a file."""
        return ",".join(self.names)

    def fields(self) -> list[TrackFormat]:
        """The format of each number in a line."""
        return [self] * self.num_fields

    def read(self, file: Path) -> tuple[list[str], np.ndarray]:
        """The lines of a file, header included, and the numbers (frames, num_fields) below the header.

        Raises:
            DatabaseFormatError: another header, or a line that is not of this format; ranges are not looked at.
        """
        lines = read_lines(file)
        header = [n.strip().lower() for n in lines[0].split(",")] if lines else []
        if header != [n.lower() for n in self.names]:
            found = quoted(lines[0]) if lines else "an empty file"
            raise DatabaseFormatError(file, 1, found, f"the header {self.header}")
        numbers = parse_numbers(file, lines[1:], 2, self.num_fields, self.line)
        fractions = np.flatnonzero((numbers % 1).any(axis=1) & self.integers)
        if len(fractions):
            raise DatabaseFormatError(file, int(fractions[0]) + 2, quoted(lines[fractions[0] + 1]), self.line)
        return lines, numbers

    def write(self, file: Path, numbers: np.ndarray) -> None:
        """Writes (frames, num_fields) numbers: integers as such, others with four decimals; no line end at the end."""
        pattern = "{:.0f}" if self.integers else "{:.4f}"
        lines: Iterable[str] = (",".join(pattern.format(v) for v in row) for row in numbers.tolist())
        file.write_text("\n".join([self.header, *lines]), newline="\n")


def read_test_list(file: Path) -> dict[str, int]:
    """The tracks that a test list names, one a line, and the line of each.

    Raises:
        DatabaseFormatError: a track is named twice, or by what is no name.
    """
    tracks: dict[str, int] = {}
    for number, line in enumerate(read_lines(file), 1):
        name = line.strip()
        if name and not is_name(name):  # files of entries are called so
            raise DatabaseFormatError(file, number, quoted(line), "the name of a track")
        if name in tracks:
            raise DatabaseFormatError(
                file, number, f"track {shortened(name)} again", f"it once, as in line {tracks[name]}"
            )
        if name:
            tracks[name] = number
    return tracks


TRACK_FORMATS: dict[str, TrackFormat] = {
    EXPRESSION.name: TrackFormat(
        folder="EXPR_Set",
        test_list="expr_test_file.txt",
        names=EXPRESSION.names,
        num_fields=1,
        line=f"one class number from 0 to {EXPRESSION.size - 1}",
        low=0,
        high=EXPRESSION.size - 1,
        integers=True,
        unlabelled=-1,
    ),
    VALENCE_AROUSAL.name: TrackFormat(
        folder="VA_Set",
        test_list="va_test_file.txt",
        names=VALENCE_AROUSAL.names,
        num_fields=VALENCE_AROUSAL.size,
        line="two numbers from -1 to 1: valence,arousal",
        low=-1,
        high=1,
        integers=False,
        unlabelled=-5,
    ),
    ACTION_UNITS.name: TrackFormat(
        folder="AU_Set",
        test_list="au_test_file.txt",
        names=ACTION_UNITS.names,
        num_fields=ACTION_UNITS.size,
        line=f"{ACTION_UNITS.size} numbers, 0 or 1: {','.join(ACTION_UNITS.names)}",
        low=0,
        high=1,
        integers=True,
        unlabelled=-1,
    ),
}
"""By label space."""

Edition = Literal["abaw2", "abaw3"]
"""How the labels are handed out: as in 2021, or as since 2022."""

EDITIONS: dict[Edition, dict[str, TrackFormat]] = {
    "abaw2": TRACK_FORMATS,
    "abaw3": {
        EXPRESSION.name: replace(
            TRACK_FORMATS[EXPRESSION.name],
            folder="EXPR_Recognition_Challenge",
            other_folders=("EXPR_Classification_Challenge",),
            test_list="EXPR_test_set_release.txt",
            other_test_lists=(
                "expr_test_set_release.txt",
                "Expression_Recognition_Challenge_test_set_release.txt",
                "Expression_Classification_Challenge_test_set_release.txt",
            ),
            names=EXPRESSION_OR_OTHER.names,
            line=f"one class number from 0 to {EXPRESSION_OR_OTHER.size - 1}",
            high=EXPRESSION_OR_OTHER.size - 1,
        ),
        VALENCE_AROUSAL.name: replace(
            TRACK_FORMATS[VALENCE_AROUSAL.name],
            folder="VA_Estimation_Challenge",
            test_list="VA_test_set_release.txt",
            other_test_lists=(
                "va_test_set_release.txt",
                "Valence_Arousal_Estimation_Challenge_test_set_release.txt",
            ),
        ),
        ACTION_UNITS.name: replace(
            TRACK_FORMATS[ACTION_UNITS.name],
            folder="AU_Detection_Challenge",
            test_list="AU_test_set_release.txt",
            other_test_lists=("au_test_set_release.txt", "Action_Unit_Detection_Challenge_test_set_release.txt"),
        ),
    },
}
"""The formats of each edition, by label space."""
