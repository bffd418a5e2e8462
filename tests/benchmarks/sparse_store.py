"""Stores of any number of rows that take little room: their pixels are holes in sparse files, read as black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.index import IndexPart, write_index
from abaw_ray.blocks.manifest import BlockEntry, DatabaseEntry, Manifest
from abaw_ray.blocks.schema import BLOCKS, INDEX, UNSEEN, VIDEOS, block_schema, unseen_schema
from abaw_ray.blocks.videos import write_unseen, write_videos
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.schemas import split_column, videos_schema
from abaw_ray.preprocess.contents import write_sets
from abaw_ray.preprocess.label_files import consecutive_rows, write_label_files
from abaw_ray.preprocess.sets import TrainingSet
from abaw_ray.spaces import Split
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.image import KIND

SPACES = (EXPRESSION, VALENCE_AROUSAL)
BLOCK_ROWS = 1024
VALIDATION_BLOCKS = 1


def sparse_store(folder: Path, num_rows: int, size: int = 112) -> Path:
    """A store of one database of videos of a block each, whose rows have random labels of expression and VA.

    Args:
        folder: to write to.
        num_rows: rounded up to whole blocks, of which the last is the validation split.
        size: side of an image in pixels.
    """
    rng = np.random.default_rng(0)
    num_blocks = -(-num_rows // BLOCK_ROWS) + VALIDATION_BLOCKS
    count = num_blocks * BLOCK_ROWS
    names = np.array([f"video {number:06d}" for number in range(num_blocks)])
    split = np.full(count, int(Split.TRAIN), np.int8)
    split[-VALIDATION_BLOCKS * BLOCK_ROWS :] = int(Split.VALIDATION)
    classes = rng.integers(0, len(EXPRESSION.names), count)
    vectors = {
        "expression": np.eye(len(EXPRESSION.names), dtype=np.float32)[classes],
        "valence_arousal": rng.uniform(-1, 1, (count, 2)).astype(np.float32),
    }
    columns = {
        "video": pa.array(np.repeat(names, BLOCK_ROWS)),
        "frame": pa.array(np.tile(np.arange(BLOCK_ROWS, dtype=np.int32), num_blocks)),
    }
    for space in SPACES:
        columns[space.name] = pa.FixedSizeListArray.from_arrays(pa.array(vectors[space.name].reshape(-1)), space.size)
        columns[split_column(space.name)] = pa.array(split)
    rows = pa.table(columns | {"subject": pa.nulls(count, pa.string())})
    blocks = [_block(folder, f"face/sparse/{name}.arrow", rows, number, size) for number, name in enumerate(names)]
    place = np.repeat(np.arange(num_blocks), BLOCK_ROWS)
    part = IndexPart(rows, place, np.tile(np.arange(BLOCK_ROWS), num_blocks))
    videos = pa.table([pa.array(names), pa.array(np.full(num_blocks, BLOCK_ROWS, np.int32))], schema=videos_schema())
    index_sha256 = write_index(folder / INDEX, [part])
    train = np.flatnonzero(split == Split.TRAIN)
    sets = [
        TrainingSet("mixed_expr", ("expression",), {"sparse": train[::2]}),
        TrainingSet("mixed_va", ("valence_arousal",), {"sparse": train[1::2]}),
        TrainingSet("expr_va", ("expression", "valence_arousal"), {"sparse": train[::3]}),
    ]
    manifest = Manifest(
        seed=0,
        prepare={},
        image_size=size,
        encoding="raw",
        spaces=SPACES,
        num_images=count,
        databases=[_database(count, num_blocks)],
        sets=write_sets(folder, sets),
        labels=write_label_files(folder, SPACES, consecutive_rows([rows], [SPACES]), [], []),
        index_sha256=index_sha256,
        videos_sha256=write_videos(folder / VIDEOS, [videos]),
        unseen_sha256=write_unseen(folder / UNSEEN, [unseen_schema().empty_table()], [videos]),
        blocks=blocks,
    )
    manifest.model_copy(update={"content_hash": manifest.hash()}).save(folder)
    return folder


def _block(folder: Path, path: str, rows: pa.Table, number: int, size: int) -> BlockEntry:
    """Writes a block whose images are a hole in its file."""
    part = rows.slice(number * BLOCK_ROWS, BLOCK_ROWS)
    length = BLOCK_ROWS * size * size * 3
    black = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(length, np.uint8)), size * size * 3)
    schema = block_schema(KIND.field(Stream(name=FACE, kind="image", size=size, encoding="raw")))
    table = part.append_column("image", black).select(schema.names).cast(schema).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    images = pa.ipc.open_file(content).get_batch(0).column("image").values.buffers()[1]
    start = images.address - content.address
    file = folder / BLOCKS / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.write(content[:start])
        out.seek(start + length)
        out.write(content[start + length :])
    return BlockEntry(path=path, num_rows=BLOCK_ROWS, plan_hash="", sha256="")


def _database(count: int, num_videos: int) -> DatabaseEntry:
    return DatabaseEntry(
        name="sparse",
        title="synthetic rows without pixels",
        crop="whole",
        sequential=True,
        options={},
        num_images=count,
        num_videos=num_videos,
        num_leaking_videos=0,
        labels={},
        spaces=SPACES,
        classes={},
        problems={},
    )
