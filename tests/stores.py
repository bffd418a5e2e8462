"""Small stores for tests, made block by block without Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from faces import face_field
from paper import SPACES, TASKS

from abaw_ray.blocks.index import IndexPart, write_index, write_rows
from abaw_ray.blocks.labels import Labels, label_name, write_labels
from abaw_ray.blocks.manifest import BlockEntry, DatabaseEntry, LabelFile, Manifest, Problem, SetEntry
from abaw_ray.blocks.reader import set_path
from abaw_ray.blocks.schema import BLOCKS, INDEX, LABELS, UNSEEN, VIDEOS, Encoding
from abaw_ray.blocks.videos import in_order, write_unseen, write_videos
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.databases.schemas import split_column, videos_schema
from abaw_ray.preprocess.label_files import consecutive_rows, write_label_files
from abaw_ray.spaces import Split

SIZE = 16
BLOCK_ROWS = (7, 1, 12, 5)  # of the blocks; the first two are database a's


@dataclass(frozen=True)
class Made:
    """A store, and what was put in: images, label table, and the unseen frames of both databases."""

    path: Path
    images: np.ndarray
    rows: pa.Table
    unseen: list[pa.Table]


def smooth_images(count: int, rng: np.random.Generator) -> np.ndarray:
    """Random images (count, SIZE, SIZE, 3) that survive JPEG."""
    small = rng.integers(30, 220, (count, 2, 2, 3), dtype=np.uint8)
    return np.stack([cv2.resize(s, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for s in small])


def label_columns(rng: np.random.Generator, count: int) -> dict[str, pa.Array]:
    columns = {}
    for task, size in TASKS.items():
        vectors = rng.uniform(-1, 1, size * count).astype(np.float32).reshape(count, size)
        splits = rng.integers(0, 4, count)
        vectors[splits == Split.NONE] = 0
        columns[task] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), size)
        columns[split_column(task)] = pa.array(splits, pa.int8())
    return columns


def unseen_frames(rng: np.random.Generator, frames: list[tuple[str, int]]) -> pa.Table:
    """Frames (video, number) without an image."""
    videos, numbers = [v for v, _ in frames], [f for _, f in frames]
    columns = {"video": pa.array(videos, pa.string()), "frame": pa.array(numbers, pa.int32())}
    return pa.table(columns | label_columns(rng, len(frames)))


def videos_of(num_frames: dict[str, int]) -> pa.Table:
    return pa.table([list(num_frames), list(num_frames.values())], schema=videos_schema())


def make_store(path: Path, encoding: str = "raw", people: int = 0) -> Made:
    """A store of two databases and three sets; with `people`, rows in turn are of as many."""
    rng = np.random.default_rng(0)
    pictures = smooth_images(sum(BLOCK_ROWS), rng)
    tables, blocks = [], []
    for number, count in enumerate(BLOCK_ROWS):
        start = sum(BLOCK_ROWS[:number])
        own = pictures[start : start + count]
        if encoding == "raw":
            column = pa.FixedSizeListArray.from_arrays(pa.array(own.reshape(-1)), SIZE * SIZE * 3)
        else:
            column = pa.array([encode(image) for image in own], pa.large_binary())
        columns = {"video": pa.array([f"video {number}"] * count), "frame": pa.array(range(count), pa.int32())}
        table = pa.table(columns | label_columns(rng, count))
        metadata = BlockMetadata(f"plan {number}", [], {})
        name = f"face/{'a' if number < 2 else 'b'}/video-{number:05d}.arrow"
        faces = table.append_column("image", column)
        blocks.append(write_block(path / BLOCKS, name, faces, metadata, face_field(SIZE, encoding)).entry())
        tables.append(table)
    parts = []
    for numbers in ((0, 1), (2, 3)):
        block = np.concatenate([np.full(BLOCK_ROWS[n], n) for n in numbers])
        row = np.concatenate([np.arange(BLOCK_ROWS[n]) for n in numbers])
        parts.append(index_part([tables[n] for n in numbers], block, row, people))
    videos = [videos_of({"video 0": 10, "video 1": 1}), videos_of({"no image": 4, "video 2": 12, "video 3": 6})]
    unseen = [
        unseen_frames(rng, [("video 0", 9), ("video 0", 8)]),
        unseen_frames(rng, [("video 3", 5), ("no image", 1), ("no image", 2)]),
    ]
    sets = {
        "expr_va": (("expression", "valence_arousal"), np.array([3])),
        "mixed_va": (("valence_arousal",), np.array([0, 1, 20])),
        "mixed_expr": (("expression",), np.array([4, 5, 6, 24])),
    }
    databases = [database_entry("a"), database_entry("b")]
    finish_store(path, databases, parts, videos, unseen, sets, blocks, encoding)
    return Made(path, pictures, pa.concat_tables(tables), unseen)


def index_part(tables: list[pa.Table], block: np.ndarray, row: np.ndarray, people: int = 0) -> IndexPart:
    """Rows of faces of nobody named, or in turn of some people."""
    rows = pa.concat_tables(tables)
    subjects = pa.nulls(rows.num_rows, pa.string())
    if people:
        subjects = pa.array([f"person {number % people}" for number in range(rows.num_rows)])
    return IndexPart(rows.append_column("subject", subjects), block, row)


def finish_store(
    path: Path,
    databases: list[DatabaseEntry],
    parts: list[IndexPart],
    videos: list[pa.Table],
    unseen: list[pa.Table],
    sets: dict[str, tuple[tuple[str, ...], np.ndarray]],
    blocks: list[BlockEntry],
    encoding: Encoding = "raw",
    size: int = SIZE,
) -> None:
    """Everything of a store but its blocks; `sets` are name -> tasks and rows."""
    entries = [
        SetEntry(name=name, tasks=tasks, num_rows={}, sha256=write_rows(set_path(path, name), rows))
        for name, (tasks, rows) in sets.items()
    ]
    spaces = [SPACES] * len(parts)
    frames = [in_order(own, of_videos) for own, of_videos in zip(unseen, videos, strict=True)]
    labels = write_label_files(
        path, SPACES, consecutive_rows([part.rows for part in parts], spaces), consecutive_rows(frames, spaces), []
    )
    manifest = Manifest(
        seed=0,
        prepare={},
        image_size=size,
        encoding=encoding,
        spaces=SPACES,
        num_images=sum(len(part.block) for part in parts),
        databases=databases,
        sets=entries,
        labels=labels,
        index_sha256=write_index(path / INDEX, parts),
        videos_sha256=write_videos(path / VIDEOS, videos),
        unseen_sha256=write_unseen(path / UNSEEN, frames, videos),
        blocks=blocks,
        sources={"a": {"root": str(path)}},
    )
    manifest.model_copy(update={"content_hash": manifest.hash()}).save(path)


def set_labels(
    path: Path, task: str, annotator: str, rows: np.ndarray, values: np.ndarray, splits: np.ndarray | None = None
) -> None:
    """Gives a store the labels (n, size) of its `rows` (n,), ascending, by an annotator; of no splits for training."""
    manifest = Manifest.load(path)
    space = next(space for space in manifest.spaces if space.name == task)
    of = np.full(len(rows), int(Split.TRAIN), np.int8) if splits is None else splits
    labels = Labels(rows, values.astype(np.float32), of)
    file = path / LABELS / label_name(task, annotator, unseen=False)
    form, sha256 = write_labels(file, space, [(labels, np.zeros(space.size, bool))])
    entry = LabelFile(space=task, annotator=annotator, unseen=False, form=form, num_rows=len(rows), sha256=sha256)
    others = [e for e in manifest.labels if (e.space, e.annotator, e.unseen) != (task, annotator, False)]
    changed = manifest.model_copy(update={"labels": [*others, entry]})
    changed.model_copy(update={"content_hash": changed.hash()}).save(path)


def draw_labels(path: Path) -> None:
    """Gives a store of `make_store` drawn labels, five rows for validation and five for training in turn."""
    rng, rows = np.random.default_rng(0), np.arange(sum(BLOCK_ROWS))
    splits = np.where(rows // 5 % 2 == 0, int(Split.VALIDATION), int(Split.TRAIN)).astype(np.int8)
    for space in SPACES:
        drawn = {
            "multiclass": np.eye(space.size)[rng.integers(0, space.size, len(rows))],
            "multilabel": rng.integers(0, 2, (len(rows), space.size)),
            "regression": rng.uniform(space.low, space.high, (len(rows), space.size)),
        }
        set_labels(path, space.name, "", rows, drawn[space.kind], splits)


def encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def database_entry(name: str, example: str = "/here/label.csv:3", count: int = 2) -> DatabaseEntry:
    return DatabaseEntry(
        name=name,
        title="Generated",
        crop="whole",
        sequential=True,
        options={},
        num_images=4,
        num_videos=1,
        num_leaking_videos=0,
        labels={"expression": {"train": 4}},
        spaces=SPACES,
        classes={},
        problems={"missing_image": Problem(count=count, examples=[example])},
    )
