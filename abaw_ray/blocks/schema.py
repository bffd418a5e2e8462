"""Names, columns and types of a store's files.

manifest.json                                  what the store holds; written last
index.arrow                                    one row an image
sets/<set>.arrow                               rows of the index that make up a training set
blocks/<database>/<splits>/<name>-NNNNN.arrow  images with their labels
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from abaw_ray.labels import TASKS

VERSION = 1
"""Version of the layout; a store of another version is refused."""

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""The manifest's place while a store is being written."""
INDEX = "index.arrow"
SETS = "sets"
BLOCKS = "blocks"

METADATA_KEY = b"abaw_ray"
"""Schema metadata of a block file: JSON of `writer.BlockMetadata`."""

Encoding = Literal["raw", "jpeg"]


def split_column(task: str) -> str:
    """Name of the column with the `Split` of a task's label."""
    return f"{task}_split"


def label_fields() -> list[pa.Field]:
    """Label vector and split of every task."""
    fields = []
    for task, size in TASKS.items():
        fields += [pa.field(task, pa.list_(pa.float32(), size)), pa.field(split_column(task), pa.int8())]
    return fields


def image_field(size: int, encoding: Encoding) -> pa.Field:
    """Column of images: RGB bytes (size, size, 3) row by row, or a JPEG file."""
    return pa.field("image", pa.list_(pa.uint8(), size * size * 3) if encoding == "raw" else pa.large_binary())


def block_schema(size: int, encoding: Encoding) -> pa.Schema:
    """Columns of a block file. Database and place in the store are the index's: a block does not depend on others."""
    fields = [pa.field("video", pa.string()), pa.field("frame", pa.int32()), *label_fields()]
    return pa.schema([*fields, image_field(size, encoding)])


def index_schema() -> pa.Schema:
    """Columns of the index. `database` and `block` are places in the manifest's lists; `row` is a block's row."""
    return pa.schema(
        [
            pa.field("database", pa.int8()),
            pa.field("video", pa.dictionary(pa.int32(), pa.string())),
            pa.field("frame", pa.int32()),
            pa.field("block", pa.int32()),
            pa.field("row", pa.int32()),
            *label_fields(),
        ]
    )


def set_schema() -> pa.Schema:
    """The one column of a training set: rows of the index."""
    return pa.schema([pa.field("row", pa.int64())])
