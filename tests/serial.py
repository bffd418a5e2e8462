"""What commands do with Ray, done in this process and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.writer import BlockResult, write_block
from abaw_ray.config import PrepareConfig
from abaw_ray.inference import blockwise, label
from abaw_ray.preprocess import dataflow
from abaw_ray.preprocess import prepare as preparation
from abaw_ray.preprocess.plan import Source
from abaw_ray.streams.kind import CutSettings


def prepare_here(config: PrepareConfig, folder: Path, sources: Sequence[Source], **options: Any) -> Manifest:
    """As `prepare_sources`, one block after the other, with its other options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "write_blocks", _write_blocks)
        patch.setattr(preparation, "ray_session", lambda _: nullcontext())
        return preparation.prepare_sources(config, 0, folder, sources, **options)


def _write_blocks(
    folder: Path,
    tasks: Sequence[dataflow.BlockTask],
    tables: Sequence[pa.Table],
    settings: CutSettings,
    done: Callable[[dataflow.BlockTask, BlockResult], None],
) -> list[BlockResult]:
    written = []
    for task, rows in zip(tasks, tables, strict=True):
        ((table, metadata, field),) = dataflow._make([task], [rows], settings)
        written.append(write_block(folder, task.path, table, metadata, field))
        done(task, written[-1])
    return written


@contextmanager
def workers_here() -> Iterator[None]:
    """In the block, networks that compute numbers block by block do so in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (blockwise, label):
            patch.setattr(module, "ray_session", nullcontext)
            patch.setattr(module, "data_context", nullcontext)
            patch.setattr(module, "block_results", _block_results)
        yield


def _block_results(
    jobs: Sequence[blockwise.BlockJob], worker: Callable[..., Any], arguments: dict[str, Any], use_gpu: bool | None
) -> Iterator[dict[str, Any]]:
    made = worker(**arguments)
    for job in jobs:
        told = made({name: np.array([value], object) for name, value in asdict(job).items()})
        yield {name: values[0] for name, values in told.items()}
