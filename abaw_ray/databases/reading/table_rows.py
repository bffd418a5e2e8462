"""Which video and frame each row of a table is of, what it is for, and which rows are left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.below import is_below
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading import pictures
from abaw_ray.databases.reading.names import file_name, stored_name
from abaw_ray.databases.reading.parsing import add_each, is_kind
from abaw_ray.databases.reading.table_cells import Texts
from abaw_ray.databases.reading.table_columns import TableColumns
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.databases.reading.videos import SUFFIXES, count_frames
from abaw_ray.errors import quoted
from abaw_ray.spaces import SPLIT_NAMES, Split

IMAGE_SUFFIXES = (*pictures.SUFFIXES, ".tif", ".tiff")
OF_SPLIT = {"train": Split.TRAIN, "training": Split.TRAIN, **SPLIT_NAMES}


class TableRows:
    """The rows of a table that are faces. Rows are left out one reason after the other, and counted.

    Args:
        root: of the database, which no path leads out of.
        file: the table.
        columns: of it.
        splits: (rows,) `Split` of each row's labels.
        problems: takes up what is left out.

    Attributes:
        videos: what the rows are of: the column of videos, or the paths.
        is_video: (rows,) whether a row's path is of a video.
        sequential: whether the rows are frames of videos.
        kept: (rows,) which are left.
    """

    def __init__(
        self, root: Path, file: TableFile, columns: TableColumns, splits: np.ndarray, problems: Problems
    ) -> None:
        self.file, self.columns, self.splits, self.problems = file, columns, splits, problems
        self.paths = Texts.of([columns.paths])
        self.videos = columns.texts.get("video", self.paths)
        self.is_video = _ends_with(self.paths.values, tuple(SUFFIXES))[self.paths.codes]
        self.sequential = "video" in columns.texts or columns.frames is not None or bool(self.is_video.any())
        self.kept = np.ones(len(splits), bool)
        self._require_below(root)
        if "video" not in columns.texts and columns.frames is not None and not self.is_video.all():
            row = int(np.argmin(self.is_video))
            expected = "a video, or the column of its video under `video`, beside the number of a frame"
            raise file.error(row, f"the picture {self.path(row)}", expected)

    def path(self, row: int) -> str:
        """A row's path."""
        return str(self.columns.paths[row].as_py())

    def _require_below(self, root: Path) -> None:
        """That no row's path leads out of the root."""
        for code, path in enumerate(self.paths.values.to_pylist()):
            if path is not None and (path.startswith("/") or ".." in path or "\0" in path) and not is_below(path, root):
                expected = f"a path below {root} without ..; give a root above all files"
                raise self.file.error(int(np.argmax(self.paths.codes == code)), f"the path {quoted(path)}", expected)

    def leave_out(self, wrong: np.ndarray, reason: str, describe: Callable[[int], str] | None = None) -> None:
        """Leaves out the rows that are `wrong` (rows,); `describe` says what was found in one: its path, if None."""
        self.note(wrong & self.kept, reason, describe)
        self.kept &= ~wrong

    def note(self, wrong: np.ndarray, reason: str, describe: Callable[[int], str] | None = None) -> None:
        """Counts the rows that are `wrong` (rows,)."""
        rows = np.flatnonzero(wrong)
        add_each(self.problems, reason, rows, lambda row: f"{self.file.where(row)}: {(describe or self.path)(row)}")

    def leave_out_unusable(self, key: str) -> None:
        """Leaves out rows for nothing, those without the geometry called `key`, and those without a label."""
        self.leave_out(self.splits == Split.NONE, "row_without_split")
        geometry = self.columns.geometry
        if geometry.shape[1]:
            self.leave_out(np.isnan(geometry).any(1), f"row_without_{key}")
        if geometry.shape[1] == 4:
            is_empty = (geometry[:, 2] <= geometry[:, 0]) | (geometry[:, 3] <= geometry[:, 1])
            self.leave_out(is_empty, "empty_box", lambda row: f"left, top, right, bottom {geometry[row].tolist()}")
        is_labelled, is_outside = np.zeros_like(self.kept), np.zeros_like(self.kept)
        for labels in self.columns.labels:
            name = labels.space.name
            outside = self.kept & labels.is_outside
            self.note(outside, "label_out_of_range", lambda row, name=name: f"{name} of {self.path(row)}")  # type: ignore[misc]
            is_outside |= outside
            if labels.space.level == "clip":
                of_video = np.zeros(len(self.videos.values), bool)
                of_video[self.videos.codes[labels.is_given & (self.splits != Split.NONE)]] = True
                is_labelled |= of_video[self.videos.codes]
            else:
                is_labelled |= labels.is_given
        self.leave_out(~is_labelled & ~is_outside, "row_without_label")
        self.kept &= is_labelled

    def leave_out_missing(self, root: Path, own: set[str]) -> np.ndarray:
        """Which rows (rows,) have their picture; rows of photos without, or of whole videos, are left out.

        Folders that rows are in are listed once each; what else they hold but the files `own` is counted.
        """
        exists, others = _find_files(root, self.paths.values)
        found = exists[self.paths.codes]
        can_be_unseen = self.sequential and (self.columns.frames is not None or ~self.is_video)
        missing = ~found & self.kept
        self.note(missing, "frame_without_image", lambda row: f"no image {self.path(row)}")
        self.kept &= found | can_be_unseen
        suffixes = (*IMAGE_SUFFIXES, *SUFFIXES)
        is_image = _ends_with(pa.array(others, pa.string()), suffixes)
        for reason, which in (("image_without_label", is_image), ("unexpected_file", ~is_image)):
            names = [others[place] for place in np.flatnonzero(which) if others[place] not in own]
            add_each(self.problems, reason, names, str)
        return found

    def frames(self, root: Path) -> tuple[np.ndarray, np.ndarray]:
        """Rows that are left, each as often as it has frames, and the numbers of the frames: (frames,) int64 both.

        Without numbers in the table a row of a video is all its frames, and a picture's number its place among the
        different pictures of its video, or among the different faces of its photo.
        """
        rows = np.flatnonzero(self.kept)
        if self.columns.frames is not None:
            return rows, self.columns.frames[rows]
        items = self.paths.codes if "video" in self.columns.texts else self._faces()
        places = _places(self.videos.codes, items)
        lengths = np.ones(len(self.paths.values), np.int64)
        for code in np.unique(self.paths.codes[rows[self.is_video[rows]]]).tolist():
            lengths[code] = count_frames(root / file_name(self.paths.values[code].as_py()))
        counts = lengths[self.paths.codes[rows]]
        repeated = np.repeat(rows, counts)
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(counts) - counts, counts)
        return repeated, np.where(self.is_video[repeated], within, places[repeated])

    def _faces(self) -> np.ndarray:
        """Equal numbers (rows,) for rows with equal geometry, where a path has several rows."""
        several = np.bincount(self.paths.codes)[self.paths.codes] > 1
        items = np.zeros(len(self.kept), np.int64)
        geometry = np.ascontiguousarray(self.columns.geometry[several])
        if geometry.size:
            width = geometry.shape[1] * geometry.itemsize
            cells = pa.Array.from_buffers(pa.binary(width), len(geometry), [None, pa.py_buffer(geometry)])
            items[several] = cells.dictionary_encode().indices.to_numpy()
        return items

    def note_several_splits(self) -> None:
        """Counts videos, and people, that have labels in more than one split."""
        named = {"video": self.videos} | {k: t for k, t in self.columns.texts.items() if k == "subject"}
        for key, texts in named.items():
            rows = np.flatnonzero(self.kept & (texts.codes >= 0))
            lowest, highest = np.full(len(texts.values), 9, np.int8), np.zeros(len(texts.values), np.int8)
            np.minimum.at(lowest, texts.codes[rows], self.splits[rows])
            np.maximum.at(highest, texts.codes[rows], self.splits[rows])
            names = texts.values.filter(pa.array(lowest < highest))
            add_each(self.problems, f"{key}_in_several_splits", names.to_pylist(), str)


def _ends_with(texts: pa.Array, suffixes: tuple[str, ...]) -> np.ndarray:
    """Which texts (n,) end with one of `suffixes`, in small letters or capital ones."""
    found = np.zeros(len(texts), bool)
    for suffix in suffixes:
        found |= pc.ends_with(texts, suffix, ignore_case=True).to_numpy(zero_copy_only=False)
    return found


def _find_files(root: Path, paths: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Which of `paths` (n,) below `root` are files, and what else lies in their folders, without hidden files."""
    folders = pc.unique(pc.replace_substring_regex(paths, r"[^/]*$", "")).to_pylist()
    files, hidden = [pa.array([], pa.string())], []
    for folder in folders:
        place = root / file_name(folder)
        if place.is_dir():
            with os.scandir(place) as found:
                names = [stored_name(entry.name) for entry in found if not is_kind(entry.is_dir)]
            files.append(pa.array([f"{folder}{name}" for name in names], pa.string()))
            hidden.append(np.array([name.startswith(".") for name in names], bool))
    listed = pa.chunked_array(files).combine_chunks()
    exists = pc.is_in(paths, value_set=listed).to_numpy(zero_copy_only=False)
    is_other = ~pc.is_in(listed, value_set=paths).to_numpy(zero_copy_only=False)
    is_other &= ~np.concatenate([np.empty(0, bool), *hidden])
    return exists, sorted(listed.filter(pa.array(is_other)).to_pylist())


def _places(groups: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Place (rows,) of each row's item among the different ones of its group, in the order of their first rows."""
    pairs = groups.astype(np.int64) * (int(items.max(initial=0)) + 1) + items
    _, first, pair = np.unique(pairs, return_index=True, return_inverse=True)
    order = np.lexsort((first, groups[first]))
    starts = np.flatnonzero(np.diff(groups[first][order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return places[pair]
