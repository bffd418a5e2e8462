"""Numbers for every row of a store's blocks, computed by Ray Data with a pool of networks, one a GPU or CPU."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy

from abaw_ray.blocks.computed import (
    BLOCKS,
    ComputedBlock,
    ComputedManifest,
    ManifestT,
    block_files,
    is_finished,
    write_columns,
)
from abaw_ray.blocks.files import sha256_of, write_text
from abaw_ray.blocks.integrity import find_damage
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.ray_session import data_context, ray_session
from abaw_ray.storage import AnyPath

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished.json"
ERROR = "error"
"""Column with the message of a worker's `UserError`; empty: the block is written."""


@dataclass(frozen=True)
class BlockJob:
    """A block to compute: its path, first row in the store's index, number of rows, views; hash of what it is of."""

    path: str
    first_row: int
    num_rows: int
    variants: list[int]
    key: str


class BlockWorker(ABC):
    """A network in an actor; computes and writes one block a call.

    Args:
        store: path of the store.
        out: folder to write to.
    """

    def __init__(self, store: str, out: AnyPath) -> None:
        torch.set_num_threads(1)
        self.store, self._out = Store(store), out

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        job = BlockJob(**{name: values[0] for name, values in batch.items()})
        rows = np.arange(job.first_row, job.first_row + job.num_rows)
        sha256, error = "", ""
        try:
            self.store.verify(rows)
            columns = self.columns(rows, [int(variant) for variant in job.variants])
            sha256 = write_columns(self._out / BLOCKS / job.path, columns, str(job.key))
        except UserError as raised:
            error = str(raised)  # of an error that is raised, Ray Data gives a text of its own
        return {"path": [job.path], "num_rows": [job.num_rows], "sha256": [sha256], ERROR: [error]}

    @abstractmethod
    def columns(self, rows: np.ndarray, variants: list[int]) -> dict[str, np.ndarray]:
        """Name -> (n, width) float32 of rows (n,) of the store's index as `variants`."""


@contextmanager
def claimed(out: AnyPath, manifest: ComputedManifest) -> Iterator[list[ComputedBlock] | None]:
    """In the block, the folder is this process's to write, for `manifest`, whose blocks do not count.

    Yields:
        The blocks of a complete one; None: it is still to be completed.

    Raises:
        ConfigurationError: it holds something else, or another process writes to it.
        StorageError: the disk is full, or cannot be written.
    """
    with OwnedFolder(out, f"a folder of {manifest.WHAT}", (manifest.FILE, UNFINISHED)).held():
        yield _begin(out, manifest)


def _begin(out: AnyPath, manifest: ComputedManifest) -> list[ComputedBlock] | None:
    if (out / manifest.FILE).is_file():
        found = type(manifest).read(out)
        changed = [k for k, v in manifest.settings().items() if found.settings()[k] != v]
        if changed:
            raise ConfigurationError(
                f"{out} holds {manifest.WHAT} that differ in {', '.join(changed)}; choose another folder"
            )
        return found.blocks
    write_text(out / UNFINISHED, manifest.model_dump_json(exclude={"blocks", "content_hash"}) + "\n")
    return None


def compute_blocks(
    jobs: Sequence[BlockJob],
    out: AnyPath,
    recorded: Sequence[ComputedBlock] | None,
    worker: type[BlockWorker],
    arguments: dict[str, Any],
    use_gpu: bool | None,
    progress: Callable[[int, int], None] | None,
) -> list[ComputedBlock]:
    """Writes the blocks that `out` does not have yet, or has no longer as they were written.

    Args:
        jobs: all blocks.
        out: a claimed folder.
        recorded: the blocks of a complete one.
        worker: computes a block.
        arguments: of its constructor.
        use_gpu: one GPU a network; None: if the cluster has any.
        progress: called with rows done and rows in all.

    Raises:
        ConfigurationError: `use_gpu`, and there is none.
        UserError: of a worker.
    """
    total = sum(job.num_rows for job in jobs)
    damages = {str(damage.path): damage.found for damage in find_damage(block_files(out, recorded or []))}
    for path, found in damages.items():
        logger.warning("%s: damaged, %s: computing it again", path, found)
    waiting = [
        job
        for job in jobs
        if str(out / BLOCKS / job.path) in damages or not is_finished(out / BLOCKS / job.path, job.key)
    ]
    done = total - sum(job.num_rows for job in waiting)
    hashes = {block.path: block.sha256 for block in recorded or []}
    if waiting:
        with ray_session(), data_context():
            for result in block_results(waiting, worker, arguments, use_gpu):
                if result[ERROR]:
                    raise UserError(result[ERROR])
                hashes[result["path"]] = result["sha256"]
                done += result["num_rows"]
                if progress is not None:
                    progress(done, total)
    return [
        ComputedBlock(
            path=job.path,
            num_rows=job.num_rows,
            num_variants=len(job.variants),
            sha256=hashes.get(job.path) or sha256_of(out / BLOCKS / job.path),
        )
        for job in jobs
    ]


def finish(out: AnyPath, manifest: ManifestT, blocks: list[ComputedBlock]) -> ManifestT:
    """Writes the manifest with its blocks, which makes the folder complete."""
    complete = manifest.complete(blocks)
    complete.save(out)
    (out / UNFINISHED).unlink(missing_ok=True)
    return complete


def spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Numbers (k, width) of the rows of a block `where` (rows,) is true, as (rows, width) float32; NaN elsewhere."""
    if where.all():
        return values
    spread_out = np.full((len(where), values.shape[1]), np.nan, np.float32)
    spread_out[where] = values
    return spread_out


def block_results(
    jobs: list[BlockJob],
    worker: type[Callable[[dict[str, np.ndarray]], dict[str, list[Any]]]],
    arguments: dict[str, Any],
    use_gpu: bool | None,
) -> Iterable[dict[str, Any]]:
    """What workers give for jobs, in the order in which they are done.

    Args:
        jobs: at least one.
        worker: an actor with a network, called with a batch of one job.
        arguments: of its constructor.
        use_gpu: as of `compute_blocks`.

    Raises:
        ConfigurationError: `use_gpu`, and there is none.
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    on_gpu = use_gpu if use_gpu is not None else gpus > 0
    if on_gpu and not gpus:
        raise ConfigurationError("--gpu: the Ray cluster has no GPU")
    size = min(len(jobs), gpus if on_gpu else int(resources["CPU"]))
    # the longest first, so that no network is left alone with one at the end
    ordered = sorted(jobs, key=lambda job: -job.num_rows * len(job.variants))
    dataset = ray.data.from_items([asdict(job) for job in ordered], override_num_blocks=len(ordered)).map_batches(
        worker,
        batch_size=1,
        compute=ActorPoolStrategy(size=size),
        num_cpus=1,
        num_gpus=1 if on_gpu else 0,
        fn_constructor_kwargs=arguments,
    )
    return dataset.iter_rows()
