"""Videos, pictures and cameras, one after the other: a part of the table of answers, and files to look at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from abaw_ray.blocks.files import atomic_path
from abaw_ray.databases.reading.names import printable
from abaw_ray.errors import UserError
from abaw_ray.inference.answers import answers_schema
from abaw_ray.inference.apply import Answerer
from abaw_ray.inference.footage import Shot, estimated_length, length, local_copy, shots
from abaw_ray.inference.inputs import Input
from abaw_ray.inference.looking import Look, find_people
from abaw_ray.inference.media.recording import Recording
from abaw_ray.inference.model_info import Model, ModelInfo
from abaw_ray.preprocess.decoding import UnreadableImage, read_image

ROWS_TOGETHER = 16_384
"""Rows of a row group."""

Progress = Callable[[int, int], None]
"""Called with the number of frames done and in all, as far as it is known."""


@dataclass(frozen=True)
class Settings:
    """How inputs are looked at.

    Args:
        every: frame of a video that is looked at, 1: all.
        max_faces: in a frame; None: all.
        draw: write annotated videos and pictures.
        files: write anything beside the table.
    """

    every: int = 1
    max_faces: int | None = None
    draw: bool = True
    files: bool = True


@dataclass
class Outcome:
    """What came of one input.

    Args:
        source, kind: of the input.
        num_frames: that were looked at.
        num_unreadable_frames: that could not be decoded.
        num_frames_without_face: of those that were looked at; for a network of images of people, without a person.
        num_people: that were told apart.
        num_uncut_faces: or people that were found and cannot be cut out, as they lie outside of the picture.
        files: that were written for it.
        error: why it could not be read, or not to its end; empty: it was.
    """

    source: str
    kind: str
    num_frames: int = 0
    num_unreadable_frames: int = 0
    num_frames_without_face: int = 0
    num_people: int = 0
    num_uncut_faces: int = 0
    files: list[str] = field(default_factory=list)
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Its fields by name."""
        return asdict(self)


def predict_inputs(
    inputs: list[Input],
    model: Model,
    look: Look,
    folder: Path,
    part: Path,
    settings: Settings,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> list[Outcome]:
    """What a model says of every face in the inputs.

    An input that cannot be read, or not to its end, is reported in its outcome, and the others go on.

    Args:
        inputs: videos, pictures, cameras.
        model: to ask.
        look: finds and cuts out whom it is asked about.
        folder: for annotated videos and pictures (`<name>.mp4`, `<name>.jpg`), timelines (`.png`) and pages (`.html`).
        part: the table's file, Parquet with the columns of `answers_schema`.
        settings: which frames and faces, and what is written.
        progress: shows how far it is.
        stop: ends a camera.
    """
    reader = _Reader(inputs, settings, folder, progress, stop)
    answerer = Answerer(model, settings.max_faces)
    schema = answers_schema(model.info).with_metadata({"model": model.info.model_dump_json()})
    with (
        reader,
        atomic_path(part) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        closing(answerer.tables(find_people(reader.shots(), look))) as tables,
    ):
        for rows in _together(_by_source(tables, reader, model.info, folder, settings)):
            writer.write_table(rows.cast(schema))
    for source, outcome in reader.outcomes.items():
        outcome.num_uncut_faces = answerer.num_uncut[source]
    return list(reader.outcomes.values())


class _Reader:
    """Reads inputs one after the other, and keeps those on this machine that are still to be drawn."""

    def __init__(
        self, inputs: list[Input], settings: Settings, folder: Path, progress: Progress | None, stop: Event | None
    ) -> None:
        self.outcomes = {given.source: Outcome(given.source, given.kind) for given in inputs}
        self.inputs = {given.source: given for given in inputs}
        self.paths: dict[str, Path] = {}
        self._settings, self._folder, self._stop, self._progress = settings, folder, stop, progress
        self._kept: dict[str, ExitStack] = {}
        self._estimates = {given.source: estimated_length(given, settings.every) for given in inputs}

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        for stack in list(self._kept.values()):
            stack.close()

    def shots(self) -> Iterator[Shot]:
        """The frames of all inputs."""
        for given in self.inputs.values():
            outcome = self.outcomes[given.source]
            stack = self._kept[given.source] = ExitStack()
            try:
                path = None if given.kind == "camera" else stack.enter_context(local_copy(given.path))
                num_frames = length(given, path, self._settings.every)
                seen = shots(given, path, self._settings.every, self._stop)
                if path is not None:
                    self.paths[given.source] = path
                elif self._settings.files and self._settings.draw:
                    seen = self._recorded(given, seen, stack)
                for shot in seen:
                    outcome.num_frames += 1
                    yield shot
                outcome.num_unreadable_frames = (num_frames or outcome.num_frames) - outcome.num_frames
            except FileNotFoundError as error:
                outcome.error = str(error) if isinstance(error, UserError) else f"{given.source}: not there"
            except UserError as error:
                outcome.error = str(error)
            except UnreadableImage as error:
                outcome.error = f"{given.source}: {error}"
            except OSError as error:
                outcome.error = f"{given.source}: {error.strerror or error}"
            self._estimates[given.source] = outcome.num_frames
            if not outcome.num_frames:
                self.release(given.source)

    def release(self, source: str) -> None:
        """A copy of the input is not needed any more."""
        self._kept.pop(source).close()
        self.paths.pop(source, None)

    def show(self, num_done: int) -> None:
        """Shows how many frames are done."""
        if self._progress is not None:
            self._progress(num_done, max(num_done, sum(self._estimates.values())))

    def _recorded(self, given: Input, seen: Iterator[Shot], stack: ExitStack) -> Iterator[Shot]:
        """A camera's frames, which are kept in a video until they are drawn."""
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder))) / f"{given.name}.mp4"
        with Recording(place) as recording:
            for number, shot in enumerate(seen):
                assert shot.seconds is not None, "a camera has a clock"
                recording.add(shot.image, shot.seconds)
                yield Shot(shot.source, number, shot.seconds, shot.image)
        self.paths[given.source] = place


def _by_source(
    tables: Iterator[pa.Table], reader: _Reader, info: ModelInfo, folder: Path, settings: Settings
) -> Iterator[pa.Table]:
    """The tables; when an input's last row has come, what is written for it is written."""
    spool: _Spool | None = None
    num_done = 0
    for table in tables:
        for rows in _parts(table):
            source = rows["source"][0].as_py()
            if spool is not None and spool.source != source:
                _finish(spool, reader, info, folder, settings)
                spool = None
            spool = spool or _Spool(source, rows.schema)
            spool.add(rows)
            num_done += len(pc.unique(rows["frame"]))
            reader.show(num_done)
            yield rows
    if spool is not None:
        _finish(spool, reader, info, folder, settings)


class _Spool:
    """The rows of one input, on the disk: a video may have many."""

    def __init__(self, source: str, schema: pa.Schema) -> None:
        self.source = source
        self._file = tempfile.NamedTemporaryFile(prefix="abaw-ray-rows-")  # noqa: SIM115 closed by `rows`
        self._writer = pa.ipc.new_file(self._file, schema)

    def add(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def rows(self) -> pa.Table:
        """All of them; nothing can be added any more."""
        self._writer.close()
        self._file.flush()
        with self._file, pa.memory_map(self._file.name) as stored:
            return pa.ipc.open_file(stored).read_all()


def _finish(spool: _Spool, reader: _Reader, info: ModelInfo, folder: Path, settings: Settings) -> None:
    """Counts the rows of an input, and writes what people look at."""
    source, rows = spool.source, spool.rows()
    given, outcome = reader.inputs[source], reader.outcomes[source]
    outcome.num_frames_without_face = rows["face"].null_count
    outcome.num_people = len(pc.unique(rows["face"].drop_null()))
    path = reader.paths.get(source)
    if settings.files:
        if given.kind == "picture" and settings.draw and path is not None:
            from abaw_ray.inference.media.picture import write_annotated_picture

            outcome.files.append(f"{given.name}.jpg")
            image = read_image(path, apply_orientation=True)
            write_annotated_picture(image, rows.to_pylist(), info, folder / outcome.files[-1])
        elif given.kind != "picture":
            outcome.files += _video_files(given, path, rows, info, folder, settings)
    reader.release(source)


def _video_files(
    given: Input, path: Path | None, rows: pa.Table, info: ModelInfo, folder: Path, settings: Settings
) -> list[str]:
    """Names of the annotated video, the timeline and the page of a video."""
    from abaw_ray.inference.media.annotated_video import write_annotated_video
    from abaw_ray.inference.media.timeline import write_timeline
    from abaw_ray.inference.media.video_page import write_video_page

    names = []
    if settings.draw and path is not None:
        names.append(write_annotated_video(path, rows, info, folder / f"{given.name}.mp4").name)
    title = printable(given.path.name if given.kind == "video" else given.source)
    write_timeline(rows, info, folder / f"{given.name}.png", title)
    write_video_page(rows, info, names[0] if names else "", folder / f"{given.name}.html", title)
    return [*names, f"{given.name}.png", f"{given.name}.html"]


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """The rows of each input in a table."""
    sources = table["source"].to_pylist()
    first = 0
    for place in range(1, len(sources) + 1):
        if place == len(sources) or sources[place] != sources[first]:
            yield table.slice(first, place - first)
            first = place


def _together(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables."""
    waiting: list[pa.Table] = []
    num_rows = 0
    for table in tables:
        waiting.append(table)
        num_rows += len(table)
        if num_rows >= ROWS_TOGETHER:
            yield pa.concat_tables(waiting)
            waiting, num_rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
