"""Any table of labels: a CSV, TSV or Parquet file with a row for each picture, frame or clip, and a YAML beside it.

The YAML has the table's name (`faces.csv`, `faces.yaml`) and says what the columns are; `TableConfig` has its keys.
Without one, `inspect` proposes it. A row is

- a face of a photo: several rows of one path with different boxes are several faces, numbered in the table's order;
- with `frame` or `video`: a frame of a video, a picture of its own or a path of the video itself;
- a whole video, where the path is of one and there is no `frame`: its label is that of every frame or, with
  `level: clip`, of the video.

An empty cell is no label. With `annotator`, the labels of somebody with a name are kept beside those without one
(`store.label_sets[space, annotator]`): only the latter are scored, and trained unless `loss.label_sets` names others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember
from abaw_ray.databases.reading.parsing import entries, is_kind, require_file, require_folder, split_by_name
from abaw_ray.databases.reading.subjects import subjects_of
from abaw_ray.databases.reading.table_cells import Texts
from abaw_ray.databases.reading.table_columns import TableColumns, read_columns
from abaw_ray.databases.reading.table_config import SETS, TableConfig, read_config
from abaw_ray.databases.reading.table_faces import clip_table, face_tables, group_faces, video_table
from abaw_ray.databases.reading.table_files import SUFFIXES, TableFile
from abaw_ray.databases.reading.table_proposal import propose
from abaw_ray.databases.reading.table_rows import OF_SPLIT, TableRows
from abaw_ray.errors import ConfigurationError, MissingInputError, quoted
from abaw_ray.spaces import Split

LAYOUT = f"one table ({', '.join(SUFFIXES)}), a YAML of its name that says what its columns are, and the pictures"


class TableOptions(Options):
    """Which table, and how its rows are split. Without a column of splits all train, unless a part is asked for
    validation."""

    file: Path | None = None
    """The table, relative to the root; None: the only one there."""
    config: Path | None = None
    """The YAML with its columns, relative to the root; None: the one beside it."""
    validation_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part is validation, whole subjects, videos or paths as `by` says."""
    by: Literal["subject", "video", "path"] = "video"
    """What is not divided; of photos, video and path are the same. A row without a subject goes by its video."""
    split_seed: int = 0


def read(root: Path, options: TableOptions) -> LabelTable:
    """One row a face or frame; geometry is what the columns `box` or `landmarks` hold."""
    require_folder(root, LAYOUT)
    path = _find_table(root, options)
    config_path = root / options.config if options.config else path.with_suffix(".yaml")
    file = TableFile(path)
    if not config_path.is_file():
        raise MissingInputError(_proposal(file, config_path))
    config = read_config(config_path)
    if config.split and (options.validation_fraction or options.split_seed):
        raise ConfigurationError(f"{config_path} has a split column: leave out validation_fraction and split_seed")
    columns, problems = read_columns(file, config), Problems()
    if config.subject_pattern is not None:
        columns = _with_subjects(columns, config.subject_pattern, problems)
    rows = TableRows(root, file, columns, _splits(file, config, columns, options), problems)
    rows.leave_out_unusable(config.geometry[0])
    has_image = rows.leave_out_missing(root, {_name_in(root, path), _name_in(root, config_path)})
    if config.split:
        rows.note_several_splits()
    faces = group_faces(rows, root)
    seen, unseen = face_tables(rows, faces, has_image)
    spaces = tuple(labels.space for labels in columns.labels)
    return LabelTable(
        spaces,
        seen,
        problems,
        unseen,
        video_table(rows, faces),
        crop=config.crop,
        clips=clip_table(rows, faces),
        sequential=rows.sequential,
        sets=tuple(SetMember(SETS.get(space.name, space.name), (space.name,)) for space in spaces),
    )


def _with_subjects(columns: TableColumns, pattern: str, problems: Problems) -> TableColumns:
    """The columns with who each path is of."""
    paths = columns.paths.dictionary_encode()
    found = subjects_of(paths.dictionary.to_pylist(), pattern, problems)
    subjects = pa.array([subject or "" for subject in found], pa.string()).take(paths.indices)
    return replace(columns, texts=columns.texts | {"subject": Texts.of([subjects])})


def _name_in(root: Path, file: Path) -> str:
    """A file as paths in the table would name it."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _find_table(root: Path, options: TableOptions) -> Path:
    if options.file is not None:
        file = require_file(root / options.file, LAYOUT)
        if file.suffix.lower() not in SUFFIXES:
            raise ConfigurationError(f"the option file: found {file}, expected one of {', '.join(SUFFIXES)}")
        return file
    tables = [entry.name for entry in entries(root) if entry.name.lower().endswith(SUFFIXES) and is_kind(entry.is_file)]
    if not tables:
        raise MissingInputError(f"no table in {root}; expected layout: {LAYOUT}")
    if len(tables) > 1:
        raise ConfigurationError(f"{root} has {', '.join(tables)}: choose one with the option file")
    return root / tables[0]


def _proposal(file: TableFile, config: Path) -> str:
    return (
        f"no file {config}, which says what the columns of {file.path.name} are. Proposed from its first rows; "
        f"save it there with what is wrong corrected:\n\n{propose(file)}"
    )


def _splits(file: TableFile, config: TableConfig, columns: TableColumns, options: TableOptions) -> np.ndarray:
    """The `Split` of each row's labels, (rows,) int8: of the column, or drawn."""
    if config.split is not None:
        texts = columns.texts["split"]
        names = [name.lower() for name in texts.values.to_pylist()]
        unknown = [code for code, name in enumerate(names) if name not in OF_SPLIT]
        if unknown:
            row = int(np.argmax(texts.codes == unknown[0]))
            found = f"{quoted(texts.values[unknown[0]].as_py())} in column {quoted(config.split)}"
            raise file.error(row, found, f"one of {', '.join(OF_SPLIT)}, or an empty cell")
        return np.array([*(int(OF_SPLIT[name]) for name in names), int(Split.NONE)], np.int8)[texts.codes]
    if not options.validation_fraction:
        return np.full(len(columns.paths), int(Split.TRAIN), np.int8)
    if options.by == "subject" and "subject" not in columns.texts:
        raise ConfigurationError(f"by: found subject, but the columns of {file.path.name} have no subject")
    paths = Texts.of([columns.paths])
    videos = columns.texts.get("video", paths)
    splits = _drawn(paths if options.by == "path" else videos, options)
    if options.by == "subject":
        subjects = columns.texts["subject"]
        splits = np.where(subjects.codes < 0, splits, _drawn(subjects, options))
    return splits


def _drawn(texts: Texts, options: TableOptions) -> np.ndarray:
    names = texts.values.to_pylist()
    drawn = [int(split_by_name(name, options.validation_fraction, options.split_seed)) for name in names]
    return np.array([*drawn, int(Split.NONE)], np.int8)[texts.codes]


def sets(options: TableOptions) -> tuple[SetMember, ...]:
    """None that do not depend on the table: a label space is a set of its name, a common one joins its set."""
    return ()


TREE = """\
faces.csv           (or .tsv, .parquet) a row a picture, frame or clip
faces.yaml          which columns are what: without it, `inspect table ROOT` proposes one
pictures/ ...       whatever the column of paths says
"""

DATABASE = Database(
    name="table",
    title="Any table of labels: CSV, TSV or Parquet with a row a picture, frame or clip",
    layout=TREE,
    obtain="your own: a table, and a YAML beside it that says what its columns are",
    options=TableOptions,
    read=read,
    crop="whole",
    sets=sets,
)
