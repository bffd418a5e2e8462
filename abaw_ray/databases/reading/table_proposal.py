"""Guesses what the columns of a table are, from its header and first rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
import yaml

from abaw_ray.databases.reading.names import printable
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.reading.table_cells import Part
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.databases.reading.table_rows import IMAGE_SUFFIXES, OF_SPLIT
from abaw_ray.databases.reading.videos import SUFFIXES
from abaw_ray.errors import DatabaseFormatError

HEADERS = {
    "path": ("path", "filepath", "image", "imagepath", "img", "imgpath", "file", "filename", "imagename", "picture"),
    "subject": ("subject", "subjectid", "person", "personid", "identity", "actor", "actorid", "speaker", "speakerid"),
    "split": ("split", "usage", "set", "subset", "partition", "fold"),
    "video": ("video", "videoid", "videoname", "clip", "clipid", "track", "sequence"),
    "frame": ("frame", "frameid", "frameno", "framenumber", "frameindex"),
    "annotator": ("annotator", "annotatorid", "rater", "raterid", "coder", "worker", "workerid"),
}
"""Headers, without capital letters and marks, by the key that they are taken for."""
BOXES = (("left", "top", "right", "bottom"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
ONE_BOX = ("box", "bbox", "facebox", "boundingbox")
ONE_LANDMARKS = ("landmarks", "faciallandmarks", "landmark")
EXPRESSIONS = ("expression", "expressionlabel", "emotion", "emotionlabel", "label")
MOST_CLASSES = 50
UNKNOWN = "COLUMN OF PATHS"


def propose(file: TableFile) -> str:
    """A YAML of `TableConfig`, to be looked through: every column is in it, or in a comment.

    Raises:
        DatabaseFormatError: the table has no row, or cannot be read.
    """
    for first, batch in file.batches(file.columns):
        part = Part(file, first + np.arange(batch.num_rows), batch)
        if batch.num_rows:
            return _Guess(file, part).text()
    raise DatabaseFormatError(file.path, None, "no row", "a row for each picture, frame or clip")


class _Guess:
    """What the columns seem to be; `left` are those not yet taken for anything."""

    def __init__(self, file: TableFile, part: Part) -> None:
        self._part, self.left, self.values = part, list(file.columns), dict[str, Any]()
        self._by_header: dict[str, str] = {}
        for column in file.columns:
            self._by_header.setdefault(_plain(column), column)
        self._texts = {column: self._text(column) for column in file.columns}
        self._numbers = {column: self._number(column) for column in file.columns}
        self._take_roles()
        self._take_geometry()
        spaces = self._common_spaces() | self._other_spaces()
        self.values["spaces"] = spaces

    def text(self) -> str:
        """The YAML."""
        lines = ["# Guessed from the first rows. Without `names`, classes are the texts that occur in the column."]
        lines += [f"# Not used: {printable(column)}" for column in self.left]
        if self.values["path"] == UNKNOWN:
            lines.append("# No column looks like paths of pictures: name it.")
        if not self.values["spaces"]:
            lines.append("# No column looks like labels: add spaces, as mood: {kind: multiclass, columns: [mood]}.")
        return "\n".join(lines) + "\n" + yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True, width=110)

    def _text(self, column: str) -> list[str]:
        """The different texts of a column, without empty ones; none where it holds lists."""
        try:
            return [text for text in pc.unique(self._part.texts(column)).to_pylist() if text]
        except DatabaseFormatError:
            return []

    def _number(self, column: str) -> np.ndarray | None:
        """The numbers of a column that holds nothing else, and at least one."""
        try:
            numbers = self._part.numbers(column)
        except DatabaseFormatError:
            return None
        numbers = numbers[~np.isnan(numbers)]
        return numbers if len(numbers) else None

    def _take(self, columns: Sequence[str]) -> list[str]:
        self.left = [column for column in self.left if column not in columns]
        return list(columns)

    def _find(self, headers: Sequence[str]) -> list[str]:
        """The columns of all these headers; none if one is not there or taken."""
        found = [self._by_header.get(header, "") for header in headers]
        return found if set(found) <= set(self.left) else []

    def _take_roles(self) -> None:
        self.values["path"] = UNKNOWN
        named = [c for header in HEADERS["path"] for c in self._find([header])]
        for column in [*named, *self.left]:
            suffixes = (*IMAGE_SUFFIXES, *SUFFIXES)
            if any(text.lower().endswith(suffixes) for text in self._texts[column][:MOST_CLASSES]):
                self.values["path"] = self._take([column])[0]
                break
        for key in ("subject", "split", "video", "frame", "annotator"):
            for column in [c for header in HEADERS[key] for c in self._find([header])][:1]:
                is_split = {text.lower() for text in self._texts[column]} <= OF_SPLIT.keys()
                if (key != "split" or is_split) and (key != "frame" or self._numbers[column] is not None):
                    self.values[key] = self._take([column])[0]

    def _take_geometry(self) -> None:
        landmarks = [f"{axis}{place}" for place in range(68) for axis in "xy"]
        shapes = [("landmarks", [landmarks, *([header] for header in ONE_LANDMARKS)])]
        shapes += [("box", [*map(list, BOXES), *([header] for header in ONE_BOX)])]
        for key, candidates in shapes:
            found = [columns for headers in candidates if (columns := self._find(headers))]
            if found:
                self.values[key] = self._take(found[0])
                break

    def _common_spaces(self) -> dict[str, Any]:
        spaces: dict[str, Any] = {}
        for column in [c for header in EXPRESSIONS for c in self._find([header])]:
            if self._texts[column] and set(self._texts[column]) <= set(EXPRESSION.names):
                spaces[EXPRESSION.name] = {"kind": EXPRESSION.kind, "columns": self._take([column])}
                break
        columns = self._find(VALENCE_AROUSAL.names)
        if columns and self._within(columns, VALENCE_AROUSAL.low, VALENCE_AROUSAL.high):
            about = {"columns": self._take(columns), "names": list(VALENCE_AROUSAL.names)}
            spaces[VALENCE_AROUSAL.name] = {"kind": VALENCE_AROUSAL.kind, **about}
        units = [c for c in self.left if re.fullmatch(r"AU0*\d+(_c)?", c, re.IGNORECASE) and self._is_binary(c)]
        if units:
            names = [f"AU{int(re.sub(r'[^0-9]', '', c))}" for c in units]
            if len(set(names)) == len(names):
                about = {"columns": self._take(units), "names": names}
                spaces[ACTION_UNITS.name] = {"kind": ACTION_UNITS.kind, **about}
        return spaces

    def _other_spaces(self) -> dict[str, Any]:
        """Attributes together, and a space for any other column of few texts or of numbers."""
        spaces: dict[str, Any] = {}
        binary = [column for column in self.left if self._is_binary(column)]
        if binary:
            spaces["attributes"] = {"kind": "multilabel", "columns": self._take(binary)}
        for column in list(self.left):
            name = _space_name(column)
            if name in (EXPRESSION.name, VALENCE_AROUSAL.name, ACTION_UNITS.name) or name in spaces:
                name = f"{name}_2"
            numbers, texts = self._numbers[column], self._texts[column]
            if numbers is not None and _plain(column) in EXPRESSIONS and len(texts) <= MOST_CLASSES:
                of_class = {text: f"CLASS {text}" for text in sorted(texts, key=float)}
                spaces[name] = {"kind": "multiclass", "columns": self._take([column]), "names": of_class}
            elif numbers is not None and numbers.min() < numbers.max():
                low, high = float(numbers.min()), float(numbers.max())
                spaces[name] = {"kind": "regression", "columns": self._take([column]), "low": low, "high": high}
            elif numbers is None and 1 < len(texts) <= min(MOST_CLASSES, len(self._part.rows) // 2):
                spaces[name] = {"kind": "multiclass", "columns": self._take([column]), "names": sorted(texts)}
        return spaces

    def _within(self, columns: Sequence[str], low: float, high: float) -> bool:
        found = [self._numbers[column] for column in columns]
        return all(numbers is not None and low <= numbers.min() and numbers.max() <= high for numbers in found)

    def _is_binary(self, column: str) -> bool:
        numbers = self._numbers[column]
        return numbers is not None and set(np.unique(numbers).tolist()) <= {0.0, 1.0}


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _space_name(column: str) -> str:
    """A name that a space can have."""
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    return name if name[:1].isalpha() else f"labels_{name}".rstrip("_")
