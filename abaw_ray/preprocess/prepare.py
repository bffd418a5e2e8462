"""Databases -> store: plan, make the blocks that are not there yet, then index, videos, training sets and manifest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.blocks.cache import local_file
from abaw_ray.blocks.index import Index, read_index, write_index
from abaw_ray.blocks.integrity import find_damage
from abaw_ray.blocks.labels import LabelSet, label_sets
from abaw_ray.blocks.manifest import BlockEntry, Manifest, begin_store, store_held
from abaw_ray.blocks.reader import block_file, read_label_files
from abaw_ray.blocks.schema import BLOCKS, INDEX, UNSEEN, VIDEOS
from abaw_ray.blocks.videos import read_videos, write_unseen, write_videos
from abaw_ray.blocks.writer import BlockResult, read_block, with_sha256
from abaw_ray.config import PrepareConfig, Recipe
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.disk import TEMPORARY
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.preprocess.contents import (
    MadeDatabase,
    MadeStream,
    database_entry,
    index_part,
    source_paths,
    stored_rows,
    unseen_frames,
    videos_of,
    write_sets,
)
from abaw_ray.preprocess.dataflow import BlockTask, write_blocks, write_empty_block
from abaw_ray.preprocess.label_files import consecutive_rows, of_videos, write_label_files
from abaw_ray.preprocess.label_maps import with_mapped_labels
from abaw_ray.preprocess.label_noise import with_label_noise
from abaw_ray.preprocess.leaks import with_leaks_noted
from abaw_ray.preprocess.left_out import LeftOut, in_short
from abaw_ray.preprocess.plan import DatabasePlan, Source, plan_database
from abaw_ray.preprocess.sets import training_sets
from abaw_ray.preprocess.stream_files import all_streams, write_streams
from abaw_ray.ray_session import ray_session
from abaw_ray.spaces import all_spaces
from abaw_ray.storage import AnyPath, files_below
from abaw_ray.streams import kind_of
from abaw_ray.streams.base import FACE
from abaw_ray.streams.kind import CutSettings

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def prepare(
    recipe: Recipe,
    store: AnyPath,
    databases: Mapping[str, Mapping[str, Any]],
    num_cpus: int | None = None,
    progress: Progress | None = None,
    verify: bool = False,
    max_bad: float | None = None,
) -> Manifest:
    """Reads databases and writes a store; what is finished in it is not made again.

    The same input and settings give the same bytes, on any number of CPUs and wherever the databases lie.

    Args:
        recipe: its `prepare` section and seed; the databases in it are not looked at.
        store: a folder that is new, empty or a store. Blocks of a store that are no longer wanted are removed.
        databases: name -> `root` and the options of the adapter.
        num_cpus: CPUs of a local Ray cluster; None: all.
        progress: called with images done and images in all.
        verify: recompute the hashes of finished blocks, and make those anew that are damaged.
        max_bad: share of all samples, 0 to 1, that may turn out not to be made; None: any. What is finished is kept.

    Returns:
        What the store holds, and how many blocks were written and skipped.

    Raises:
        ConfigurationError: the folder holds something else, another process writes to it, or a database or an option
            is not known.
        MissingInputError, DatabaseFormatError: a database is not there, or not as expected.
        StoreError: the folder holds a store of another version.
        StorageError: the disk is full, or cannot be written.
        BadDataError: more samples than `max_bad` could not be made.
    """
    if not databases:
        raise ConfigurationError("no database given")
    store = store.expanduser().absolute()
    with store_held(store) as recorded:  # before label files are read, which can take minutes
        sources = []
        for name, settings in databases.items():
            if "root" not in settings:
                raise ConfigurationError(f"database {name}: no root")
            root = Path(settings["root"]).expanduser().absolute()
            options = {key: value for key, value in settings.items() if key != "root"}
            database, checked, table = read_database(name, root, options)
            sources.append(Source(database, root, checked, table))
        return _write(recipe.prepare, recipe.seed, store, recorded, sources, num_cpus, progress, verify, max_bad)


def prepare_sources(
    config: PrepareConfig,
    seed: int,
    store: AnyPath,
    sources: Sequence[Source],
    num_cpus: int | None = None,
    progress: Progress | None = None,
    verify: bool = False,
    max_bad: float | None = None,
) -> Manifest:
    """As `prepare`, of databases that were read; they are stored in the order of their names."""
    store = store.expanduser().absolute()
    with store_held(store) as recorded:
        return _write(config, seed, store, recorded, sources, num_cpus, progress, verify, max_bad)


def _write(
    config: PrepareConfig,
    seed: int,
    store: AnyPath,
    recorded: Mapping[str, BlockEntry],
    sources: Sequence[Source],
    num_cpus: int | None,
    progress: Progress | None,
    verify: bool,
    max_bad: float | None,
) -> Manifest:
    """Writes a store to a folder that is held; `recorded`: blocks of an earlier run by path."""
    damaged = _damaged(store, recorded) if verify else set()
    mapped = with_mapped_labels(sorted(sources, key=lambda s: s.database.name), config.label_maps)
    ordered = with_label_noise(mapped, config.label_noise, seed)
    plans = [plan_database(source, config) for source in ordered]
    streams = all_streams(plans)
    begin_store(store)
    blocks, num_written = _make_blocks(store, plans, config, recorded, num_cpus, progress, damaged, max_bad)
    made = with_leaks_noted(_made_databases(plans, blocks), config)
    faces = [block for part in made for block in part.face.blocks]
    if not any(part.kept().any() for part in made):
        raise MissingInputError(f"no image could be read; {_summary(made)}")
    _remove_others(store, set(blocks))
    tables = _write_tables(store, made)
    members = [(plan.source.database.name, plan.source.sets) for plan in plans]
    index, labels = tables.index, {task: found for (task, by), found in tables.label_sets.items() if not by}
    manifest = Manifest(
        seed=seed,
        prepare=_settings(config),
        image_size=config.image_size,
        encoding=config.encoding,
        num_images=len(index),
        databases=[database_entry(part, code, index, tables.label_sets) for code, part in enumerate(made)],
        sets=write_sets(store, training_sets(index, labels, members, tables.entries["spaces"])),
        blocks=[block.entry() for block in faces],
        streams=write_streams(store, streams, made),
        sources={plan.source.database.name: source_paths(plan.source) for plan in plans},
        num_blocks_written=num_written,
        num_blocks_skipped=len(blocks) - num_written,
        **tables.entries,
    )
    manifest = manifest.model_copy(update={"content_hash": manifest.hash()})
    manifest.save(store)
    return manifest


def _settings(config: PrepareConfig) -> dict[str, Any]:
    """What the manifest says of the section; what is off and newer than a store's layout leaves its hash as it was."""
    unsaid = {name for name in ("label_noise", "label_maps") if not getattr(config, name)}
    return config.model_dump(mode="json", exclude={"databases", *unsaid})


@dataclass(frozen=True)
class Tables:
    """The files that say what the images of a store are.

    Args:
        index: as written.
        label_sets: of the index, as written.
        entries: what the manifest says of the files.
    """

    index: Index
    label_sets: dict[LabelKey, LabelSet]
    entries: dict[str, Any]


def _write_tables(store: AnyPath, made: Sequence[MadeDatabase]) -> Tables:
    """Writes index, videos, unseen frames, and the labels of all of them."""
    plans = [part.plan for part in made]
    of_databases = [plan.spaces for plan in plans]
    spaces = all_spaces(of_databases)
    rows, videos = [stored_rows(part) for part in made], [videos_of(plan) for plan in plans]
    unseen = [unseen_frames(part, own) for part, own in zip(made, videos, strict=True)]
    index_sha256 = write_index(store / INDEX, [index_part(part, own) for part, own in zip(made, rows, strict=True)])
    videos_sha256 = write_videos(store / VIDEOS, videos)
    files = write_label_files(
        store,
        spaces,
        index=consecutive_rows(rows, of_databases),
        unseen=consecutive_rows(unseen, of_databases),
        clips=of_videos([plan.clips for plan in plans], videos, of_databases),
    )
    index = read_index(local_file(store / INDEX, index_sha256))
    sequential = np.array([plan.source.sequential for plan in plans])
    stored_videos = read_videos(local_file(store / VIDEOS, videos_sha256), index, sequential)
    labels = read_label_files(store, [file for file in files if not file.unseen], spaces, local_file)
    clip = stored_videos.of_rows(len(index)) if any(space.level == "clip" for space in spaces) else None
    entries = {
        "spaces": spaces,
        "labels": files,
        "index_sha256": index_sha256,
        "videos_sha256": videos_sha256,
        "unseen_sha256": write_unseen(store / UNSEEN, unseen, videos),
    }
    return Tables(
        index, label_sets(labels, spaces, of_databases, index.database, stored_videos.database, clip), entries
    )


def _make_blocks(
    store: AnyPath,
    plans: Sequence[DatabasePlan],
    config: PrepareConfig,
    recorded: Mapping[str, BlockEntry],
    num_cpus: int | None,
    progress: Progress | None,
    damaged: Set[str],
    max_bad: float | None,
) -> tuple[dict[str, BlockResult], int]:
    """All planned blocks by path, and how many of them had to be written."""
    folder = store / BLOCKS
    made: dict[str, BlockResult] = {}
    tasks, tables, num_empty = [], [], 0
    parts = [(plan.source, part) for plan in plans for part in (plan.face, *plan.streams)]
    total = sum(part.rows.num_rows for _, part in parts)
    left_out = LeftOut(total, max_bad)
    for source, part in parts:
        kind = kind_of(part.stream)
        is_still = part.stream.name == FACE and not source.sequential
        for planned in part.blocks:
            block = read_block(folder, planned.path) if planned.path not in damaged else None
            if block is not None and block.metadata.plan_hash == planned.hash:
                made[planned.path] = with_sha256(folder, block, recorded.get(planned.path))
                left_out.add(planned.stop - planned.start, made[planned.path])
            else:
                rows = part.rows.slice(planned.start, planned.stop - planned.start)
                task = BlockTask(planned.path, planned.hash, rows.num_rows, source.root, part.stream, kind, is_still)
                if rows.num_rows:
                    tasks.append(task)
                    tables.append(rows)
                else:
                    made[planned.path] = write_empty_block(folder, task)
                    num_empty += 1
    num_written = len(tasks) + num_empty
    num_done = total - sum(task.num_rows for task in tasks)

    def done(task: BlockTask, block: BlockResult) -> None:
        nonlocal num_done
        num_done += task.num_rows
        if progress is not None:
            progress(num_done, total)
        left_out.add(task.num_rows, block)

    if progress is not None:
        progress(num_done, total)
    if tasks:
        settings = CutSettings(config.jpeg_quality, config.smallest_face, config.keep_damaged, config.reduced_decoding)
        with ray_session(num_cpus):
            written = write_blocks(folder, tasks, tables, settings, done)
        made |= {block.path: block for block in written}
    return made, num_written


def _made_databases(plans: Sequence[DatabasePlan], made: Mapping[str, BlockResult]) -> list[MadeDatabase]:
    """What was made of the databases 0, 1, ..., from their blocks by path."""
    num_blocks: Counter[str] = Counter()
    databases = []
    for plan in plans:
        streams = {}
        for part in (plan.face, *plan.streams):
            name, blocks = part.stream.name, [made[planned.path] for planned in part.blocks]
            streams[name] = MadeStream(part, blocks, num_blocks[name])
            num_blocks[name] += len(blocks)
        databases.append(MadeDatabase(plan, streams.pop(FACE), streams))
    return databases


def _damaged(store: AnyPath, recorded: Mapping[str, BlockEntry]) -> set[str]:
    """Paths of recorded blocks that are not as they were written."""
    paths = {block_file(store, entry).path: path for path, entry in recorded.items()}
    damages = find_damage([block_file(store, entry) for entry in recorded.values()])
    for damage in damages:
        logger.warning("%s: damaged, %s: making it anew", damage.path, damage.found)
    return {paths[damage.path] for damage in damages}


def _remove_others(store: AnyPath, wanted: set[str]) -> None:
    """Removes block files that are not planned, and what an interrupted run left; nothing but our own."""
    folder = store / BLOCKS
    for name in sorted(files_below(folder) - wanted):
        path = folder / name
        if path.is_symlink():
            continue
        if path.name.startswith(TEMPORARY) or read_block(folder, name) is not None:
            path.unlink()
        else:
            logger.warning("%s is not a block of this store; left where it is", path)
    if isinstance(folder, Path):
        for path in sorted(folder.rglob("*"), reverse=True):  # folders before the one that they are in
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()


def _summary(made: Sequence[MadeDatabase]) -> str:
    problems = Problems()
    for part in made:
        problems.merge(part.problems())
        for stream in part.streams.values():
            problems.merge(stream.problems())
    return in_short(problems)
