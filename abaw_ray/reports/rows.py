"""Which rows of a store the frames of a table are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.reader import Store

KEYS = ["database", "video", "frame"]


def rows_of(store: Store, table: pa.Table) -> np.ndarray:
    """Row (n,) int64 of each frame of a table with the columns database, video and frame; -1: it has no picture."""
    index = store.index
    names = pa.array(store.databases, pa.string())
    known = pa.table(
        {
            "database": names.take(pa.array(index.database)),
            "video": index.videos.cast(pa.string()),
            "frame": pa.array(index.frame),
            "row": pa.array(np.arange(len(index))),
        }
    )
    known = known.filter(pc.is_in(known["video"], pc.unique(table["video"])))
    wanted = table.select(KEYS).append_column("place", pa.array(np.arange(len(table))))
    found = wanted.join(known, KEYS, join_type="inner")
    rows = np.full(len(table), -1, np.int64)
    rows[found["place"].to_numpy()] = found["row"].to_numpy()
    return rows
