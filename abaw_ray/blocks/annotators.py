"""Annotators that were added to a finished store: a run's answers, or a person's corrections, as labels beside others.

annotators/<name>/annotator.json               what it holds, and where it comes from; written last
annotators/<name>/labels/<space>@<name>.arrow  as the store's own files of labels

The store's own files and its hashes stay as they are: what was trained on it, or computed from it, still fits. Nothing
in a folder depends on time, machine or place: the same source and store give the same bytes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.blocks.files import json_sha256, require_hash, write_text
from abaw_ray.blocks.integrity import Expected, find_damage
from abaw_ray.blocks.labels import Labels, label_name, write_labels
from abaw_ray.blocks.manifest import LabelFile, Manifest
from abaw_ray.blocks.schema import LABELS
from abaw_ray.errors import ConfigurationError, StoreError, quoted, wrong_values
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath

if TYPE_CHECKING:
    from abaw_ray.blocks.reader import Store

logger = logging.getLogger(__name__)

ANNOTATORS = "annotators"
"""Folder of a store."""
FILE = "annotator.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
AGAIN = "label the store again, or remove the annotator's folder"
"""What mends one, for messages."""


class LabelSource(BaseModel):
    """Where an annotator's labels come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["run", "corrections"]
    name: str
    """Of the checkpoint's folder and its run's, or of the file with corrections; no path."""
    sha256: str
    """Content hash of the checkpoint's description, which has those of its weights and its recipe; or the file's."""
    settings: dict[str, Any] = {}
    """Of a run: hash of its weights, and what it predicted with otherwise than its own recipe says (key -> value)."""


class AnnotatorManifest(BaseModel):
    """Contents of an annotator's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    name: str
    source: LabelSource
    store_hash: str
    """`Manifest.hash_of` the store that its rows are of, with `streams`."""
    streams: tuple[str, ...]
    """Streams of the store beside faces that the labels were computed from."""
    labels: list[LabelFile]
    counts: dict[str, dict[str, dict[str, int]]]
    """Task -> database -> split -> labels, of rows or of clips."""
    content_hash: str = ""
    """Hash of everything above."""

    def hash(self) -> str:
        """The content hash."""
        return json_sha256(self.model_dump(mode="json", exclude={"content_hash"}))

    @property
    def num_labels(self) -> dict[str, int]:
        """Task -> number of labels."""
        return {task: sum(sum(n.values()) for n in found.values()) for task, found in self.counts.items()}

    def fits(self, manifest: Manifest) -> bool:
        """Whether its rows are those of a store."""
        return self.store_hash == manifest.hash_of(self.streams)

    def files_in(self, folder: AnyPath) -> list[Expected]:
        """Its files of labels, in its folder."""
        return [
            Expected(folder / LABELS / label_name(entry.space, entry.annotator, entry.unseen), entry.sha256)
            for entry in self.labels
        ]


def annotator_folder(store: AnyPath, name: str) -> AnyPath:
    """The folder of an annotator that was, or is to be, added."""
    return store / ANNOTATORS / name


def annotator_names(store: AnyPath) -> list[str]:
    """Names of the complete annotators that were added to a store, sorted."""
    folders: list[AnyPath] = list((store / ANNOTATORS).glob("*"))
    return sorted(folder.name for folder in folders if (folder / FILE).is_file())


def read_annotator(folder: AnyPath) -> AnnotatorManifest:
    """What a complete annotator's folder holds.

    Raises:
        StoreError: it is damaged, or of another version.
    """
    path = folder / FILE
    try:
        found = AnnotatorManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StoreError(f"{path}: not an annotator of version 1: {wrong_values(error)[0]}; {AGAIN}") from None
    require_hash(path, found.hash(), found.content_hash, AGAIN)
    return found


def read_annotators(store: AnyPath, manifest: Manifest) -> dict[str, AnnotatorManifest]:
    """Name -> what was added to a store and fits it; a line is logged of those that do not.

    Raises:
        StoreError: as of `read_annotator`.
    """
    fitting = {}
    for name in annotator_names(store):
        folder = annotator_folder(store, name)
        found = read_annotator(folder)
        if found.fits(manifest):
            fitting[name] = found
        else:
            logger.warning(
                "%s: left out, the store was prepared again with other faces, labels or splits since; %s", folder, AGAIN
            )
    return fitting


def earlier_annotator(store: Store, name: str, source: LabelSource) -> AnnotatorManifest | None:
    """What is in the store already under a name, from the same source and whole; None: it is to be written.

    Raises:
        ConfigurationError: not a name that annotators may have, or one that is taken by another source.
        StoreError: it is damaged, or of another version.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"--as {quoted(name)}: expected a name of letters, digits, dots, hyphens and underscores, as resnet-1"
        )
    if any(entry.annotator == name for entry in store.manifest.labels):
        raise ConfigurationError(f"--as {name}: {store.path} has an annotator {name} already; choose another name")
    folder = annotator_folder(store.path, name)
    if name not in annotator_names(store.path):
        return None
    found = read_annotator(folder)
    if found.source != source:
        raise ConfigurationError(
            f"--as {name}: {store.path} has labels of that name from {found.source.kind} {found.source.name}"
            f" ({found.source.sha256[:12]}), not from {source.kind} {source.name} ({source.sha256[:12]}) with the same"
            f" settings; choose another name, or remove {folder}"
        )
    return found if found.fits(store.manifest) and not find_damage(found.files_in(folder)) else None


def write_annotator(
    store: Store, name: str, source: LabelSource, labels: Mapping[str, Labels], streams: tuple[str, ...] = ()
) -> AnnotatorManifest:
    """Adds labels to a store: until all of them are written, it is as it was.

    Args:
        store: to add to.
        name: of the annotator, for which `earlier_annotator` found none.
        source: where they come from.
        labels: task -> labels of rows of the index, or of places in the videos where labels are of clips; vectors.
        streams: beside faces, that they were computed from.

    Raises:
        ConfigurationError: another process writes to the annotator.
        StorageError: the disk is full, or cannot be written.
    """
    folder = annotator_folder(store.path, name)
    with OwnedFolder(folder, "labels of an annotator", (FILE,)).held(fresh=True, whole=True):
        files, counts = [], {}
        for task, found in labels.items():
            path = folder / LABELS / label_name(task, name, unseen=False)
            parts = _parts(store, task, found)
            form, sha256 = write_labels(path, store.spaces[task], [(p, store.labels(task).lacks[c]) for c, p in parts])
            files.append(
                LabelFile(space=task, annotator=name, unseen=False, form=form, num_rows=len(found.rows), sha256=sha256)
            )
            counts[task] = {store.databases[code]: _split_counts(part) for code, part in parts}
        manifest = AnnotatorManifest(
            name=name,
            source=source,
            store_hash=store.manifest.hash_of(streams),
            streams=streams,
            labels=files,
            counts=counts,
        )
        manifest = manifest.model_copy(update={"content_hash": manifest.hash()})
        write_text(folder / FILE, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _parts(store: Store, task: str, labels: Labels) -> list[tuple[int, Labels]]:
    """Code of each database that is labelled, and its labels."""
    database = store.labels(task).database[labels.rows]
    codes = [code for code in range(len(store.databases)) if (database == code).any()]
    return [(code, Labels(*(column[database == code] for column in labels))) for code in codes]


def _split_counts(labels: Labels) -> dict[str, int]:
    counts = {split.name.lower(): int((labels.splits == split).sum()) for split in Split if split != Split.NONE}
    return {name: count for name, count in counts.items() if count}
