"""A store of short videos whose labels can be seen in the pictures, made without Ray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from faces import face_field
from paper import SPACES, TASKS
from stores import database_entry, encode, finish_store, index_part, videos_of

from abaw_ray.blocks.manifest import BlockEntry
from abaw_ray.blocks.schema import BLOCKS, Encoding
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.databases.schemas import split_column
from abaw_ray.spaces import Split

SIZE = 32
LENGTH = 24
NUM_TRAINING, NUM_VALIDATION = 6, 2
SETS = {
    "expr_va": ("expression", "valence_arousal"),
    "mixed_expr": ("expression",),
    "mixed_va": ("valence_arousal",),
    "mixed_au": ("action_units",),
}


def make_videos(path: Path, encoding: Encoding = "raw") -> Path:
    """Videos of LENGTH frames, a block each: every frame has every label, and every training frame is in every set."""
    rng = np.random.default_rng(0)
    count = NUM_TRAINING + NUM_VALIDATION
    names = [f"film {number}" for number in range(count)]
    tables, blocks = [], []
    for number, name in enumerate(names):
        rows = _rows(rng, name, Split.TRAIN if number < NUM_TRAINING else Split.VALIDATION)
        blocks.append(_block(path, rows, name, encoding, rng))
        tables.append(rows)
    part = index_part(tables, np.repeat(np.arange(count), LENGTH), np.tile(np.arange(LENGTH), count))
    videos = videos_of(dict.fromkeys(names, LENGTH))
    train = np.arange(NUM_TRAINING * LENGTH)
    sets = {name: (tasks, train) for name, tasks in SETS.items()}
    unseen = tables[0].slice(0, 0)
    finish_store(path, [database_entry("films")], [part], [videos], [unseen], sets, blocks, encoding, SIZE)
    return path


def _rows(rng: np.random.Generator, name: str, split: Split) -> pa.Table:
    """Frames of a video with random labels of every task."""
    columns = {"video": pa.array([name] * LENGTH), "frame": pa.array(range(LENGTH), pa.int32())}
    vectors = {
        "expression": np.eye(TASKS["expression"])[rng.integers(0, TASKS["expression"], LENGTH)],
        "valence_arousal": rng.uniform(-1, 1, (LENGTH, 2)),
        "action_units": rng.integers(0, 2, (LENGTH, TASKS["action_units"])),
    }
    for space in SPACES:
        values = pa.array(vectors[space.name].reshape(-1).astype(np.float32))
        columns[space.name] = pa.FixedSizeListArray.from_arrays(values, space.size)
        columns[split_column(space.name)] = pa.array([int(split)] * LENGTH, pa.int8())
    return pa.table(columns)


def _block(path: Path, rows: pa.Table, name: str, encoding: Encoding, rng: np.random.Generator) -> BlockEntry:
    """Writes a video's pictures: red says the expression, green the valence, blue the first action units."""
    classes = np.array(rows["expression"].to_pylist()).argmax(1)
    valence = np.array(rows["valence_arousal"].to_pylist())[:, 0]
    units = np.array(rows["action_units"].to_pylist())[:, :3] @ [1, 2, 4]
    colours = np.stack([30 * classes + 20, 100 * valence + 128, 30 * units + 20], axis=1)
    slope = np.linspace(-1, 1, SIZE)[None, :, None, None] + rng.uniform(-1, 1, (LENGTH, 1, SIZE, 1)).cumsum(2) / SIZE
    pictures = (colours[:, None, None] + 15 * slope).clip(0, 255).astype(np.uint8)
    if encoding == "raw":
        images = pa.FixedSizeListArray.from_arrays(pa.array(pictures.reshape(-1)), SIZE * SIZE * 3)
    else:
        images = pa.array([encode(picture) for picture in pictures], pa.large_binary())
    faces = rows.append_column("image", images)
    field = face_field(SIZE, encoding)
    return write_block(path / BLOCKS, f"face/films/{name}.arrow", faces, BlockMetadata(name, [], {}), field).entry()
