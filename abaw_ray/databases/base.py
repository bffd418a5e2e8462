"""What every database adapter gives: rows of labels, and an account of everything left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from abaw_ray.databases.columns import Columns, Label
from abaw_ray.databases.reading.names import printable, stored_name
from abaw_ray.databases.schemas import LabelKey, clips_schema, row_schema, unseen_schema, videos_schema
from abaw_ray.errors import shortened
from abaw_ray.spaces import LabelSpace
from abaw_ray.streams.base import Source, Stream

MAX_EXAMPLES = 20
LONGEST_EXAMPLE = 500


@dataclass
class Problems:
    """Counts, by reason, of everything that was left out or looked wrong, with the first few places."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Counts `count` cases of `reason`; `where` says file, line and what was found."""
        if count == 0:
            return
        self.counts[reason] += count
        places = self.examples.setdefault(reason, [])
        if where and len(places) < MAX_EXAMPLES:
            places.append(shortened(printable(where), LONGEST_EXAMPLE))

    def merge(self, other: Problems) -> None:
        self.counts.update(other.counts)
        for reason, places in other.examples.items():
            mine = self.examples.setdefault(reason, [])
            mine.extend(places[: MAX_EXAMPLES - len(mine)])

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Problems:
        """The inverse of `to_dict`."""
        counts = Counter({reason: entry["count"] for reason, entry in values.items()})
        return Problems(counts, {reason: list(entry["examples"]) for reason, entry in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Reason -> `count` and `examples`, sorted by reason."""
        return {r: {"count": self.counts[r], "examples": self.examples.get(r, [])} for r in sorted(self.counts)}


@dataclass
class LabelTable:
    """What an adapter reads, and what it left out.

    Args:
        spaces: of the labels.
        rows: of `row_schema`, sorted by video and frame.
        problems: what was left out or looked wrong.
        unseen: of `unseen_schema`, sorted by video and frame; None: there is none, as of photos.
        videos: of `videos_schema`, sorted by video: all that have a row or an unseen frame; None: photos.
        crop: name of the crop that the rows' geometry is for; None: the database's.
        clips: of `clips_schema`, sorted by video: those of `videos`, or photos with a row, that are labelled whole;
            None: none is.
        streams: that rows have beside their faces.
        sequential: whether the rows are video frames; None: as the database says.
        sets: the training sets that the rows take part in; None: the database's.
    """

    spaces: tuple[LabelSpace, ...]
    rows: pa.Table
    problems: Problems
    unseen: pa.Table = None
    videos: pa.Table = None
    crop: str | None = None
    clips: pa.Table = None
    streams: tuple[Stream, ...] = ()
    sequential: bool | None = None
    sets: tuple[SetMember, ...] | None = None

    def __post_init__(self) -> None:
        if self.unseen is None:
            self.unseen = unseen_schema(self.spaces).empty_table()
        if self.videos is None:
            self.videos = videos_schema().empty_table()
        if self.clips is None:
            self.clips = clips_schema(self.spaces).empty_table()


@dataclass(frozen=True)
class SetMember:
    """A database's part in a training set: its rows with a train label of every task in `tasks`, thinned.

    Args:
        set: name of the training set, as `mixed_expr`.
        tasks: the tasks whose labels the set is made for.
        every_by_class: keep every k-th position of these classes of the first task, one pass a class, in order.
        every: then keep every k-th row.
    """

    set: str
    tasks: tuple[str, ...]
    every_by_class: Mapping[str, int] = field(default_factory=dict)
    every: int = 1


class Options(BaseModel):
    """Options of an adapter; each adapter may add its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Database:
    """One database: how to read it and what it is used for.

    Args:
        name: as typed on the command line.
        title: one line for people.
        obtain: where a researcher gets it.
        options: the adapter's options.
        read: reads the native label files under a root. Raises DatabaseFormatError on a wrong format.
        crop: name of the crop (see `abaw_ray.preprocess.crops`) that turns image and geometry into a face.
        sets: the training sets it takes part in.
        sequential: its rows are video frames (windows over time make sense).
        layout: the expected tree of files, for people.
        terms: on what terms it may be used, in short, as its makers publish them.
    """

    name: str
    title: str
    obtain: str
    options: type[Options]
    read: Callable[[Path, Any], LabelTable]
    crop: str
    sets: Callable[[Any], tuple[SetMember, ...]]
    sequential: bool = False
    layout: str = ""
    terms: str = "not known"


Labels = Mapping[str, Label] | Mapping[LabelKey, Label] | Mapping[str | LabelKey, Label]
"""Space, or space and annotator -> label of one frame or clip. In spaces not named it has no label."""


class RowBuilder:
    """Collects faces, labelled frames without one and labels of clips; gives their tables, sorted by video and frame.

    Args:
        spaces: of their labels.
        streams: that faces may have beside them.
    """

    def __init__(self, spaces: Sequence[LabelSpace], streams: Sequence[Stream] = ()) -> None:
        self._streams = [stream.name for stream in streams]
        self._rows = Columns(spaces, partial(row_schema, streams=streams))
        self._unseen = Columns(spaces, unseen_schema)
        self._spaces = tuple(spaces)
        self._clips: dict[str, dict[LabelKey, Label]] = {}

    def add(
        self,
        video: str,
        frame: int,
        image: str | None,
        labels: Labels,
        geometry: Iterable[float] = (),
        subject: str | None = None,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        """Adds one face, of a person called `subject`, with the samples of streams that there are beside it.

        Without an `image` the row has no face, and samples of other streams alone.
        """
        who = None if subject is None else stored_name(subject)
        face = None if image is None else stored_name(image)
        row: list[Any] = [stored_name(video), frame, face, list(geometry), who]
        given = sources or {}
        assert given.keys() <= set(self._streams), "sources are of the streams that were named"
        for name in self._streams:
            source = given.get(name)
            row += [None, None] if source is None else [stored_name(source.path), list(source.geometry)]
        self._rows.add(row, _by_key(labels))

    def add_unseen(self, video: str, frame: int, labels: Labels) -> None:
        """Adds one labelled frame without an image."""
        self._unseen.add([stored_name(video), frame], _by_key(labels))

    def label_clip(self, video: str, labels: Labels) -> None:
        """Adds labels of a whole video, or of a photo."""
        known, more = self._clips.setdefault(stored_name(video), {}), _by_key(labels)
        assert not known.keys() & more.keys(), "a clip has one label in a space by an annotator"
        known.update(more)

    def table(self) -> pa.Table:
        """The faces, of `row_schema`."""
        return self._rows.table([("video", "ascending"), ("frame", "ascending")])

    def unseen(self) -> pa.Table:
        """The frames without an image, of `unseen_schema`."""
        return self._unseen.table([("video", "ascending"), ("frame", "ascending")])

    def clips(self) -> pa.Table:
        """The labels of clips, of `clips_schema`."""
        columns = Columns(self._spaces, clips_schema)
        for video, labels in self._clips.items():
            columns.add([video], labels)
        return columns.table([("video", "ascending")])


def _by_key(labels: Labels) -> dict[LabelKey, Label]:
    return {(key, "") if isinstance(key, str) else key: label for key, label in labels.items()}
