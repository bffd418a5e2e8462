"""Reads a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from abaw_ray.blocks.annotators import AGAIN, annotator_folder, read_annotators
from abaw_ray.blocks.consistency import check_index, check_labels, require_within
from abaw_ray.blocks.index import Index, read_index, read_rows
from abaw_ray.blocks.integrity import Expected, require_whole, whole_file
from abaw_ray.blocks.labels import Labels, LabelSet, label_name, label_sets, read_labels
from abaw_ray.blocks.manifest import BlockEntry, LabelFile, Manifest, SetEntry, prepare_command
from abaw_ray.blocks.schema import BLOCKS, INDEX, LABELS, SETS, STREAMS, UNSEEN, VIDEOS
from abaw_ray.blocks.streams import StoredStream, StreamBlocks, places_path
from abaw_ray.blocks.videos import Unseen, Videos, read_unseen, read_videos
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.identity import image_ids, video_ids
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath, RemotePath, as_path, files_below
from abaw_ray.streams.base import FACE
from abaw_ray.streams.kind import Kind


@dataclass(frozen=True)
class SourceSet:
    """A training set: its name, the tasks it is made for, its rows (n,) int64 of the index."""

    name: str
    tasks: tuple[str, ...]
    rows: np.ndarray


class Store:
    """A complete store, opened for reading. Of a remote one, files come to the node's cache when they are needed.

    Attributes:
        path: its folder.
        manifest: what it holds.
        index: what every row is of, and the place of its face.
        sequential: (databases,) bool, whether a database's rows are frames of videos.
        videos: the videos of the sequential databases, and photos that are labelled whole; and their rows.
        label_sets: space and annotator -> labels of rows; of every space with an annotator without a name.
        annotators: name -> what was added to the finished store (see `blocks.annotators`), whose labels are among
            `label_sets`.
        unseen: labelled frames of videos that have no image.
        sets: training sets by name; those of one task first, in the order of its spaces.
        streams: what rows have beside their faces, or in their place, by name.

    Raises:
        MissingInputError: no such folder.
        StoreError: not a complete store of this version.
    """

    def __init__(self, path: AnyPath | str) -> None:
        self.path = as_path(path)
        self.manifest = manifest = Manifest.load(self.path)
        self._check_complete()
        self._faces = StreamBlocks(self.path / BLOCKS, manifest.blocks, manifest.face)
        self.index: Index = read_index(self._whole(self.path / INDEX, manifest.index_sha256))
        if len(self.index) != manifest.num_images:
            raise StoreError(f"{self.path / INDEX}: {len(self.index)} rows, expected {manifest.num_images}")
        check_index(self.path / INDEX, self.index, manifest)
        self.sequential = np.array([database.sequential for database in manifest.databases], bool)
        videos = self._whole(self.path / VIDEOS, manifest.videos_sha256)
        self.videos: Videos = read_videos(videos, self.index, self.sequential)
        require_within(self.path / VIDEOS, "databases", self.videos.database, len(manifest.databases))
        self.annotators = read_annotators(self.path, manifest)
        self.label_sets, self.unseen = self._labels()
        self.sets = {
            entry.name: SourceSet(
                entry.name, entry.tasks, read_rows(self._whole(set_path(self.path, entry.name), entry.sha256))
            )
            for entry in sorted(manifest.sets, key=self._place_of_set)
        }
        self.streams = {
            entry.name: StoredStream(
                entry, self._whole(places_path(self.path, entry.name), entry.places_sha256), self.path / BLOCKS
            )
            for entry in manifest.streams
        }
        for name, training_set in self.sets.items():
            require_within(set_path(self.path, name), "rows", training_set.rows, len(self.index))
        for name, stored in self.streams.items():
            require_within(places_path(self.path, name), "rows", stored.rows, len(self.index))

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.manifest.image_size

    @property
    def spaces(self) -> dict[str, LabelSpace]:
        """The label spaces by name, in their order."""
        return {space.name: space for space in self.manifest.spaces}

    @property
    def databases(self) -> list[str]:
        """Names of the databases, in the order of the index's codes."""
        return [database.name for database in self.manifest.databases]

    def labels(self, task: str) -> LabelSet:
        """The labels of a task whose annotator has no name: those that are learned from and scored."""
        return self.label_sets[task, ""]

    def rows_with(self, task: str, split: Split) -> np.ndarray:
        """Rows (n,) int64, ascending, with a label of `task` that belongs to `split`."""
        return self.labels(task).rows_with(split)

    def validation_rows(self) -> np.ndarray:
        """Rows (n,) int64, ascending, with a validation label of any task."""
        return np.flatnonzero(np.any([self.labels(task).mask(Split.VALIDATION) for task in self.spaces], axis=0))

    def frames_of(self, rows: np.ndarray) -> list[tuple[str, str, int]]:
        """Database, video and frame of `rows` (n,)."""
        databases = [self.databases[code] for code in self.index.database[rows].tolist()]
        return list(zip(databases, self.index.video(rows), self.index.frame[rows].tolist(), strict=True))

    def image_ids(self, rows: np.ndarray) -> np.ndarray:
        """(n,) uint64 of the images in `rows` (n,): of database, video and frame, wherever in a store the image is."""
        return self._image_ids[rows]

    @cached_property
    def _image_ids(self) -> np.ndarray:
        videos = self.index.videos
        keys = self.index.database.astype(np.int64) * len(videos.dictionary) + videos.indices.to_numpy()
        different, place = np.unique(keys, return_inverse=True)
        names = videos.dictionary.to_pylist()
        pairs = zip(*(part.tolist() for part in np.divmod(different, len(names))), strict=True)
        ids = video_ids((self.databases[database], names[video]) for database, video in pairs)
        return image_ids(ids[place], self.index.frame)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Faces (n, size, size, 3) uint8 RGB of `rows` (n,), in any order, repeats allowed; zeros where there is none.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        block, row = self.index.block[rows], self.index.row[rows]
        present = row >= 0
        if present.all():
            return self._faces.read(block, row)
        images = np.zeros((len(rows), self.image_size, self.image_size, 3), np.uint8)
        images[present] = self._faces.read(block[present], row[present])
        return images

    def has_any(self, streams: Iterable[str]) -> np.ndarray:
        """Which rows of the index (rows,) bool have a sample of one of `streams` at least."""
        found = np.zeros(len(self.index), bool)
        for name in streams:
            if name == FACE:
                found |= self.index.has_face
            else:
                found[self.streams[name].rows] = True
        return found

    def has_for_each(self, takers: Iterable[Iterable[str]]) -> np.ndarray:
        """Which rows of the index (rows,) bool have a sample for each of `takers`, networks that take these streams."""
        return np.logical_and.reduce([self.has_any(streams) for streams in takers])

    def samples(self, stream: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples (n, ...) of a stream as its kind keeps them, of `rows` (n,), and which of them there are (n,) bool.

        Of a row that does not have the stream the sample is zeros.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        if stream == FACE:
            return self.images(rows), self.index.row[rows] >= 0
        return self.streams[stream].read(rows)

    def kind_of(self, stream: str) -> Kind:
        """The kind of a stream.

        Raises:
            ConfigurationError: there is no such kind: a plugin is missing.
        """
        return self._faces.kind if stream == FACE else self.streams[stream].kind

    def shapes(self, streams: Iterable[str], key: str) -> dict[str, tuple[int, ...]]:
        """Stream -> shape of one sample as networks take it.

        Args:
            streams: their names.
            key: of the recipe that names them, for the message.

        Raises:
            ConfigurationError: the store does not have one of them.
        """
        known = {FACE: self.manifest.face} | {name: stored.stream for name, stored in self.streams.items()}
        unknown = [name for name in streams if name not in known]
        if unknown:
            raise ConfigurationError(
                f"{key}: {', '.join(unknown)} not among the streams of {self.path} ({', '.join(known)})"
            )
        return {name: self.kind_of(name).shape(known[name]) for name in streams}

    def fetch(self, blocks: np.ndarray) -> None:
        """Brings blocks (n,) of faces, by their places in the manifest, to this node if the store is a remote one.

        Those of other streams come when they are read.

        Raises:
            StoreError: one is damaged.
        """
        self._faces.fetch(blocks)

    def verify(self, rows: np.ndarray | None = None, streams: Iterable[str] = (FACE,)) -> None:
        """Recomputes the hashes of blocks of this machine; those of the other files were, when it was opened.

        Args:
            rows: (n,) of the index, whose blocks are looked at; None: all.
            streams: whose blocks.

        Raises:
            StoreError: a block is not as it was written; the message names it.
        """
        entries = [entry for name in streams for entry in self._blocks_of(name, rows)]
        require_whole([block_file(self.path, entry) for entry in entries], self._remedy)

    def _blocks_of(self, stream: str, rows: np.ndarray | None) -> list[BlockEntry]:
        if stream != FACE:
            return self.streams[stream].blocks_of(rows)
        if rows is None:
            return self.manifest.blocks
        return [self.manifest.blocks[place] for place in np.unique(self.index.block[rows]).tolist()]

    def _labels(self) -> tuple[dict[LabelKey, LabelSet], Unseen]:
        """The labels of the index's rows, and the unseen frames with theirs."""
        spaces, of_databases = self.manifest.spaces, [entry.spaces for entry in self.manifest.databases]
        of_rows, of_unseen = (
            read_label_files(self.path, [e for e in self.manifest.labels if e.unseen == unseen], spaces, self._whole)
            for unseen in (False, True)
        )
        for name, added in self.annotators.items():
            folder = annotator_folder(self.path, name)
            of_rows |= read_label_files(folder, added.labels, spaces, lambda path, sha: whole_file(path, sha, AGAIN))
        num_items = {"frame": len(self.index), "clip": len(self.videos)}
        check_labels(self.path, of_rows, self.spaces, num_items)
        of_clips = {key: found for key, found in of_rows.items() if self.spaces[key[0]].level == "clip"}
        has_clips = any(space.level == "clip" for space in spaces)
        database, clip = self.videos.database, self.videos.of_rows(len(self.index)) if has_clips else None
        video, frame = read_unseen(self._whole(self.path / UNSEEN, self.manifest.unseen_sha256))
        require_within(self.path / UNSEEN, "videos", video, len(self.videos))
        check_labels(self.path, of_unseen, self.spaces, num_items | {"frame": len(video)})
        sets = label_sets(of_rows, spaces, of_databases, self.index.database, database, clip)
        unseen = label_sets(of_unseen | of_clips, spaces, of_databases, database[video], database, video)
        return sets, Unseen(video, frame, unseen)

    @property
    def _remedy(self) -> str:
        return f"`{prepare_command(self.path)} --verify`, with its databases, mends it"

    def _whole(self, path: AnyPath, sha256: str) -> Path:
        return whole_file(path, sha256, self._remedy)

    def _place_of_set(self, entry: SetEntry) -> tuple[int, int, str]:
        return len(entry.tasks), list(self.spaces).index(entry.tasks[0]), entry.name

    def _check_complete(self) -> None:
        check_files(self.path, [INDEX, VIDEOS, UNSEEN], "prepare the store again")
        labels = [label_name(entry.space, entry.annotator, entry.unseen) for entry in self.manifest.labels]
        check_files(self.path / LABELS, labels, "prepare the store again")
        check_files(self.path / SETS, [f"{s.name}.arrow" for s in self.manifest.sets], "prepare the store again")
        check_files(self.path / STREAMS, [f"{s.name}.arrow" for s in self.manifest.streams], "prepare the store again")
        check_files(self.path / BLOCKS, [block.path for block in self.manifest.all_blocks()], "prepare the store again")


def check_files(folder: AnyPath, names: Sequence[str], remedy: str) -> None:
    """That files are there; of a remote folder by one listing, of what is below it too where names are paths.

    Raises:
        StoreError: some are not.
    """
    if isinstance(folder, RemotePath) and names:
        is_deep = any("/" in name for name in names)
        there = files_below(folder) if is_deep else {path.name for path in folder.iterdir()}
        missing = [name for name in names if name not in there]
    else:
        missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise StoreError(f"{folder / missing[0]}: missing ({len(missing)} files there are); {remedy}")


def store_files(store: AnyPath, manifest: Manifest) -> list[Expected]:
    """All files of a store but its manifest."""
    return [
        Expected(store / INDEX, manifest.index_sha256),
        Expected(store / VIDEOS, manifest.videos_sha256),
        Expected(store / UNSEEN, manifest.unseen_sha256),
        *(label_file(store, entry) for entry in manifest.labels),
        *(Expected(set_path(store, entry.name), entry.sha256) for entry in manifest.sets),
        *(Expected(places_path(store, entry.name), entry.places_sha256) for entry in manifest.streams),
        *(block_file(store, entry) for entry in manifest.all_blocks()),
    ]


def read_label_files(
    store: AnyPath, files: Sequence[LabelFile], spaces: Iterable[LabelSpace], locate: Callable[[AnyPath, str], Path]
) -> dict[LabelKey, Labels]:
    """What label files hold.

    Args:
        store: they are in.
        files: to read.
        spaces: of the store.
        locate: gives a file of this machine, from its path and hash.

    Raises:
        StoreError: one is not as it was written.
    """
    by_name, found = {space.name: space for space in spaces}, {}
    for entry in files:
        path, sha256 = label_file(store, entry)
        labels = read_labels(locate(path, sha256), by_name[entry.space], entry.form)
        if len(labels.rows) != entry.num_rows:
            raise StoreError(f"{path}: {len(labels.rows)} rows, expected {entry.num_rows}")
        found[entry.space, entry.annotator] = labels
    return found


def block_file(store: AnyPath, entry: BlockEntry) -> Expected:
    """File of a block."""
    return Expected(store / BLOCKS / entry.path, entry.sha256)


def label_file(store: AnyPath, entry: LabelFile) -> Expected:
    """File of labels."""
    return Expected(store / LABELS / label_name(entry.space, entry.annotator, entry.unseen), entry.sha256)


def set_path(store: AnyPath, name: str) -> AnyPath:
    """File of a training set."""
    return store / SETS / f"{name}.arrow"
