"""The Ray Data job: planned rows -> samples -> block files. Only counts and hashes come back to the driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data

from abaw_ray.blocks.schema import block_schema
from abaw_ray.blocks.writer import BlockMetadata, BlockResult, write_block
from abaw_ray.databases.base import Problems
from abaw_ray.errors import UserError
from abaw_ray.preprocess.duplicates import fingerprints, to_text
from abaw_ray.preprocess.shared_videos import made_together
from abaw_ray.ray_session import data_context
from abaw_ray.storage import AnyPath
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings, Kind

BLOCK, RESULT, ERROR = "block", "result", "error"
"""Columns with the place of a row's block in the list of tasks, with what was written of a block, as JSON, and with the
message of a `UserError` if it could not be written."""

MAX_BLOCKS = 8
"""Blocks that a task of Ray makes at most: enough to make light of the pause between two tasks."""


@dataclass(frozen=True)
class BlockTask:
    """One block to write.

    Args:
        path: of the file below the folder of blocks.
        plan_hash: see `plan`.
        num_rows: planned rows.
        root: of the database.
        stream: whose samples it holds.
        kind: of the stream. A worker that unpickles it imports its module, wherever that is.
        is_still: whether the samples are still pictures, whose fingerprints are kept.
    """

    path: str
    plan_hash: str
    num_rows: int
    root: Path
    stream: Stream
    kind: Kind
    is_still: bool


def write_blocks(
    folder: AnyPath,
    tasks: Sequence[BlockTask],
    tables: Sequence[pa.Table],
    settings: CutSettings,
    done: Callable[[BlockTask, BlockResult], None],
) -> list[BlockResult]:
    """Makes and writes blocks on the Ray cluster, which must be up.

    Args:
        folder: the store's folder of blocks, which every node of the cluster sees.
        tasks: the blocks.
        tables: planned rows of each.
        settings: of samples.
        done: called with every block as it is written; an error in it ends the work.

    Returns:
        What was written, in the order of `tasks`.

    Raises:
        UserError: of a worker.
    """
    plans = [
        table.append_column(BLOCK, pa.array(np.full(table.num_rows, place, np.int32)))
        for place, table in enumerate(tables)
    ]
    num_cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))  # a cluster may still have to grow
    groups = made_together(tables, [(task.root, task.stream.kind) for task in tasks])
    together = [
        pa.concat_tables([plans[place] for group in groups[part.start : part.stop] for place in group])
        for part in group_blocks(len(groups), num_cpus)
    ]
    group_of = {place: number for number, group in enumerate(groups) for place in group}
    written: dict[str, BlockResult] = {}
    with data_context(result_bytes=1):  # each at once: they are progress
        dataset = ray.data.from_arrow(together).map_batches(
            _make_blocks,  # type: ignore[arg-type]
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={"folder": folder, "tasks": tasks, "settings": settings, "group_of": group_of},
            zero_copy_batch=True,
        )
        for row in dataset.iter_rows():
            if row[ERROR]:
                raise UserError(row[ERROR])
            values = json.loads(row[RESULT])
            result = BlockResult(**values | {"metadata": BlockMetadata(**values["metadata"])})
            written[result.path] = result
            done(tasks[row[BLOCK]], result)
    return [written[task.path] for task in tasks]


def write_empty_block(folder: AnyPath, task: BlockTask) -> BlockResult:
    """Writes a block without a row, as of faces where no row has one.

    Args:
        folder: the store's folder of blocks.
        task: the block.
    """
    field = task.kind.field(task.stream)
    return write_block(
        folder, task.path, block_schema(field).empty_table(), BlockMetadata(task.plan_hash, [], {}), field
    )


def group_blocks(num_blocks: int, num_cpus: int) -> list[range]:
    """Neighbouring blocks for each task of Ray: many at first, few at the end, so that all CPUs end together."""
    parts, start = [], 0
    while start < num_blocks:
        size = max(1, min(MAX_BLOCKS, (num_blocks - start) // (2 * num_cpus)))
        parts.append(range(start, start + size))
        start += size
    return parts


def _make_blocks(
    plan: pa.Table,
    folder: AnyPath,
    tasks: Sequence[BlockTask],
    settings: CutSettings,
    group_of: Mapping[int, int],
) -> Iterator[pa.Table]:
    """Makes and writes the blocks of planned rows, and says of each what was written; runs on a worker.

    Blocks are written, hashed and brought to the disk by a thread while the next ones are made.

    Args:
        plan: rows of the blocks.
        folder: the store's folder of blocks.
        tasks: all blocks.
        settings: of samples.
        group_of: place of a block -> number of the group that it is made in.
    """
    cv2.setNumThreads(1)  # Ray runs one task a CPU
    with ThreadPoolExecutor(1) as threads:
        before: dict[int, Future[BlockResult]] = {}
        for _, group in groupby(plan[BLOCK].unique().to_pylist(), group_of.__getitem__):
            rows_of = {place: plan.filter(pc.equal(plan[BLOCK], place)) for place in group}
            for place, rows in rows_of.items():
                task = tasks[place]
                assert rows.num_rows == task.num_rows, f"{task.path}: {rows.num_rows} of {task.num_rows} rows arrived"
            written: dict[int, Future[BlockResult]] = {place: Future() for place in rows_of}
            try:
                made = _make([tasks[place] for place in rows_of], list(rows_of.values()), settings)
            except UserError as error:
                for future in written.values():
                    future.set_exception(error)
            else:
                for place, block in zip(rows_of, made, strict=True):
                    written[place] = threads.submit(write_block, folder, tasks[place].path, *block)
            yield from (_told(*each) for each in before.items())
            before = written
        yield from (_told(*each) for each in before.items())


def _told(place: int, written: Future[BlockResult]) -> pa.Table:
    """A row about block `place`, once it is on the disk, or cannot be."""
    result, error = "", ""
    try:
        result = json.dumps(asdict(written.result()))
    except UserError as raised:
        error = str(raised)  # of an error that is raised, Ray Data gives a text of its own
    return pa.table({BLOCK: [place], RESULT: [result], ERROR: [error]})


def _make(
    tasks: Sequence[BlockTask], tables: Sequence[pa.Table], settings: CutSettings
) -> list[tuple[pa.Table, BlockMetadata, pa.Field]]:
    """Columns, metadata and field of each block of a group, as `write_block` takes them."""
    parts = [(rows, task.stream) for task, rows in zip(tasks, tables, strict=True)]
    cuts = tasks[0].kind.cut_together(parts, tasks[0].root, settings)
    return [_block(*each) for each in zip(tasks, tables, cuts, strict=True)]


def _block(task: BlockTask, rows: pa.Table, found: Cut) -> tuple[pa.Table, BlockMetadata, pa.Field]:
    field = task.kind.field(task.stream)
    problems, dropped = Problems(), []
    for row, (reason, where) in enumerate(zip(found.reasons, found.places, strict=True)):
        if reason:
            problems.add(reason, where)
            dropped.append(row)
    told = ""
    if task.is_still and found.images is not None:
        told = to_text(fingerprints(np.delete(found.images, dropped, axis=0)))
    metadata = BlockMetadata(task.plan_hash, dropped, problems.to_dict(), told)
    return rows.select(["video", "frame"]).append_column(field, found.samples), metadata, field
