"""The Ray Data job: planned rows -> faces -> block files. Only counts and hashes come back to the driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data
from ray.data import Datasink
from ray.util.queue import Queue

from abaw_ray.blocks.writer import BlockMetadata, BlockResult, write_block
from abaw_ray.databases.base import Problems
from abaw_ray.preprocess.faces import REASON, WHERE, FaceSettings, add_faces
from abaw_ray.ray_session import data_context
from abaw_ray.storage import AnyPath

BLOCK = "block"
"""Column with the place of a row's block in the list of tasks: rows of a task stay one batch through Ray Data."""


@dataclass(frozen=True)
class BlockTask:
    """One block to write.

    Args:
        path: of the file below the folder of blocks.
        plan_hash: see `plan`.
        num_rows: planned rows.
        root: of the database.
        crop: name of a crop.
    """

    path: str
    plan_hash: str
    num_rows: int
    root: Path
    crop: str


def write_blocks(
    folder: AnyPath,
    tasks: Sequence[BlockTask],
    tables: Iterable[pa.Table],
    settings: FaceSettings,
    progress: Callable[[int], None] | None = None,
) -> list[BlockResult]:
    """Makes and writes blocks on the Ray cluster, which must be up.

    Args:
        folder: the store's folder of blocks, which every node of the cluster sees.
        tasks: the blocks.
        tables: planned rows of each.
        settings: of images.
        progress: called with the number of rows done so far, from another thread.

    Returns:
        What was written, in the order of `tasks`.
    """
    plans = [
        table.append_column(BLOCK, pa.array(np.full(table.num_rows, place, np.int32)))
        for place, table in enumerate(tables)
    ]
    with data_context(), _counted(progress) as queue:
        sink = BlockSink(folder, tasks, settings, queue)
        dataset = ray.data.from_arrow(plans).map_batches(
            _add_faces,  # type: ignore[arg-type]
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={"tasks": tasks, "settings": settings},
            zero_copy_batch=True,
        )
        dataset.write_datasink(sink)
    results = {result.path: result for result in sink.results}
    return [results[task.path] for task in tasks]


def _add_faces(plan: pa.Table, tasks: Sequence[BlockTask], settings: FaceSettings) -> pa.Table:
    cv2.setNumThreads(1)  # Ray runs one task a CPU
    places = plan[BLOCK].unique().to_pylist()
    assert len(places) == 1, "one batch is one block"
    task = tasks[places[0]]
    assert plan.num_rows == task.num_rows, f"{task.path}: {plan.num_rows} rows arrived, {task.num_rows} are planned"
    return add_faces(plan, task.root, task.crop, settings)


class BlockSink(Datasink[list[BlockResult]]):
    """Writes each planned block to its file.

    Args:
        folder: of blocks.
        tasks: the blocks.
        settings: of images.
        queue: receives the number of rows of each block written.

    Attributes:
        results: what was written, once the job has ended.
    """

    def __init__(
        self, folder: AnyPath, tasks: Sequence[BlockTask], settings: FaceSettings, queue: Queue | None = None
    ) -> None:
        self._folder, self._tasks, self._settings, self._queue = folder, tasks, settings, queue
        self.results: list[BlockResult] = []

    def write(self, blocks: Iterable[pa.Table], ctx: Any) -> list[BlockResult]:
        """Writes the blocks that one Ray task made; runs on a worker."""
        faces = pa.concat_tables(blocks)
        results = []
        places = faces[BLOCK].unique().to_pylist()
        for place in places:
            rows = faces if len(places) == 1 else faces.filter(pc.equal(faces[BLOCK], place))
            results.append(self._write(self._tasks[place], rows))
            if self._queue is not None:
                self._queue.put(rows.num_rows)
        return results

    def on_write_complete(self, write_result: Any) -> None:
        """Keeps what the tasks returned; runs on the driver."""
        self.results = [result for returned in write_result.write_returns for result in returned]

    def _write(self, task: BlockTask, faces: pa.Table) -> BlockResult:
        assert faces.num_rows == task.num_rows, f"{task.path}: {faces.num_rows} of {task.num_rows} rows arrived"
        problems, dropped = Problems(), []
        for row, (reason, where) in enumerate(zip(faces[REASON].to_pylist(), faces[WHERE].to_pylist(), strict=True)):
            if reason:
                problems.add(reason, where)
                dropped.append(row)
        metadata = BlockMetadata(task.plan_hash, dropped, problems.to_dict())
        settings = self._settings
        return write_block(self._folder, task.path, faces, metadata, settings.image_size, settings.encoding)


@contextmanager
def _counted(progress: Callable[[int], None] | None) -> Iterator[Queue | None]:
    """A queue whose numbers are added up for `progress`, on a thread; None without `progress`."""
    if progress is None:
        yield None
        return
    queue = Queue(actor_options={"num_cpus": 0})

    def add_up() -> None:
        done = 0
        while (count := queue.get()) is not None:
            done += count
            progress(done)

    thread = threading.Thread(target=add_up, name="progress", daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join()
        queue.shutdown()
