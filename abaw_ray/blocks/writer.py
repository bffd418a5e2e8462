"""Writes one block file, and recognises a block that is finished."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from abaw_ray.blocks.files import describe_file, sha256_of, write_table
from abaw_ray.blocks.manifest import BlockEntry
from abaw_ray.blocks.schema import METADATA_KEY, block_schema
from abaw_ray.databases.base import Problems
from abaw_ray.errors import StoreError
from abaw_ray.storage import AnyPath


@dataclass(frozen=True)
class BlockMetadata:
    """What a block file says about itself.

    Args:
        plan_hash: hash of everything that the block was made from.
        dropped: planned rows that have no sample, by position in the plan.
        problems: reason -> count and examples, as `Problems.to_dict`.
        fingerprints: of still pictures, those of its samples (see `preprocess.duplicates`); else empty.
    """

    plan_hash: str
    dropped: list[int]
    problems: dict[str, dict[str, Any]]
    fingerprints: str = ""


@dataclass(frozen=True)
class BlockResult:
    """A block file that is in the store.

    Args:
        path: below the folder of blocks.
        num_rows: samples in it.
        metadata: what it says about itself.
        sha256: of the file.
    """

    path: str
    num_rows: int
    metadata: BlockMetadata
    sha256: str

    def entry(self) -> BlockEntry:
        """Its entry in the manifest."""
        return BlockEntry(path=self.path, num_rows=self.num_rows, plan_hash=self.metadata.plan_hash, sha256=self.sha256)

    def problems(self) -> Problems:
        """What was left out of the block."""
        return Problems.from_dict(self.metadata.problems)


def write_block(
    folder: AnyPath, path: str, planned: pa.Table, metadata: BlockMetadata, samples: pa.Field
) -> BlockResult:
    """Writes `folder`/`path`.

    Args:
        folder: the store's folder of blocks.
        path: of the block below it.
        planned: rows with the columns of a block; those of `metadata.dropped` are left out.
        metadata: stored in the file.
        samples: column of samples.
    """
    schema = block_schema(samples).with_metadata({METADATA_KEY: json.dumps(asdict(metadata), sort_keys=True)})
    rows = planned.select(schema.names)
    if metadata.dropped:
        kept = pa.array(sorted(set(range(rows.num_rows)).difference(metadata.dropped)), pa.int64())
        rows = rows.take(kept)
    return BlockResult(path, rows.num_rows, metadata, write_table(folder / path, rows.cast(schema)))


def read_block(folder: AnyPath, path: str) -> BlockResult | None:
    """The block file at `folder`/`path`, its hash left empty; None if there is none, or one that is not ours."""
    try:
        metadata, num_rows = describe_file(folder / path)
    except StoreError:
        return None
    try:
        stored = BlockMetadata(**json.loads(metadata[METADATA_KEY]))
    except (KeyError, ValueError, TypeError):
        return None
    return BlockResult(path, num_rows, stored, "")


def with_sha256(folder: AnyPath, block: BlockResult, recorded: BlockEntry | None) -> BlockResult:
    """`block` with its hash: as an earlier run recorded it, so that later damage stays visible, or computed now."""
    if recorded is not None and recorded.plan_hash == block.metadata.plan_hash:
        return replace(block, sha256=recorded.sha256)
    return replace(block, sha256=sha256_of(folder / block.path))
