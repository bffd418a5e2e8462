"""Readers of tables: of labels, of clips, of corrections; and the YAML that says what the columns of one are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.engine import Harness, Target
from fuzz.of_databases import write

COLUMNS = """path: path
box: [l, t, r, b]
subject: who
split: part
video: clip
frame: n
annotator: by
spaces:
  mood: {kind: multiclass, columns: mood}
  energy: {kind: regression, columns: [energy], low: 0, high: 10}
  looks: {kind: multilabel, columns: [hat, beard]}
  style: {kind: multiclass, columns: style, level: clip, names: {0: plain, 1: rich}}
"""
ROWS = (
    "path,l,t,r,b,who,part,clip,n,by,mood,energy,hat,beard,style\n"
    "a/1.jpg,0,1,20.5,30,Ann,train,v,0,,calm,0.5,1,0,1\n"
    'a/1.jpg,0,1,20.5,30,Ann,train,v,0,Bob,"tense",,,,\n'
    "a/2.jpg,5,1,20,30,,val,w,3,,,9e-1,0,1,\n"
)
CLIPS = (
    "clip_id,part,path_face_frames,path_video,path_body,path_audio,label,subject_id,language,split\n"
    "c1,1,faces/c1,,bodies/c1,,happy,s1,en,train\n"
    "c2,2,faces/c2,,,sound.wav,Anger,s2,,val\n"
)


def _read(name: str, root: Path) -> Callable[[], object]:
    from abaw_ray.databases.reading.database import read_database

    return lambda: read_database(name, root, {})


def _parquet(text: str, **columns: Any) -> bytes:
    """A table of CSV as Parquet; `columns` are cast to other types."""
    import pyarrow.csv
    import pyarrow.parquet as pq

    table = pyarrow.csv.read_csv(io.BytesIO(text.encode()))
    for name, kind in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="snappy")
    return buffer.getvalue()


def _table(ending: str) -> Harness:
    def make(root: Path) -> Target:
        for picture in ("a/1.jpg", "a/2.jpg", "a/3.jpg"):
            write(root / picture)
        write(root / "t.yaml", COLUMNS)
        if ending == ".parquet":
            file = write(root / "t.parquet", _parquet(ROWS))
            return Target(file, _read("table", root), more=(_parquet(ROWS, n="float64"),), named=root.name)
        file = write(root / f"t{ending}", ROWS.replace(",", "\t") if ending == ".tsv" else ROWS)
        return Target(file, _read("table", root), has_lines=True, named=root.name)

    return make


def _columns(root: Path) -> Target:
    _table(".csv")(root)
    return Target(root / "t.yaml", _read("table", root), named="t.csv")


def _proposal(root: Path) -> Target:
    """Of a table without YAML, the guess of what its columns are."""
    from abaw_ray.errors import MissingInputError

    _table(".csv")(root)
    (root / "t.yaml").unlink()

    def read() -> None:
        try:
            _read("table", root)()
        except MissingInputError as error:
            if "Proposed" not in str(error):
                raise

    return Target(root / "t.csv", read)


def _clips(ending: str) -> Harness:
    def make(root: Path) -> Target:
        for picture in ("faces/c1/1.jpg", "faces/c1/2.jpg", "faces/c2/1.jpg", "bodies/c1/1.jpg", "sound.wav"):
            write(root / picture)
        content = _parquet(CLIPS) if ending == ".parquet" else CLIPS
        file = write(root / f"manifest{ending}", content)
        return Target(file, _read("heu", root), has_lines=ending == ".csv", named=root.name)

    return make


def _corrections(root: Path) -> Target:
    from stores import make_store  # of the tests

    from abaw_ray.blocks.reader import Store
    from abaw_ray.errors import StoreError
    from abaw_ray.evaluation import corrections

    store = Store(make_store(root / "store").path)
    labels = store.labels("action_units")
    row = int(labels.labels.rows[labels.labels.splits > 0][0])
    database, video, frame = store.frames_of(_rows(row))[0]
    name = store.spaces["action_units"].names[0]
    stated = corrections.label_text(store.spaces["action_units"], labels.of(_rows(row))[0][0, 0])
    lines = ["database,video,frame,task,name,label,corrected,note"]
    lines.append(f"{database},{video},{frame},action_units,{name},{stated},1,why")
    lines.append(f"{database},{video},{frame},expression,,,,")
    file = write(root / "doubts.csv", "\n".join(lines) + "\n")

    def read() -> None:
        table = corrections.TableFile(file)
        table.require(dict.fromkeys(corrections.COLUMNS, "a review's file"))
        by_task: dict[str, list[Any]] = {}
        for task, correction in corrections._corrections(store, table):
            by_task.setdefault(task, []).append(correction)
        for task, found in by_task.items():
            try:
                corrections._corrected(store, task, found, table)
            except StoreError as error:
                if "is left" not in str(error):
                    raise

    return Target(file, read, has_lines=True)


def _rows(row: int) -> Any:
    import numpy as np

    return np.array([row])


HARNESSES: dict[str, Harness] = {
    "table-csv": _table(".csv"),
    "table-tsv": _table(".tsv"),
    "table-parquet": _table(".parquet"),
    "table-yaml": _columns,
    "table-proposal": _proposal,
    "heu-csv": _clips(".csv"),
    "heu-parquet": _clips(".parquet"),
    "corrections": _corrections,
}
