"""Names, columns and types of a store's files.

manifest.json                               what the store holds; written last
index.arrow                                 one row an image: its place, and its labels
videos.arrow                                one row a video: its number of frames
unseen.arrow                                one row a labelled frame of a video that has no image
sets/<set>.arrow                            rows of the index that make up a training set
blocks/face/<database>/<name>-NNNNN.arrow   images; nothing in them, or in their paths, depends on labels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from abaw_ray.databases.base import label_fields
from abaw_ray.spaces import LabelSpace

VERSION = 3
"""Version of the layout; a store of another version is refused."""

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""The manifest's place while a store is being written."""
INDEX = "index.arrow"
VIDEOS = "videos.arrow"
UNSEEN = "unseen.arrow"
SETS = "sets"
BLOCKS = "blocks"

FACE = "face"
"""The stream of images: its blocks lie in a folder of this name."""

METADATA_KEY = b"abaw_ray"
"""Schema metadata of a block file: JSON of `writer.BlockMetadata`."""

Encoding = Literal["raw", "jpeg"]


def image_field(size: int, encoding: Encoding) -> pa.Field:
    """Column of images: RGB bytes (size, size, 3) row by row, or a JPEG file."""
    return pa.field("image", pa.list_(pa.uint8(), size * size * 3) if encoding == "raw" else pa.large_binary())


def block_schema(size: int, encoding: Encoding) -> pa.Schema:
    """Columns of a block file. Database and place in the store are the index's: a block does not depend on others."""
    return pa.schema([pa.field("video", pa.string()), pa.field("frame", pa.int32()), image_field(size, encoding)])


def index_schema(spaces: Sequence[LabelSpace]) -> pa.Schema:
    """Columns of the index, with labels in the store's `spaces`.

    `database` and `block` are places in the manifest's lists; `row` is a block's row.
    """
    return pa.schema(
        [
            pa.field("database", pa.int8()),
            pa.field("video", pa.dictionary(pa.int32(), pa.string())),
            pa.field("frame", pa.int32()),
            pa.field("block", pa.int32()),
            pa.field("row", pa.int32()),
            *label_fields(spaces),
        ]
    )


def videos_schema() -> pa.Schema:
    """Columns of the videos. `database` is a place in the manifest's list."""
    return pa.schema(
        [pa.field("database", pa.int8()), pa.field("video", pa.string()), pa.field("num_frames", pa.int32())]
    )


def unseen_schema(spaces: Sequence[LabelSpace]) -> pa.Schema:
    """Columns of the frames without an image, with labels in the store's `spaces`. `video` is a row of the videos."""
    return pa.schema([pa.field("video", pa.int32()), pa.field("frame", pa.int32()), *label_fields(spaces)])


def set_schema() -> pa.Schema:
    """The one column of a training set: rows of the index."""
    return pa.schema([pa.field("row", pa.int64())])
