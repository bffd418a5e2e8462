"""Manifests of clips: a table with a line for each clip, of what it is and where its parts are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from abaw_ray.below import is_below
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import note_others
from abaw_ray.databases.reading.table_cells import Part
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.errors import DatabaseFormatError, quoted, shortened
from abaw_ray.spaces import SPLIT_NAMES, Split

FACES = ("path_face_frames", "path_video")
REQUIRED = ("clip_id", "part", "path_body", "path_audio", "label", "subject_id", "language")
NAMES = ("clip_id", "part", *FACES, "path_body", "path_audio", "label", "subject_id", "language")
SPLIT = "split"


@dataclass(frozen=True)
class Clip:
    """A line of a manifest; what it does not have is empty.

    Args:
        file: of the manifest.
        line: in it.
        name: of the clip.
        part: of the database.
        faces: path of a folder of pictures, or of a video.
        body: the same.
        audio: path of a sound file, or of a video.
        label: as it is written.
        subject: who it shows.
        language: that is spoken.
        split: None: it is to be drawn.
    """

    file: Path
    line: int
    name: str
    part: str
    faces: str
    body: str
    audio: str
    label: str
    subject: str
    language: str
    split: Split | None

    @property
    def where(self) -> str:
        """File, line and name, for people."""
        return f"{self.file}:{self.line}: {self.name}"

    def error(self, found: str, expected: str) -> DatabaseFormatError:
        """The error of its line."""
        return DatabaseFormatError(self.file, self.line, found, expected)


def _note_unnamed(path: Path, clips: Sequence[Clip], problems: Problems) -> None:
    """Counts what lies beside the files of clips, or beside the manifest itself, and no clip names."""
    root, named = path.parent, {place for clip in clips for place in (clip.faces, clip.body, clip.audio) if place}
    known = defaultdict(set, {root: {path.name}})
    for place in named:
        parts = PurePosixPath(place).parts
        for depth, part in enumerate(parts):
            known[root.joinpath(*parts[:depth])].add(part)
    own = {root / place for place in named}
    for folder in sorted(known.keys() - own):
        if folder.is_dir() and folder.is_relative_to(root):
            note_others(problems, folder, known[folder])


def read_clips(path: Path, problems: Problems) -> tuple[list[Clip], bool]:
    """The clips of a manifest (CSV or Parquet), and whether it says their splits.

    Args:
        path: of the manifest.
        problems: takes up columns that are not read, files that no clip names, and clips without a path of faces, which
            are left out.

    Raises:
        DatabaseFormatError: a column is missing, a clip has no name or another one's, a split is none, or a subject is
            in two of them.
    """
    file = TableFile(path)
    lacking = [name for name in REQUIRED if name not in file.columns]
    if lacking or not set(FACES) & set(file.columns):
        expected = f"the columns {', '.join(REQUIRED)}, and {' or '.join(FACES)}"
        raise DatabaseFormatError(path, 1, shortened(f"columns {', '.join(file.columns)}", 300), expected)
    for name in file.columns:
        if name not in {*NAMES, SPLIT}:
            problems.add("column_not_read", f"{path}: {name}")
    clips: dict[str, Clip] = {}
    of_subject: dict[str, Clip] = {}
    for line, cells in _lines(file):
        clip = _clip(path, line, cells, problems)
        if not clip.name:
            raise clip.error("no clip_id", "a name for each clip")
        if clip.name in clips:
            found = f"clip {quoted(clip.name)}, which is also in line {clips[clip.name].line}"
            raise clip.error(found, "a line for each clip")
        clips[clip.name] = clip
        first = of_subject.setdefault(clip.subject, clip) if clip.subject else clip
        if clip.split is not None and first.split is not None and clip.split != first.split:
            raise clip.error(
                f"subject {quoted(clip.subject)} in {_name(clip.split)}, in line {first.line} in {_name(first.split)}",
                "all clips of a subject in one split",
            )
    _note_unnamed(path, list(clips.values()), problems)
    with_faces = [clip for clip in clips.values() if clip.faces]
    for clip in clips.values():
        if not clip.faces:
            problems.add("clip_without_faces", f"{clip.where}: nothing in {' and '.join(FACES)}")
    return with_faces, SPLIT in file.columns


def _lines(file: TableFile) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells by column of each row; a cell that is null is empty."""
    names = [name for name in (*NAMES, SPLIT) if name in file.columns]
    for first, batch in file.batches(names):
        part = Part(file, first + np.arange(batch.num_rows), batch)
        cells = {name: _cells(part, name) for name in names}
        for row in range(batch.num_rows):
            yield file.line(first + row), {name: _text(cells[name][row]) for name in names}


def _cells(part: Part, name: str) -> list[object]:
    """The cells of a column: numbers as such, anything else as text."""
    cells = part.batch.column(part.batch.schema.get_field_index(name))
    return list(cells.to_pylist() if pa.types.is_floating(cells.type) else part.texts(name).to_pylist())


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    # a column of whole numbers with a null becomes one of floats in many tools
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _clip(path: Path, line: int, cells: dict[str, str], problems: Problems) -> Clip:
    frames, video, body, audio = (_path(cells.get(name, "")) for name in (*FACES, "path_body", "path_audio"))
    clip = Clip(
        path,
        line,
        cells["clip_id"],
        cells["part"],
        frames or video,
        body,
        audio,
        cells["label"],
        cells["subject_id"],
        cells["language"],
        SPLIT_NAMES.get(cells.get(SPLIT, "").lower()),
    )
    for place in (clip.faces, body, audio):
        if place and not is_below(place, path.parent):
            raise clip.error(quoted(place), f"paths below {path.parent}")
    if frames and video:
        problems.add("video_beside_face_frames", f"{clip.where}: {video}: not read, {frames} is")
    if SPLIT in cells and clip.split is None:
        raise clip.error(f"split {quoted(cells[SPLIT])}", f"one of {', '.join(SPLIT_NAMES)}")
    return clip


def _path(cell: str) -> str:
    return PurePosixPath(cell).as_posix() if cell else ""


def _name(split: Split) -> str:
    return split.name.lower()
