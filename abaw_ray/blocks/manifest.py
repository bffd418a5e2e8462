"""What a store holds, in one JSON file that is written last: a store with a manifest is complete."""

from __future__ import annotations

import json
import logging
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.table import Table
from rich.text import Text

from abaw_ray.below import BelowFolder, InFolder
from abaw_ray.blocks.files import damage_named, json_sha256, read_json, require_hash, write_text
from abaw_ray.blocks.schema import MANIFEST, UNFINISHED, VERSION, Encoding, Form
from abaw_ray.errors import MissingInputError, StoreError, wrong_values
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath
from abaw_ray.streams.base import FACE, Stream

logger = logging.getLogger(__name__)

MACHINE_KEYS = {"content_hash", "sources"}
"""Left out of the content hash."""

STREAM_SUMMARY = {"kind", "size", "encoding", "num_rows", "problems"}
"""What a summary says of a stream."""


NO_EARLIER_MANIFEST = "{}\n"
"""What the file of an unfinished store holds when it is a new one."""


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Entry):
    """What was left out for one reason."""

    count: int
    examples: list[str]


class DatabaseEntry(Entry):
    """A database's part of the store. Splits are lower-case names; those without labels are left out."""

    name: str
    title: str
    crop: str
    sequential: bool
    options: dict[str, Any]
    """The adapter's options but paths."""
    num_images: int
    num_videos: int
    num_leaking_videos: int
    """Videos with train labels of one task and validation labels of another, before any were excluded."""
    labels: dict[str, dict[str, int]]
    """Task -> split -> images, or videos where labels are of clips; of an annotator with a name, `task@annotator`."""
    spaces: tuple[LabelSpace, ...]
    """Its own label spaces; an open one has the names that occur in it."""
    classes: dict[str, dict[str, dict[str, int]]]
    """As `labels`, by class, of the multiclass tasks that are not open; a label that is a distribution counts for its
    largest class, one that is not published for none."""
    problems: dict[str, Problem]


class SetEntry(Entry):
    """A training set."""

    name: InFolder
    tasks: tuple[str, ...]
    num_rows: dict[str, int]
    """Database -> images."""
    sha256: str


class LabelFile(Entry):
    """A file of labels: those of an annotator in a space."""

    space: InFolder
    annotator: str
    """Empty for the labels that a database has one set of."""
    unseen: bool
    """Whether its rows are of the unseen frames."""
    form: Form
    num_rows: int
    sha256: str


class BlockEntry(Entry):
    """A block file, `path` below the folder of blocks."""

    path: BelowFolder
    num_rows: int
    plan_hash: str
    sha256: str


def most_frequent(counted: Iterable[tuple[str, int]]) -> str:
    """The name with the largest sum of counts, of several the first by the alphabet; counts are of names in any order.

    Args:
        counted: names, each any number of times, and counts; at least one.
    """
    counts: Counter[str] = Counter()
    for name, count in counted:
        counts[name] += count
    return max(sorted(counts), key=counts.__getitem__)


class StreamEntry(Entry):
    """A stream that rows have beside their faces, or without one; see `streams.base.Stream`."""

    name: InFolder
    kind: str
    size: int
    encoding: str
    crops: dict[str, str]
    """Database -> name of the crop."""
    num_rows: dict[str, int]
    """Database -> rows of the index that have it."""
    places_sha256: str
    blocks: list[BlockEntry]
    problems: dict[str, Problem]

    @property
    def stream(self) -> Stream:
        """What its samples are."""
        return Stream(name=self.name, kind=self.kind, size=self.size, encoding=self.encoding)

    @property
    def usual_crop(self) -> str:
        """The crop of most of its samples."""
        return most_frequent((crop, self.num_rows[database]) for database, crop in self.crops.items())


class Manifest(Entry):
    """Contents of a store."""

    version: Literal[4] = 4
    seed: int
    prepare: dict[str, Any]
    """The resolved `prepare` section but its databases."""
    image_size: int
    encoding: Encoding
    spaces: tuple[LabelSpace, ...]
    """Label spaces of all databases together; those of one name are joined."""
    num_images: int
    databases: list[DatabaseEntry]
    sets: list[SetEntry]
    labels: list[LabelFile]
    """Label files, of the spaces and annotators that have any label."""
    index_sha256: str
    videos_sha256: str
    unseen_sha256: str
    blocks: list[BlockEntry]
    """Blocks of faces."""
    streams: list[StreamEntry] = []
    """What rows have beside their faces."""
    content_hash: str = ""
    """Hash of everything above but the examples of problems: the same wherever the databases lie."""
    sources: dict[str, dict[str, str]] = {}
    """Where each database was read: root and the options that are paths."""
    num_blocks_written: int = Field(0, exclude=True)
    num_blocks_skipped: int = Field(0, exclude=True)
    """How many blocks the call to `prepare` that returned this wrote and found finished; not stored."""

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        """Names of its parts are those of its spaces."""
        known = {space.name for space in self.spaces}
        named = {task for entry in self.sets for task in entry.tasks} | {entry.space for entry in self.labels}
        if named - known:
            raise ValueError(f"expected labels of {', '.join(sorted(known))}, found {', '.join(sorted(named - known))}")
        if any(not entry.tasks for entry in self.sets):
            raise ValueError("expected a task of each training set")
        return self

    def hash(self) -> str:
        """The content hash."""
        values = self.model_dump(mode="json", exclude=MACHINE_KEYS)
        for entry in (*values["databases"], *values["streams"]):
            entry["problems"] = {reason: p["count"] for reason, p in entry["problems"].items()}
        return json_sha256(values)

    @property
    def face(self) -> Stream:
        """The stream of faces."""
        return Stream(name=FACE, kind="image", size=self.image_size, encoding=self.encoding)

    def all_blocks(self) -> list[BlockEntry]:
        """Blocks of faces and of every stream beside them."""
        return [*self.blocks, *(block for entry in self.streams for block in entry.blocks)]

    def hash_of(self, streams: Iterable[str] = ()) -> str:
        """Hash of what numbers depend on that are computed from faces and `streams`, and from labels.

        Other streams, and how the databases were read, do not change it.
        """
        kept = {"image_size", "encoding", "spaces", "sets", "labels", "index_sha256", "videos_sha256", "blocks"}
        values = self.model_dump(mode="json", include=kept)
        wanted = [entry for entry in self.streams if entry.name in set(streams)]
        values["streams"] = [entry.model_dump(mode="json", exclude={"problems"}) for entry in wanted]
        return json_sha256(values)

    def save(self, store: AnyPath) -> None:
        """Writes it into the folder of a store, which is complete from then on."""
        write_text(store / MANIFEST, json.dumps(self.model_dump(mode="json"), indent=1) + "\n")
        (store / UNFINISHED).unlink(missing_ok=True)

    @classmethod
    def load(cls, store: AnyPath) -> Manifest:
        """The manifest of a complete store.

        Raises:
            MissingInputError: no such folder.
            StoreError: not a store, not complete, or of another version.
        """
        if not store.is_dir():
            raise MissingInputError(f"no store {store}; write one with `{prepare_command(store)}`")
        if (store / UNFINISHED).exists() and not (store / MANIFEST).exists():
            raise StoreError(f"{store}: unfinished; run `{prepare_command(store)}` again to complete it")
        if not (store / MANIFEST).is_file():
            raise StoreError(f"{store}: not a store, it has no {MANIFEST}")
        return cls._parse(store / MANIFEST)

    @classmethod
    def _parse(cls, path: AnyPath) -> Manifest:
        try:
            with damage_named(path):
                manifest = cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            found = _version(path)
            if found is not None and found < VERSION:
                raise StoreError(
                    f"{path}: found a store of version {found}, expected {VERSION}; `{prepare_command(path.parent)}`,"
                    " with its databases, makes it anew"
                ) from None
            wrong = wrong_values(error)[0]
            raise StoreError(
                f"{path}: not a manifest of version {VERSION}: {wrong}; prepare a store in a new folder"
            ) from None
        require_hash(path, manifest.hash(), manifest.content_hash, "delete it and prepare again: blocks are kept")
        return manifest

    def summary(self) -> dict[str, Any]:
        """Counts, as plain JSON values."""
        return {
            "num_images": self.num_images,
            "num_blocks": len(self.all_blocks()),
            "num_blocks_written": self.num_blocks_written,
            "num_blocks_skipped": self.num_blocks_skipped,
            "content_hash": self.content_hash,
            "databases": {d.name: d.model_dump(mode="json", exclude={"name"}) for d in self.databases},
            "streams": {s.name: s.model_dump(mode="json", include=STREAM_SUMMARY) for s in self.streams},
            "sets": {s.name: {"tasks": list(s.tasks), "num_rows": s.num_rows} for s in self.sets},
        }

    def render(self) -> Table:
        """Counts for people: a row a database; training sets and what was left out below."""
        splits = ("train", "validation", "test")
        order = {space.name: place for place, space in enumerate(self.spaces)}
        tasks = sorted(
            {t for d in self.databases for t in d.labels if "@" not in t}, key=lambda task: order.get(task, len(order))
        )
        shown = [(t, s) for t in tasks for s in splits if any(s in d.labels.get(t, {}) for d in self.databases)]
        title = f"{self.num_images:,} images, {self.image_size} x {self.image_size}, {self.encoding}"
        table = Table(title=title, title_justify="left", caption_justify="left")
        table.add_column("database")
        for heading in ("images", "videos", *(f"{task}_{split}" for task, split in shown)):
            table.add_column(heading.replace("_", "\n"), justify="right", no_wrap=True)
        for d in self.databases:
            counts = [f"{d.labels.get(task, {}).get(split, 0):,}" for task, split in shown]
            table.add_row(Text(d.name), f"{d.num_images:,}", f"{d.num_videos:,}", *counts)
        table.caption = Text("\n".join(self._notes()))
        return table

    def _notes(self) -> list[str]:
        lines = [
            f"training set {s.name}: {sum(s.num_rows.values()):,} images"
            f" ({', '.join(f'{name} {count:,}' for name, count in s.num_rows.items())})"
            for s in self.sets
        ]
        num_faces = sum(block.num_rows for block in self.blocks)
        what = "images" if num_faces == self.num_images else "rows"
        if num_faces < self.num_images:
            lines.append(f"stream {FACE}: {num_faces:,} of {self.num_images:,} rows have it")
        lines += [
            f"stream {s.name}: {sum(s.num_rows.values()):,} of {self.num_images:,} {what} have it"
            f" ({s.kind}, {s.size}, {s.encoding})"
            for s in self.streams
        ]
        for space, made in self.prepare.get("label_maps", {}).items():
            having = ", ".join(d.name for d in self.databases if made["source"] in (own.name for own in d.spaces))
            lines.append(f"labels of {space} are made from those of {made['source']}: {having}")
        for d in self.databases:
            named = [by_split for task, by_split in d.labels.items() if "@" in task]
            if named:
                total = sum(count for by_split in named for count in by_split.values())
                lines.append(f"{d.name}: {total:,} labels of {len(named):,} annotators with a name")
            if d.num_leaking_videos:
                lines.append(f"{d.name}: {d.num_leaking_videos:,} videos train one task and validate another")
        problems_of = [(d.name, d.problems) for d in self.databases] + [(s.name, s.problems) for s in self.streams]
        for name, problems in problems_of:
            for reason, problem in problems.items():
                example = f", as {problem.examples[0]}" if problem.examples else ""
                lines.append(f"{name}: {reason} {problem.count:,}{example}")
        lines.append(f"blocks: {self.num_blocks_written:,} written, {self.num_blocks_skipped:,} finished before")
        return lines


def prepare_command(store: AnyPath) -> str:
    """The command that writes a store, but for its databases; it can be pasted."""
    return f"abaw-ray prepare {shlex.quote(str(store))}"


@contextmanager
def store_held(store: AnyPath) -> Iterator[dict[str, BlockEntry]]:
    """In the block, a store may be written to `store`, by this process alone.

    Yields:
        The blocks that an earlier run recorded, by path.

    Raises:
        ConfigurationError: the folder holds something else, or another process writes to it.
        StorageError: the disk is full, or cannot be written.
        StoreError: its manifest is damaged, or of a later version.
    """
    with OwnedFolder(store, "a store", (MANIFEST, UNFINISHED)).held():
        yield _recorded(store)


def _recorded(store: AnyPath) -> dict[str, BlockEntry]:
    found = next((store / name for name in (MANIFEST, UNFINISHED) if (store / name).is_file()), None)
    if found is None:
        return {}
    if found.name == UNFINISHED and found.read_bytes() == NO_EARLIER_MANIFEST.encode():
        return {}
    version = _version(found)
    if version is not None and version < VERSION:
        logger.warning("%s holds a store of version %d: its blocks are made anew", store, version)
        return {}
    return {block.path: block for block in Manifest._parse(found).all_blocks()}


def _version(manifest: AnyPath) -> int | None:
    """The version that a manifest says it has; None if it says none."""
    try:
        found = read_json(manifest).get("version")
    except StoreError:
        return None
    return found if isinstance(found, int) else None


def begin_store(store: AnyPath) -> None:
    """Marks the store as unfinished until a manifest is saved; the hashes of an earlier manifest are kept."""
    store.mkdir(parents=True, exist_ok=True)
    if (store / MANIFEST).exists():
        (store / MANIFEST).replace(store / UNFINISHED)  # type: ignore[arg-type]
    elif not (store / UNFINISHED).exists():
        write_text(store / UNFINISHED, NO_EARLIER_MANIFEST)
