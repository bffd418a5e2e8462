"""Names, columns and types of a store's files.

manifest.json                               what the store holds; written last
index.arrow                                 one row a sample: what it is of, and the place of its face
videos.arrow                                one row a video: its number of frames
unseen.arrow                                one row a labelled frame of a video that has no image
labels/<space>[@<annotator>].arrow          labels of rows of the index, or of the videos; of those that have one
labels/unseen/<space>[@<annotator>].arrow   labels of rows of the unseen frames
sets/<set>.arrow                            rows of the index that make up a training set
streams/<stream>.arrow                      rows of the index that have a stream beside their face, and their place
blocks/<stream>/<database>/<name>-NNNNN.arrow  samples; nothing in them, or in their paths, depends on labels
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

VERSION = 4
"""Version of the layout; a store of another version is refused."""

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""The manifest's place while a store is being written."""
INDEX = "index.arrow"
VIDEOS = "videos.arrow"
UNSEEN = "unseen.arrow"
LABELS = "labels"
UNSEEN_LABELS = "unseen"
"""Folder in that of labels."""
SETS = "sets"
BLOCKS = "blocks"

STREAMS = "streams"

METADATA_KEY = b"abaw_ray"
"""Schema metadata of a block file: JSON of `writer.BlockMetadata`."""

Encoding = Literal["raw", "jpeg"]

Form = Literal["classes", "attributes", "vectors"]
"""How labels are kept. classes: the place of a class among the space's names, int32. attributes: an int8 each, 0 or 1,
a quarter of what float32 takes. vectors: float32 numbers, as dimensions and distributions are. Among integers, -1 is a
class that is not published, or an attribute that is not known."""


def block_schema(samples: pa.Field) -> pa.Schema:
    """Columns of a block file. Database and place in the store are the index's: a block does not depend on others."""
    return pa.schema([pa.field("video", pa.string()), pa.field("frame", pa.int32()), samples])


def index_schema() -> pa.Schema:
    """Columns of the index.

    `database` and `block` are places in the manifest's lists; `row` is a block's row, or -1 without a face. `subject`
    is null where the database does not say who it is.
    """
    return pa.schema(
        [
            pa.field("database", pa.int8()),
            pa.field("video", pa.dictionary(pa.int32(), pa.string())),
            pa.field("frame", pa.int32()),
            pa.field("subject", pa.dictionary(pa.int32(), pa.string())),
            pa.field("block", pa.int32()),
            pa.field("row", pa.int32()),
        ]
    )


def places_schema() -> pa.Schema:
    """Columns of a stream's places: rows of the index, ascending; place in the stream's list of blocks; row of it."""
    return pa.schema([pa.field("row", pa.int64()), pa.field("block", pa.int32()), pa.field("place", pa.int32())])


def videos_schema() -> pa.Schema:
    """Columns of the videos. `database` is a place in the manifest's list."""
    return pa.schema(
        [pa.field("database", pa.int8()), pa.field("video", pa.string()), pa.field("num_frames", pa.int32())]
    )


def unseen_schema() -> pa.Schema:
    """Columns of the labelled frames without an image. `video` is a row of the videos."""
    return pa.schema([pa.field("video", pa.int32()), pa.field("frame", pa.int32())])


def label_schema(size: int, form: Form) -> pa.Schema:
    """Columns of labels of `size` numbers; `row` ascends."""
    values = {
        "classes": pa.int32(),
        "attributes": pa.list_(pa.int8(), size),
        "vectors": pa.list_(pa.float32(), size),
    }
    return pa.schema([pa.field("row", pa.int64()), pa.field("value", values[form]), pa.field("split", pa.int8())])


def set_schema() -> pa.Schema:
    """The one column of a training set: rows of the index."""
    return pa.schema([pa.field("row", pa.int64())])
